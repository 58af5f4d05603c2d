#!/usr/bin/env bash
# Expected: in a capture of both sides of a translator (tcpdump -i any) a packet of the other side, between other addresses, is
# another packet, as it is with TCP.
# Found (tshark 4.0.17): transmission numbers are remembered by ports and verification tag, not by address. Where the ports
# stay as they are every message is a "retransmission" on the other side, without one packet lost. Look at one side at a time.
. "$(dirname "$0")/lib/common.sh"
command -v python3 >/dev/null || { echo "needs Python 3"; exit 2; }
debian tshark=4.0.17-0+deb12u3
tshark --version 2>/dev/null | head -1
python3 "$(dirname "$0")/lib/both-sides.py" "$work/both.pcap"
# A file of its own, so that the other side is hidden from the analysis as well.
tshark -r "$work/both.pcap" -w "$work/outside.pcap" -F pcap -Y 'ip.addr == 198.18.0.1' 2>/dev/null
retransmissions() { tshark -r "$1" -Y sctp.retransmission 2>/dev/null | wc -l; }
messages() { tshark -r "$1" -Y 'sctp.chunk_type == 0' 2>/dev/null | wc -l; }
tshark -r "$work/both.pcap" -Y 'sctp.chunk_type == 0' 2>/dev/null
for side in outside both; do echo "$side: $(messages "$work/$side.pcap") packets with DATA, $(retransmissions "$work/$side.pcap") of them retransmissions"; done
are() { [ "$(messages "$work/$1.pcap") $(retransmissions "$work/$1.pcap")" = "$2" ]; }
expect "on one side none is a retransmission" are outside "5 0"
expect "on both each message is one on the other side" are both "10 5"

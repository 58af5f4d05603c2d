#!/usr/bin/env bash
# Expected: a chunk for which there is no class is passed over by its length, as receivers do (RFC 9260 section 3.2), and those
# bundled behind it are decoded.
# Found (scapy 2.8.0): it and all that follows is Raw. ECNE and CWR, which stacks send with congestion notification, and PAD are such
# chunks: `haslayer(SCTPChunkSACK)` says no of a packet that carries a SACK behind an ECNE, and counts of a capture are too low.
. "$(dirname "$0")/lib/common.sh"
command -v python3 >/dev/null || { echo "needs Python 3"; exit 2; }
python3 -m pip install -q --root-user-action ignore --target "$work/python" scapy==2.8.0
cat >"$work/ask.py" <<'PY'
import struct, sys
sys.path.insert(0, sys.argv[1])
from sctp import chunk, named
import scapy
from scapy.layers.sctp import SCTP, SCTPChunkSACK
print("scapy", scapy.VERSION)
before = {
    "HEARTBEAT": named("HEARTBEAT"),
    "ECNE": chunk(12, 0, struct.pack("!I", 1)),
    "CWR": chunk(13, 0, struct.pack("!I", 1)),
    "I-DATA": chunk(64, 3, struct.pack("!IHHII", 1, 0, 0, 0, 0) + b"data"),
    "PAD": chunk(132, 0, bytes(8)),
    "FORWARD-TSN": chunk(192, 0, struct.pack("!I", 1)),
}
sack = named("SACK")
for name, first in before.items():
    packet = SCTP(struct.pack("!HHII", 1, 2, 3, 0) + first + sack)
    print(f"{name} and SACK:", "SACK" if packet.haslayer(SCTPChunkSACK) else "no SACK")
PY
PYTHONPATH=$work/python python3 "$work/ask.py" "$(realpath "$(dirname "$0")")/lib" 2>/dev/null | tee "$work/said"
said() { grep -qxF "$1" "$work/said"; }
expect "behind a chunk that it knows the SACK is seen" said "HEARTBEAT and SACK: SACK"
for name in I-DATA FORWARD-TSN; do expect "behind $name, too" said "$name and SACK: SACK"; done
for name in ECNE CWR PAD; do expect "behind $name it is not" said "$name and SACK: no SACK"; done

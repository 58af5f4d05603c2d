#!/usr/bin/env bash
# Expected: BFD packets leave from a port of 49152 to 65535, as RFC 5881 section 4 asks ("MUST").
# Found (BIRD 2.0.12, Linux): from any port of net.ipv4.ip_local_port_range, 32768 to 60999 by default; a neighbour or a
# filter that is strict about it drops them. Setting the range in the namespace mends it.
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/bird.sh"
two_namespaces
inside "$speaker" sysctl -qw net.ipv4.ip_local_port_range="32768 49151"
cat >"$work/speaker.conf" <<CONF
router id 198.18.0.1;
protocol device { }
protocol bfd watch { interface "s0" { interval 50 ms; multiplier 3; }; neighbor 198.18.0.2; }
CONF
sed 's/198.18.0.1/198.18.0.x/;s/198.18.0.2/198.18.0.1/;s/198.18.0.x/198.18.0.2/;s/s0/r0/' "$work/speaker.conf" >"$work/router.conf"
background "$work/capture" nsenter "--net=/run/netns/$router" tcpdump -lnni r0 'src 198.18.0.1 and udp dst port 3784'
start_bird "$router" router
start_bird "$speaker" speaker
up() { ask speaker show bfd sessions | grep -q ' Up '; }
until_true 30 up
until_true 10 grep -q '3784' "$work/capture"
echo "--- the range allows 32768 to 49151 only: no port of RFC 5881's is in it"; ask speaker show bfd sessions
grep -m 2 3784 "$work/capture"
port=$(grep -m 1 3784 "$work/capture" | sed -E 's/.* 198\.18\.0\.1\.([0-9]+) >.*/\1/')
expect "the session is up from port $port, below 49152" test "$port" -lt 49152

#!/usr/bin/env bash
# Expected: two `protocol bgp` with the same local and remote address are refused, or the log tells.
# Found (BIRD 2.0.12): `bird -p` takes the file, the daemon runs, one of the two stays `start`, `Idle` for good, and
# nothing above the debug level is written about it.
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/bird.sh"
two_namespaces
session() { echo "protocol bgp $1 { local as 65001; neighbor 198.18.0.2 as 65000; connect delay time 1; connect retry time 1; error wait time 1,2; ipv4 { import none; export none; }; }"; }
{ echo "log \"$work/speaker.said\" { info, remote, warning, error, auth, fatal, bug };"; echo "router id 198.18.0.1;"; echo "protocol device { }"; session first_session; session second_session; } >"$work/speaker.conf"
router_configuration "" ""
expect "the parser accepts the file" "$bird" -p -c "$work/speaker.conf"
start_bird "$router" router
start_bird "$speaker" speaker
until_true 30 established speaker
# Ten times the connect retry time.
for _ in $(seq 100); do sleep 0.1; done
ask speaker show protocols | tee "$work/protocols"
echo "--- its log"; cat "$work/speaker.said"
one() { [ "$(grep -c Established "$work/protocols")" = 1 ] && [ "$(grep -cE 'start .*Idle' "$work/protocols")" = 1 ]; }
expect "one is established, the other stays idle" one
silent() { ! grep -E '<(WARN|ERR|REMOTE|AUTH|FATAL|BUG)>' "$work/speaker.said"; }
expect "no warning and no error in the log" silent

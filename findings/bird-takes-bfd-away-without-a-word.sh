#!/usr/bin/env bash
# Expected: a speaker that is told to end a session, or itself, says AdminDown in its BFD, and goes on saying it for a detection
# time, so that its neighbour does not take it for a failure (RFC 5880 section 6.8.16).
# Found (BIRD 2.0.12): it sends nothing any more; the last packet says Up. At the neighbour every planned end is a BFD session that
# timed out, in its logs and counters, and for whatever else watches it.
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/bird.sh"
two_namespaces
cat >"$work/speaker.conf" <<CONF
router id 198.18.0.1;
protocol device { }
protocol bfd { interface "s0" { interval 100 ms; multiplier 3; }; }
protocol bgp to_router { local as 65001; neighbor 198.18.0.2 as 65000; bfd on; connect delay time 1; connect retry time 1; error wait time 1,2; ipv4 { import none; export none; }; }
CONF
router_configuration 'protocol bfd { interface "r0" { interval 100 ms; multiplier 3; }; }' 'bfd on;'
start_bird "$router" router
start_bird "$speaker" speaker
states() { grep -oE 'State [A-Za-z]+' "$capture" | sort | uniq -c | tr -s ' \n' ' '; }
bfd_is() { ask router show bfd sessions | grep -q "198.18.0.1 .* $1 "; }
both_up() { established router && bfd_is Up; }
# ends COMMAND: what the speaker's BFD says from here until its neighbour has noticed.
ends() {
  until_true 40 both_up
  capture=$work/capture-$1
  background "$capture" nsenter "--net=/run/netns/$router" tcpdump -lnvi r0 'src 198.18.0.1 and udp dst port 3784'
  until_true 10 grep -q 'State Up' "$capture"
  ask speaker "$@" >/dev/null
  until_true 10 bfd_is Down
  echo "--- $*: the speaker's packets $(states); the router"
  ask router show bfd sessions | tail -1
}
never_admin() { ! grep -q AdminDown "$capture" && grep -q 'State Up' "$capture"; }
last_says_up() { [ "$(grep -oE 'State [A-Za-z]+' "$capture" | tail -1)" = "State Up" ]; }
ends disable to_router
expect "no packet says AdminDown" never_admin
expect "the last one says Up" last_says_up
ask speaker enable to_router >/dev/null
ends down
expect "no packet says AdminDown when the daemon ends" never_admin
expect "the last one says Up" last_says_up

#!/usr/bin/env bash
# Expected: a router whose own BFD says that a BGP neighbour is down withdraws that neighbour's routes at once, also when
# the neighbour had announced graceful restart: BFD with its own detection (C bit clear or set) is asked for that.
# Found (FRR 8.4.4 as router, BIRD 2.0.12 as speaker with `graceful restart on`): the speaker is killed, TCP closes
# first, FRR becomes a restart helper and keeps the route, and goes on keeping it after its BFD session is down: 12 s
# watched, up to the restart time of 120 s. With `graceful restart off` at the speaker the route goes at once.
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/bird.sh"
. "$(dirname "$0")/lib/frr.sh"
two_namespaces
frr_daemons
cat >"$work/frr/bfdd.conf" <<CONF
bfd
 profile fast
  detect-multiplier 3
  receive-interval 100
  transmit-interval 100
CONF
cat >"$work/frr/bgpd.conf" <<CONF
router bgp 65000
 bgp router-id 198.18.0.2
 no bgp ebgp-requires-policy
 neighbor 198.18.0.1 remote-as 65001
 neighbor 198.18.0.1 timers connect 2
 neighbor 198.18.0.1 bfd
 neighbor 198.18.0.1 bfd profile fast
CONF
daemon zebra
until_true 20 test -S "$work/frr/zserv.api"
daemon bfdd --bfdctl "$work/frr/bfdd.sock"
daemon bgpd
until_true 20 test -S "$work/frr/bgpd.vty"
has() { show bgpd "show bgp ipv4 unicast" | grep -q 203.0.113.1/32; }
lacks() { ! has; }
bfd() { show bfdd "show bfd peers" | grep -q "Status: $1"; }
speaker_with() {
  cat >"$work/speaker.conf" <<CONF
router id 198.18.0.1;
protocol device { scan time 1; }
protocol bfd watch { interface "s0" { interval 100 ms; multiplier 3; }; }
protocol static vip_one { ipv4; route 203.0.113.1/32 blackhole; }
protocol bgp to_router {
  local as 65001; neighbor 198.18.0.2 as 65000; bfd on; graceful restart $1;
  connect delay time 1; connect retry time 1; error wait time 1,2;
  ipv4 { import none; export where source = RTS_STATIC; };
}
CONF
  start_bird "$speaker" speaker
  until_true 60 has
  until_true 60 bfd up
  kill -9 $!
}
"$frr/bgpd" --version | head -1
speaker_with on
until_true 20 bfd down
echo "--- killed, with graceful restart: FRR's BFD, and its table, 12 s later"
for _ in $(seq 120); do sleep 0.1; done
show bfdd "show bfd peers" | grep -E 'peer|Status'; show bgpd "show bgp ipv4 unicast"
expect "its BFD is down" bfd down
expect "it still has the route" has
speaker_with off
until_true 5 lacks
echo "--- killed, without graceful restart"; show bgpd "show bgp ipv4 unicast"
expect "the route is gone" lacks

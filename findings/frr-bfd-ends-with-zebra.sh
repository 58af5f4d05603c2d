#!/usr/bin/env bash
# Expected: bgpd watches its neighbours by BFD again after a restart of zebra, as it does after a restart of bfdd.
# Found (FRR 8.4.4): bgpd says once what it wants watched. Zebra is restarted, bgpd and bfdd connect to it again, and bfdd
# has forgotten every neighbour: BGP goes on without BFD, and nothing is logged. A restart of bfdd has bgpd say it again.
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/frr.sh"
namespace router
ip link add r0 netns "$router" type veth peer name s0 netns "$router"
ip -n "$router" address add 198.18.0.2/24 dev r0
ip -n "$router" link set r0 up
ip -n "$router" link set s0 up
frr_daemons
printf 'bfd\n' >"$work/frr/bfdd.conf"
cat >"$work/frr/bgpd.conf" <<CONF
router bgp 65000
 bgp router-id 198.18.0.2
 neighbor 198.18.0.1 remote-as 65001
 neighbor 198.18.0.1 passive
 neighbor 198.18.0.1 bfd
CONF
zebra() { daemon zebra; zebra_process=$!; until_true 20 test -S "$work/frr/zserv.api"; }
bfdd() { daemon bfdd --bfdctl "$work/frr/bfdd.sock"; bfdd_process=$!; }
connected() { show zebra "show zebra client summary" | grep -q "^$1 "; }
all_connected() { connected bgp && connected bfd; }
watched() { show bfdd "show bfd peers" | grep -q "peer 198.18.0.1"; }
# A session that was asked for is there within a second of both connections; ten are watched.
unwatched() { for _ in $(seq 100); do ! watched || return 1; sleep 0.1; done; }
tell() { echo "--- $1"; show zebra "show zebra client summary" | grep -E '^(bgp|bfd) ' || true; show bfdd "show bfd peers"; }

"$frr/bgpd" --version | head -1 || true
zebra; bfdd
until_true 20 connected bfd
daemon bgpd
until_true 20 all_connected
expect "zebra first, bgpd last: the neighbour is watched" until_true 20 watched
tell "zebra first"

kill -9 "$zebra_process"; rm "$work/frr/zserv.api"
zebra
until_true 60 all_connected
expect "zebra restarted, all are connected again: the neighbour is not watched" unwatched
tell "zebra restarted"

kill -9 "$bfdd_process"
bfdd
expect "bfdd restarted: it is watched again" until_true 60 watched
tell "bfdd restarted"

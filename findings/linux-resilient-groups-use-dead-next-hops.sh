#!/usr/bin/env bash
# Expected: of a group of next hops Linux leaves out one whose address nobody answers for any more, or uses it on, in all kinds
# of groups alike; that is what net.ipv4.fib_multipath_use_neigh (0 by default) is for.
# Found (Linux 6.18): the setting is for routes that list their next hops. Groups of next-hop objects, which FRR makes, leave it
# out always; resilient groups, made so that servers keep their flows, never: its share is lost until somebody takes it out
# of the group, whatever idle_timer and use_neigh say.
. "$(dirname "$0")/lib/common.sh"
debian nftables=1.0.6-2+deb12u2 iproute2=6.1.0-3
ip -V; uname -r
namespace router; namespace one; namespace two
n=1
for target in "$one" "$two"; do
  ip link add "h$n" netns "$router" type veth peer name h0 netns "$target"
  ip -n "$router" address add "198.18.$n.254/24" dev "h$n"; ip -n "$router" link set "h$n" up
  ip -n "$target" address add "198.18.$n.1/24" dev h0; ip -n "$target" link set h0 up
  inside "$target" nft -f - <<'NFT'
table ip t {
  counter asked { }
  chain c {
    type filter hook prerouting priority raw;
    udp dport 9999 counter name asked
  }
}
NFT
  n=$((n + 1))
done
cat >"$work/ask.js" <<'JS'
const dgram = require("dgram");
(async () => {
  for (let flow = 0; flow < 90; flow++) {
    const socket = dgram.createSocket("udp4");
    await new Promise((resolve) => socket.bind(20000 + flow, resolve));
    await new Promise((resolve) => socket.send("?", 9999, "203.0.113.1", resolve));
    socket.close();
  }
})();
JS
inside "$router" sysctl -qw net.ipv4.fib_multipath_hash_policy=1
asked() { inside "$1" nft list counter ip t asked | sed -nE 's/.*packets ([0-9]+).*/\1/p'; }
ask() {
  for target in "$one" "$two"; do inside "$target" nft reset counters >/dev/null; done
  inside "$router" node "$work/ask.js"
}
failed() { ip -n "$router" neighbor show 198.18.2.1 | grep -q FAILED; }
# measure KIND: 90 flows while both answer, and when the second has been gone for a while.
measure() {
  ip -n "$two" address replace 198.18.2.1/24 dev h0
  ip -n "$router" neighbor flush all
  case $1 in
    listed*) ip -n "$router" route add 203.0.113.1/32 nexthop via 198.18.1.1 nexthop via 198.18.2.1 ;;
    *)
      ip -n "$router" nexthop add id 1 via 198.18.1.1 dev h1
      ip -n "$router" nexthop add id 2 via 198.18.2.1 dev h2
      # shellcheck disable=SC2086
      ip -n "$router" nexthop add id 10 group 1/2 ${2:-}
      ip -n "$router" route add 203.0.113.1/32 nhid 10 ;;
  esac
  ask; all_arrive() { ask; [ $(($(asked "$one") + $(asked "$two"))) = 90 ]; }
  until_true 20 all_arrive
  before="$(asked "$one") $(asked "$two")"
  ip -n "$two" address delete 198.18.2.1/24 dev h0
  ip -n "$router" neighbor flush all; ask
  until_true 20 failed
  ask; until_true 20 failed; ask  # longer than the idle timer
  after=$(asked "$one")
  echo "$1: both answer $before, the second is gone $after and $((90 - after)) lost"
  ip -n "$router" route delete 203.0.113.1/32; ip -n "$router" nexthop flush >/dev/null 2>&1 || true
}
all() { [ "$after" = 90 ]; }
some() { [ "$after" -gt 10 ] && [ "$after" -lt 80 ]; }
measure "listed in the route"
expect "a share is lost" some
inside "$router" sysctl -qw net.ipv4.fib_multipath_use_neigh=1
measure "listed, use_neigh 1"
expect "nothing is lost" all
inside "$router" sysctl -qw net.ipv4.fib_multipath_use_neigh=0
measure "group of objects"
expect "nothing is lost, without the setting" all
for use in 0 1; do
  inside "$router" sysctl -qw "net.ipv4.fib_multipath_use_neigh=$use"
  measure "resilient group, use_neigh $use" "type resilient buckets 32 idle_timer 1"
  expect "a share is lost" some
done

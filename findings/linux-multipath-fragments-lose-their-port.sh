#!/usr/bin/env bash
# Expected: with net.ipv4.fib_multipath_hash_policy=1 (ports count) a fragmented packet takes the next hop of its flow as
# long as fragments are sent by a local socket, or at least its first fragment, which carries the ports, does.
# Found (Linux 6.18): a router hashes every fragment, the first one too, without ports: all fragments of all flows between
# two addresses take one and the same next hop, whole packets of the same flows are spread. What fragments leaves its flow.
. "$(dirname "$0")/lib/common.sh"
uname -r
namespace client; namespace router; namespace one; namespace two; namespace three
ip link add c0 netns "$client" type veth peer name c0 netns "$router"
ip -n "$client" address add 198.18.1.1/24 dev c0; ip -n "$client" link set c0 up
ip -n "$router" address add 198.18.1.254/24 dev c0; ip -n "$router" link set c0 up
ip -n "$client" route add default via 198.18.1.254
inside "$router" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.fib_multipath_hash_policy=1
hops=()
n=1
for target in "$one" "$two" "$three"; do
  ip link add "h$n" netns "$router" type veth peer name h0 netns "$target"
  ip -n "$router" address add "198.18.2$n.254/24" dev "h$n"; ip -n "$router" link set "h$n" up
  ip -n "$target" address add "198.18.2$n.1/24" dev h0; ip -n "$target" link set h0 up
  ip -n "$target" address add 203.0.113.1/32 dev lo
  ip -n "$target" route add default via "198.18.2$n.254"
  hops+=(nexthop via "198.18.2$n.1")
  n=$((n + 1))
done
ip -n "$router" route add 203.0.113.1/32 "${hops[@]}"
cat >"$work/send.js" <<'JS'
// 90 flows, five datagrams each, of argv[2] bytes.
const dgram = require("dgram");
(async () => {
  for (let flow = 0; flow < 90; flow++) {
    const socket = dgram.createSocket("udp4");
    await new Promise((resolve) => socket.bind(20000 + flow, "198.18.1.1", resolve));
    for (let count = 0; count < 5; count++)
      await new Promise((resolve) => socket.send(Buffer.alloc(+process.argv[2]), 9999, "203.0.113.1", resolve));
    socket.close();
  }
})();
JS
packets() { for n in 1 2 3; do ip -n "$router" -s -j link show "h$n" | sed -E 's/.*"tx":\{"bytes":[0-9]+,"packets":([0-9]+).*/\1/'; done; }
count() {
  mapfile -t before < <(packets)
  inside "$client" node "$work/send.js" "$1"
  mapfile -t after < <(packets)
  echo "$((after[0] - before[0])) $((after[1] - before[1])) $((after[2] - before[2]))"
}
whole=$(count 1000); fragments=$(count 2000)
echo "450 whole datagrams of 90 flows, by next hop:           $whole"
echo "450 datagrams in two fragments each, same flows:        $fragments"
spread() { local a b c; read -r a b c <<<"$whole"; [ "$a" -gt 60 ] && [ "$b" -gt 60 ] && [ "$c" -gt 60 ]; }
together() { local a b c; read -r a b c <<<"$fragments"; [ "$a" -ge 880 ] || [ "$b" -ge 880 ] || [ "$c" -ge 880 ]; }
expect "whole datagrams are spread over three next hops" spread
expect "fragments all take one next hop" together

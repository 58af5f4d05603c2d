#!/usr/bin/env bash
# Expected: a router that spreads flows over several next hops sends an ICMP error about a packet of a flow to the next hop
# that the flow itself takes: the one that sent the packet, and has to learn (RFC 7690 tells of it). Linux looks into ICMP
# errors for that under net.ipv4.fib_multipath_hash_policy=0.
# Found (Linux 6.18): under policy 1 (ports count) it does not: "fragmentation needed" about 90 flows spread over three servers
# comes to one of them, chosen by the addresses of whoever complains; the two others never hear that their packets are lost.
. "$(dirname "$0")/lib/common.sh"
debian nftables=1.0.6-2+deb12u2
uname -r
namespace client; namespace narrow; namespace router; namespace one; namespace two; namespace three
ip link add c0 netns "$client" type veth peer name c0 netns "$narrow"
ip link add r0 netns "$narrow" type veth peer name r0 netns "$router"
ip -n "$client" address add 198.18.1.1/24 dev c0; ip -n "$client" link set c0 up
ip -n "$narrow" address add 198.18.1.254/24 dev c0; ip -n "$narrow" link set c0 mtu 1300 up
ip -n "$narrow" address add 198.18.2.1/24 dev r0; ip -n "$narrow" link set r0 up
ip -n "$router" address add 198.18.2.254/24 dev r0; ip -n "$router" link set r0 up
ip -n "$client" route add default via 198.18.1.254
ip -n "$narrow" route add default via 198.18.2.254
ip -n "$router" route add 198.18.1.0/24 via 198.18.2.1
# One error for each packet: the usual limit of errors is out of the way.
inside "$narrow" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000 net.ipv4.icmp_msgs_burst=100000
inside "$router" sysctl -qw net.ipv4.ip_forward=1
cat >"$work/serve.js" <<'JS'
// Answers each datagram with one of 1,400 bytes, which the link to the client does not carry whole.
const socket = require("dgram").createSocket("udp4");
socket.on("message", (_, from) => socket.send(Buffer.alloc(1400), from.port, from.address));
socket.bind(9999, "203.0.113.1", () => console.log("serves"));
JS
cat >"$work/ask.js" <<'JS'
const dgram = require("dgram");
(async () => {
  for (let flow = 0; flow < 90; flow++) {
    const socket = dgram.createSocket("udp4");
    await new Promise((resolve) => socket.bind(20000 + flow, "198.18.1.1", resolve));
    await new Promise((resolve) => socket.send(Buffer.alloc(100), 9999, "203.0.113.1", resolve));
    socket.close();
  }
})();
JS
hops=()
n=1
for target in "$one" "$two" "$three"; do
  ip link add "h$n" netns "$router" type veth peer name h0 netns "$target"
  ip -n "$router" address add "198.18.3$n.254/24" dev "h$n"; ip -n "$router" link set "h$n" up
  ip -n "$target" address add "198.18.3$n.1/24" dev h0; ip -n "$target" link set h0 up
  ip -n "$target" address add 203.0.113.1/32 dev lo
  ip -n "$target" route add default via "198.18.3$n.254"
  # Counted, and kept from the server's kernel, which would learn from the first one and send smaller packets.
  inside "$target" nft -f - <<'NFT'
table ip t {
  counter asked { }
  counter told { }
  chain c {
    type filter hook prerouting priority raw;
    udp dport 9999 counter name asked
    icmp type destination-unreachable icmp code frag-needed counter name told drop
  }
}
NFT
  background "$work/server$n" inside "$target" node "$work/serve.js"
  until_true 20 grep -q serves "$work/server$n"
  hops+=(nexthop via "198.18.3$n.1")
  n=$((n + 1))
done
ip -n "$router" route add 203.0.113.1/32 "${hops[@]}"
read_counter() { inside "$1" nft list counter ip t "$2" | sed -nE 's/.*packets ([0-9]+).*/\1/p'; }
counted() { echo "$(read_counter "$one" "$1") $(read_counter "$two" "$1") $(read_counter "$three" "$1")"; }
sum_is() { local a b c; read -r a b c <<<"$(counted "$1")"; [ $((a + b + c)) = "$2" ]; }
inside "$client" node "$work/ask.js"  # neighbours are resolved by these
sleep 1
measure() {
  inside "$router" sysctl -qw "net.ipv4.fib_multipath_hash_policy=$1"
  for target in "$one" "$two" "$three"; do inside "$target" nft reset counters >/dev/null; done
  inside "$client" node "$work/ask.js"
  until_true 20 sum_is asked 90
  until_true 20 sum_is told 90
  asked=$(counted asked); told=$(counted told)
  echo "policy $1: datagrams by server $asked, errors about the answers by server $told"
}
measure 0
same() { [ "$asked" = "$told" ]; }
expect "policy 0: errors go where the flow goes" same
measure 1
spread() { local a b c; read -r a b c <<<"$asked"; [ "$a" -gt 10 ] && [ "$b" -gt 10 ] && [ "$c" -gt 10 ]; }
one_alone() { [[ " $told " == *" 90 "* ]]; }
expect "policy 1: flows are spread over three servers" spread
expect "policy 1: all errors go to one server" one_alone

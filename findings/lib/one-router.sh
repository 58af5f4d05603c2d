# A client, a router and a server in a row, each in a namespace: 198.18.1.1 - 198.18.1.254, 198.18.2.254 - 198.18.2.1.
# Sourced after common.sh.
sctp=$(realpath "$(dirname "${BASH_SOURCE[0]}")")/sctp.py
CLIENT=198.18.1.1
SERVER=198.18.2.1

one_router() {
  command -v python3 >/dev/null || { echo "needs Python 3"; exit 2; }
  namespace client; namespace router; namespace server
  ip link add c0 netns "$client" type veth peer name r1 netns "$router"
  ip link add s0 netns "$server" type veth peer name r2 netns "$router"
  ip -n "$client" address add $CLIENT/24 dev c0; ip -n "$client" link set c0 up
  ip -n "$server" address add $SERVER/24 dev s0; ip -n "$server" link set s0 up
  ip -n "$router" address add 198.18.1.254/24 dev r1; ip -n "$router" link set r1 up
  ip -n "$router" address add 198.18.2.254/24 dev r2; ip -n "$router" link set r2 up
  ip -n "$client" route add default via 198.18.1.254
  ip -n "$server" route add default via 198.18.2.254
  inside "$router" sysctl -qw net.ipv4.ip_forward=1
}

# from_client PORT TAG CHUNKS [wrong], from_server PORT TAG CHUNKS: a packet between the client's PORT and the server's 9999.
from_client() { inside "$client" python3 "$sctp" send $CLIENT $SERVER "$1" 9999 "${@:2}"; }
from_server() { inside "$server" python3 "$sctp" send $SERVER $CLIENT 9999 "$1" "${@:2}"; }
# rules: the router's, from standard input.
rules() { inside "$router" nft -f -; }
counter() { inside "$router" nft list counter ip t "$1" | sed -nE 's/.*packets ([0-9]+).*/\1/p'; }

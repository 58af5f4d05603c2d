#!/usr/bin/env bash
# Expected: an SCTP stack sizes its packets by the MTU of its own interface, or learns from EMSGSIZE, which the kernel
# answers on its own host at once.
# Found (libusrsctp 0.9.5 over raw sockets): it begins with 1,500 whatever the interface says, its packets carry DF, and
# where the interface's MTU is a little less (1,450 here, as behind a tunnel) a message of 3,000 bytes never leaves: the
# handshake is fine, then the same packet is tried for ever and fails with EMSGSIZE. With the path MTU set by hand
# (spp_pathmtu and SPP_PMTUD_DISABLE) it arrives at once.
. "$(dirname "$0")/lib/common.sh"
debian libusrsctp-dev=0.9.5.0-2 libusrsctp2=0.9.5.0-2 strace=6.1-0.1
echo "libusrsctp 0.9.5.0-2, Linux $(uname -r)"
cc -I "$root/usr/include" -o "$work/pair" "$(dirname "$0")/lib/usrsctp-pair.c" -L "$root/usr/lib/x86_64-linux-gnu" -lusrsctp 2>"$work/cc" \
  || cc -o "$work/pair" "$(dirname "$0")/lib/usrsctp-pair.c" -lusrsctp
namespace client; namespace server
ip link add c0 netns "$client" mtu 1450 type veth peer name s0 netns "$server" mtu 1450
ip -n "$client" address add 198.18.0.1/24 dev c0; ip -n "$client" link set c0 up
ip -n "$server" address add 198.18.0.2/24 dev s0; ip -n "$server" link set s0 up
# arrives PATH_MTU: whether 3,000 bytes arrive within 30 s.
arrives() {
  background "$work/server" nsenter "--net=/run/netns/$server" "$work/pair" server 198.18.0.2
  local listener=$!
  until_true 10 grep -q listening "$work/server"
  background "$work/client" nsenter "--net=/run/netns/$client" strace -D -f -qq -e trace=sendmsg -o "$work/calls" "$work/pair" client 198.18.0.1 198.18.0.2 3000 "$1"
  local sender=$!
  until_true 20 grep -q connected "$work/client"
  local result=1
  for _ in $(seq 300); do grep -q 'received' "$work/server" && { result=0; break; }; sleep 0.1; done
  echo "path MTU ${1/#0/left alone}: $(tail -1 "$work/server"); packets refused with EMSGSIZE: $(grep -c EMSGSIZE "$work/calls" || true)"
  kill -9 "$sender" "$listener"
  return $result
}
never() { ! arrives "$@"; }
expect "it never arrives" never 0
expect "with the path MTU told it does" arrives 1400

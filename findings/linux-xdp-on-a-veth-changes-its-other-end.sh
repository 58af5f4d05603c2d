#!/usr/bin/env bash
# Expected: a program at one end of a veth pair is a matter of that end; the other one, which may be in a container's namespace,
# keeps its settings.
# Found (Linux 6.18): the other end loses segmentation of TCP, SCTP and UDP, marked as "fixed" there, and takes no MTU above 3,506 any
# more: `mtu greater than device maximum`, with nothing to see at that end of why. A program that says that it can read packets in
# parts (`frags`) leaves the MTU alone, and takes the segmentation all the same.
. "$(dirname "$0")/lib/common.sh"
command -v python3 >/dev/null || { echo "needs Python 3"; exit 2; }
debian ethtool=1:6.1-1 iproute2=6.1.0-3
uname -r
namespace host; namespace container
ip link add h0 netns "$host" type veth peer name c0 netns "$container"
ip -n "$host" link set h0 up; ip -n "$container" link set c0 up
mkfifo "$work/done"
offers() { inside "$container" ethtool -k c0 | sed -nE "s/^\s*$1: //p"; }
state() {
  takes=$(inside "$container" ip link set c0 mtu 9000 2>&1 || true)
  inside "$container" ip link set c0 mtu 1500
  said="tcp $(offers tx-tcp-segmentation), sctp $(offers tx-sctp-segmentation), udp $(offers tx-udp-segmentation), MTU of 9000: ${takes:-taken}"
  echo "$1: $said"
}
is() { [ "$said" = "$1" ]; }
free="tcp on, sctp on, udp on, MTU of 9000: taken"
bound="tcp off [fixed], sctp off [fixed], udp off [fixed], MTU of 9000: Error: mtu greater than device maximum."
# with NAME [frags]: the container's end while a program is at the host's.
with() {
  : >"$work/xdp"
  background "$work/xdp" nsenter "--net=/run/netns/$host" sh -c 'exec python3 "$0" h0 $1 <"$2"' "$(dirname "$0")/lib/xdp-pass.py" "${2:-}" "$work/done"
  exec 3>"$work/done"
  until_true 20 grep -q attached "$work/xdp"
  state "$1"
  echo >&3; exec 3>&-
  detached() { ! ip -n "$host" link show h0 | grep -q xdp; }
  until_true 20 detached
}
state "no program"; expect "all on" is "$free"
with "XDP at the host's end"; expect "the container's end has lost them" is "$bound"
with "XDP with frags" frags; expect "it has lost segmentation only" is "${bound%: Error*}: taken"
state "no program any more"; expect "all on again" is "$free"

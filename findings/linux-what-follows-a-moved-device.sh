#!/usr/bin/env bash
# Expected: a device that moves to another network namespace, where it keeps its index, takes all BPF that is attached to it
# along, or nothing.
# Found (Linux 6.18): XDP and tcx programs go along. clsact, with all programs below it, is gone, as are the device's entries in
# device maps, by index or hash, although the index is the same; they do not come back with the device. A program that
# redirects by such a map goes on running and finds nothing there.
. "$(dirname "$0")/lib/common.sh"
command -v python3 >/dev/null || { echo "needs Python 3"; exit 2; }
debian iproute2=6.1.0-3
uname -r; ip -V
namespace here; namespace there
ip link add moved0 netns "$here" type veth peer name other0 netns "$here"
ip -n "$here" link set other0 up; ip -n "$here" link set moved0 up
inside "$here" python3 "$(dirname "$0")/lib/bpf.py" "$there" "$here" | tee "$work/said"
said() { grep -qxF "$1" "$work/said"; }
expect "before: all is there" said "before: index=yes xdp=yes tcx=yes clsact=yes devmap=yes devmap_hash=yes"
expect "in the other namespace: XDP and tcx only" said "there: index=yes xdp=yes tcx=yes clsact=no devmap=no devmap_hash=no"
expect "back again: the same" said "back: index=yes xdp=yes tcx=yes clsact=no devmap=no devmap_hash=no"

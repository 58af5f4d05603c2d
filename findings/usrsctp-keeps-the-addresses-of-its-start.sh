#!/usr/bin/env bash
# Expected: a socket that is bound to all addresses has those that the host has when it is bound, or when its association begins;
# an address that the host has can be bound to, one that it has no more cannot.
# Found (libusrsctp 0.9.5): addresses are read once, by usrsctp_init(). One that came later is in no list and is refused, without an
# errno; one that is gone is still listed, to be told to peers, and can be bound to. Start the process when its addresses are there.
. "$(dirname "$0")/lib/common.sh"
debian libusrsctp-dev=0.9.5.0-2 libusrsctp2=0.9.5.0-2
echo "libusrsctp 0.9.5.0-2, Linux $(uname -r)"
cc -I "$root/usr/include" -o "$work/addresses" "$(dirname "$0")/lib/usrsctp-addresses.c" -L "$root/usr/lib/x86_64-linux-gnu" -lusrsctp 2>"$work/cc" \
  || cc -o "$work/addresses" "$(dirname "$0")/lib/usrsctp-addresses.c" -lusrsctp
namespace host
ip link add h0 netns "$host" type veth peer name h1 netns "$host"
ip -n "$host" link set h0 up; ip -n "$host" link set h1 up
ip -n "$host" address add 198.18.0.1/24 dev h0
ip -n "$host" address add 198.18.1.1/24 dev h0
mkfifo "$work/go"
background "$work/said" nsenter "--net=/run/netns/$host" sh -c 'exec "$0" 7000 198.18.0.1 198.18.1.1 198.18.2.1 <"$1"' "$work/addresses" "$work/go"
exec 3>"$work/go"
until_true 20 grep -q started "$work/said"
ip -n "$host" address delete 198.18.1.1/24 dev h0
ip -n "$host" address add 198.18.2.1/24 dev h0
echo >&3
until_true 20 grep -q '198.18.2.1' "$work/said"
echo "--- the host has"; ip -n "$host" -4 -o address show dev h0 | awk '{ print $4 }'
echo "--- the stack"; cat "$work/said"
said() { grep -qxF "$1" "$work/said"; }
lacks() { ! said "$1"; }
expect "the address that stays is listed" said "lists 198.18.0.1"
expect "the address that is gone is listed" said "lists 198.18.1.1"
expect "and can be bound to" said "binds 198.18.1.1"
expect "the address that came is not listed" lacks "lists 198.18.2.1"
expect "and cannot be bound to" said "refuses 198.18.2.1"

#!/bin/sh
# An SCTP host of the demonstration. VIA names on which of its networks each VIP is looked for:
#   VIA="VIP@SUBNET VIP@GATEWAY"
# The VIPs lie outside Docker's subnets, and Docker routes nothing between its bridges: an on-link route makes the host
# ask for the VIP with ARP, which the VIP's owner answers. A gateway is a router that knows the VIP.
set -eu
for one in $VIA; do
  vip=${one%@*}
  case $one in
    *@*/*) ;;
    *) ip route replace "$vip/32" via "${one#*@}"; continue ;;
  esac
  device=$(ip -4 -o route show "${one#*@}" | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
  [ -n "$device" ] || { echo "no interface in ${one#*@}" >&2; exit 1; }
  ip route replace "$vip/32" dev "$device"
done
exec node --disable-warning=ExperimentalWarning /opt/watch.ts "$@"

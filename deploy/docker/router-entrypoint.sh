#!/bin/sh
# An FRR router of the demonstration: takes VIPs from the members at MEMBERS over BGP, watches them by BFD, and forwards.
set -eu
own=/tmp/frr
mkdir -p "$own"
{
  echo "router bgp 65000"
  echo " no bgp ebgp-requires-policy"
  for member in $MEMBERS; do
    echo " neighbor $member remote-as 65001"
    echo " neighbor $member passive"
    echo " neighbor $member bfd"
    echo " neighbor $member bfd profile members"
  done
} >"$own/bgpd.conf"
# A file of its own: beside it, FRR 8.4's bgpd drops what follows.
cat >"$own/bfdd.conf" <<END
bfd
 profile members
  detect-multiplier 3
  receive-interval $BFD_INTERVAL_MS
  transmit-interval $BFD_INTERVAL_MS
END
: >"$own/zebra.conf"
# Last: what is another's, root without FOWNER and DAC_OVERRIDE can neither write nor change.
mkdir -p /var/run/frr
chown -R frr:frr "$own" /var/run/frr
for daemon in zebra bfdd; do /usr/lib/frr/$daemon -d -f "$own/$daemon.conf" --log stdout; done
exec /usr/lib/frr/bgpd -f "$own/bgpd.conf" --log stdout

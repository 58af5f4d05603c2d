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
# Last: root without DAC_OVERRIDE writes nothing that is another's.
install -d -o frr -g frr /var/run/frr
chown -R frr:frr "$own"
for daemon in zebra bfdd; do /usr/lib/frr/$daemon -d -f "$own/$daemon.conf" --log stdout; done
exec /usr/lib/frr/bgpd -f "$own/bgpd.conf" --log stdout

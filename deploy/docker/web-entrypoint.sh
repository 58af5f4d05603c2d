#!/bin/sh
# A host of the demonstration that speaks TCP. VIA names on which of its networks each VIP is looked for, as in
# peer-entrypoint.sh: VIA="VIP@SUBNET". The first argument is what it does:
#
#   serve                 nginx on port 8080, with the file /big
#   download URL RATE     fetches URL with curl --limit-rate RATE, over and over, and says whether it came whole
set -eu
for one in $VIA; do
  device=$(ip -4 -o route show "${one#*@}" | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
  [ -n "$device" ] || { echo "no interface in ${one#*@}" >&2; exit 1; }
  ip route replace "${one%@*}/32" dev "$device"
done
# The same bytes everywhere: 40 MB of numbers.
big() { seq 1 10000000 | head -c 40000000; }

case $1 in
  serve)
    mkdir -p /tmp/files
    big >/tmp/files/big
    # One process, which needs no right to become another user.
    exec nginx -p /tmp -e stderr -g 'daemon off; master_process off; pid /tmp/pid;' -c /etc/nginx/holdfast.conf
    ;;
  download)
    digest=$(big | sha256sum)
    number=0
    while :; do
      number=$((number + 1))
      echo "download $number: begins"
      if got=$(curl --silent --show-error --fail --connect-timeout 5 --limit-rate "$3" "$2" | sha256sum) && [ "$got" = "$digest" ]; then
        echo "download $number: whole"
      else
        echo "download $number: BROKEN"
        sleep 1
      fi
    done
    ;;
  *) echo "serve or download, not $1" >&2; exit 2 ;;
esac

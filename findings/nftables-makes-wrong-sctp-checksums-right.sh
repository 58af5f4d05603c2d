#!/usr/bin/env bash
# Expected: a rule that sets a port (`dport set`, no connection tracking) leaves a damaged packet damaged, so that the receiver
# drops it: UDP's checksum is corrected by the difference.
# Found (Linux 6.18, nftables 1.0.6): SCTP's is computed anew over whatever is there. A packet that was damaged before the
# router is one with a right checksum behind it; the receiver takes it.
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/one-router.sh"
debian nftables=1.0.6-2+deb12u2
nft --version; uname -r
one_router
rules <<'NFT'
table ip t {
  chain c {
    type filter hook forward priority 0;
    sctp dport 9999 sctp dport set 8888
    udp dport 9999 udp dport set 8888
  }
}
NFT
background "$work/heard" nsenter "--net=/run/netns/$server" python3 "$sctp" hear
hears() { [ "$(grep -c hears "$work/heard")" = 2 ]; }
until_true 20 hears
heard() { grep -qxF "$1" "$work/heard"; }
for kind in right wrong; do
  port=$([ $kind = right ] && echo 1001 || echo 1002)
  from_client "$port" 7 DATA "${kind/right/}"
  inside "$client" python3 "$sctp" send-udp $CLIENT $SERVER "$port" 9999 "${kind/right/}"
done
came() { [ "$(grep -c ' 8888 ' "$work/heard")" = 4 ]; }
until_true 20 came
echo "--- from port 1001 with a right checksum, from 1002 with a wrong one"; grep ' 8888 ' "$work/heard"
expect "UDP, right stays right" heard "udp $CLIENT 1001 8888 right"
expect "UDP, wrong stays wrong" heard "udp $CLIENT 1002 8888 wrong"
expect "SCTP, right stays right" heard "sctp $CLIENT 1001 8888 right"
expect "SCTP, wrong is right behind the router" heard "sctp $CLIENT 1002 8888 right"

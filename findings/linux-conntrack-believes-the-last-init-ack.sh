#!/usr/bin/env bash
# Expected: connection tracking follows the handshake that the two hosts make. A client whose INIT was slow sends it again; the
# server, which keeps nothing, answers both with a tag each; the client goes on with the first answer and discards the
# second (RFC 9260 section 5.2.3), and its COOKIE-ECHO carries the first tag.
# Found (Linux 6.18): the tag of the last INIT-ACK counts. The COOKIE-ECHO is `ct state invalid`: a firewall that drops these
# drops it every time it is repeated, and where source addresses are translated it leaves with the client's own.
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/one-router.sh"
debian nftables=1.0.6-2+deb12u2
uname -r
one_router
rules <<'NFT'
table ip t {
  counter invalid { }
  counter established { }
  chain forwarded {
    type filter hook forward priority 0;
    meta l4proto sctp ct state invalid counter name invalid
    meta l4proto sctp ct state established counter name established
  }
  chain translated {
    type nat hook postrouting priority 100;
    oifname "r2" snat to 198.18.2.254
  }
}
NFT
from_server_to_router() { inside "$server" python3 "$sctp" send $SERVER 198.18.2.254 9999 "$@"; }
background "$work/heard" nsenter "--net=/run/netns/$server" python3 "$sctp" hear
hears() { [ "$(grep -c hears "$work/heard")" = 2 ]; }
until_true 20 hears
came() { [ "$(grep -c " $1 9999 " "$work/heard")" = "$2" ]; }
# shake PORT: the handshake as far as COOKIE-ECHO, with as many INITs and answers as there are further words, a tag each.
shake() {
  local port=$1 sent=0; shift
  for _ in "$@"; do from_client "$port" 0 INIT:1; sent=$((sent + 1)); until_true 10 came "$port" $sent; done
  for tag in "$@"; do from_server_to_router "$port" 1 "INIT-ACK:$tag"; done
  inside "$router" nft reset counters >/dev/null
  from_client "$port" "$1" COOKIE-ECHO
  until_true 10 came "$port" $((sent + 1))
  echo "--- answers with the tags $*, COOKIE-ECHO with $1: $(counter established) established, $(counter invalid) invalid; the server hears"
  grep " $port 9999 " "$work/heard"
}
source_is() { [ "$(grep " $1 9999 " "$work/heard" | tail -1 | cut -d' ' -f2)" = "$2" ]; }
was() { [ "$(counter established) $(counter invalid)" = "$1" ]; }
shake 1001 20
expect "one answer: COOKIE-ECHO is of the connection" was "1 0"
expect "and is translated" source_is 1001 198.18.2.254
shake 1002 20 30
expect "two answers: the COOKIE-ECHO of the first is invalid" was "0 1"
expect "and leaves with the client's address" source_is 1002 $CLIENT

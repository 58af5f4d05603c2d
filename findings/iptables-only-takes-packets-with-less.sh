#!/usr/bin/env bash
# Expected: `-m sctp --chunk-types only SACK,DATA` matches when "only the given chunk types are present … and none are missing"
# (iptables-extensions(8)): a packet of both. iptables-translate writes a rule of nftables with the same meaning.
# Found (iptables 1.8.9, Linux 6.18): a packet with one of the two is matched, too, so that `only` means "nothing else". The
# translation does as the page says, so that a rule which moves to nftables matches less than it did; as it is written, with the
# chunks i-data, re-config, pad and i-forward-tsn, nftables 1.0.6 of the same distribution does not even read it.
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/one-router.sh"
debian iptables=1.8.9-2 nftables=1.0.6-2+deb12u2
iptables --version; uname -r
one_router
translated=$(iptables-translate -A FORWARD -p sctp -m sctp --chunk-types only SACK,DATA | sed -E "s/^nft '?//; s/'$//")
echo "translated: $translated"
inside "$router" iptables -A FORWARD -p sctp -m sctp --chunk-types only SACK,DATA
rules <<'NFT'
table ip t {
  counter matched { }
  chain FORWARD { type filter hook forward priority 10; }
}
NFT
translated=${translated/ip filter FORWARD/ip t FORWARD}
refused() { ! inside "$router" nft -f - <<<"$translated" 2>/dev/null; }
expect "nftables does not read the translation" refused
translated=$(sed -E 's/sctp chunk (i-data|re-config|pad|i-forward-tsn) missing //g' <<<"$translated")
inside "$router" nft -f - <<<"${translated%counter}counter name matched"
by_iptables() { inside "$router" iptables -nvxL FORWARD | awk '/chunk-types|sctp/ && $1 ~ /^[0-9]+$/ { print $1 }'; }
matches() { # CHUNKS: by iptables and by nftables, as two numbers
  inside "$router" iptables -Z FORWARD; inside "$router" nft reset counters >/dev/null
  ports=$((ports + 1))
  from_client "$ports" 7 "$1"
  until_true 10 came "$ports"
  result="$(by_iptables) $(counter matched)"
  echo "$1: iptables $(by_iptables), its translation $(counter matched)"
}
ports=1000
background "$work/heard" nsenter "--net=/run/netns/$server" python3 "$sctp" hear
hears() { [ "$(grep -c hears "$work/heard")" = 2 ]; }
until_true 20 hears
came() { grep -q " $1 9999 " "$work/heard"; }
is() { [ "$result" = "$1" ]; }
matches SACK,DATA; expect "both chunks: both match" is "1 1"
matches SACK,DATA,HEARTBEAT; expect "a third chunk: neither matches" is "0 0"
matches DATA; expect "one of the two: iptables matches, its translation does not" is "1 0"
matches SACK; expect "the other of the two: the same" is "1 0"

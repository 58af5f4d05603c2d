#!/usr/bin/env bash
# Expected: attributes that a static route sets in its own block travel together over eBGP.
# Found (BIRD 2.0.12): community and prepended path arrive, MED does not, and nothing says so; `show route all` at the
# speaker shows it. A missing MED is the best one, so a route meant as second choice becomes the first. Set in the
# export filter, MED arrives.
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/bird.sh"
two_namespaces
speaker_configuration() {
  cat >"$work/speaker.conf" <<CONF
router id 198.18.0.1;
protocol device { scan time 1; }
protocol static addresses { ipv4;
  route 203.0.113.1/32 blackhole { bgp_med = 20; bgp_community.add((65001,2)); bgp_path.prepend(65001); }; }
protocol bgp to_router {
  local as 65001; neighbor 198.18.0.2 as 65000;
  connect delay time 1; connect retry time 1; error wait time 1,2;
  ipv4 { import none; export filter { if source != RTS_STATIC then reject; $1 accept; }; };
}
CONF
}
router_configuration "" ""
speaker_configuration ""
start_bird "$router" router
start_bird "$speaker" speaker
until_true 30 router_has 203.0.113.1/32
echo "--- at the speaker"; ask speaker show route all 203.0.113.1/32 | tee "$work/at-speaker"
echo "--- at the router, MED set in the route's block"; ask router show route all 203.0.113.1/32 | tee "$work/in-block"
speaker_configuration "bgp_med = 20;"
ask speaker configure
until_true 30 bash -c "$(declare -f ask); work=$work root=$root; ask router show route all 203.0.113.1/32 | grep -q 'BGP.med: 20'"
echo "--- at the router, MED set in the export filter"; ask router show route all 203.0.113.1/32
expect "the speaker shows the MED" grep -q 'BGP.med: 20' "$work/at-speaker"
expect "the community arrives" grep -q 'BGP.community: (65001,2)' "$work/in-block"
expect "the prepended path arrives" grep -q 'BGP.as_path: 65001 65001' "$work/in-block"
expect "the MED of the same block does not" bash -c "! grep -q 'BGP.med' '$work/in-block'"

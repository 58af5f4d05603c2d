#!/usr/bin/env bash
# Expected: a BGP speaker whose TCP port 179 is taken for the moment ends with an error, as GoBGP does, or tries again.
# Found (BIRD 2.0.12): it runs on, its session says "No listening socket", and it does not try again however long the port
# has been free; `configure` with the same file, which changes nothing, makes it listen.
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/bird.sh"
two_namespaces
cat >"$work/speaker.conf" <<CONF
log "$work/speaker.said" all;
router id 198.18.0.1;
protocol device { }
protocol bgp to_router { local as 65001; neighbor 198.18.0.2 as 65000; connect delay time 1; connect retry time 1; error wait time 1,2; ipv4 { import none; export none; }; }
CONF
router_configuration "" ""
start_bird "$router" router
background "$work/stranger" nsenter "--net=/run/netns/$speaker" node -e "require('node:net').createServer().listen(179, '::', () => console.log('listening'))"
stranger=$!
until_true 10 grep -q listening "$work/stranger"
start_bird "$speaker" speaker
deaf() { ask speaker show protocols | grep -q 'No listening socket'; }
until_true 20 deaf
kill -9 "$stranger"
is_free() { inside "$speaker" node -e "require('node:net').createServer().listen(179, '::', () => process.exit(0)).on('error', () => process.exit(1))"; }
until_true 10 is_free
# Twenty times the connect retry time.
for _ in $(seq 200); do sleep 0.1; done
echo "--- the port has been free for 20 s"; ask speaker show protocols
expect "the port is free" is_free
expect "the session has no listening socket all the same" deaf
ask speaker configure
until_true 20 established speaker
echo "--- after 'configure' of the same file"; ask speaker show protocols

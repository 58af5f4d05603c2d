#!/usr/bin/env bash
# Expected: `configure timeout N` that is not confirmed brings back what was running before it.
# Found (BIRD 2.0.12): it brings back the old *file*: a protocol that was `disabled` there and had been switched on by
# `enable` was announced before the configure, and during it, and is withdrawn by the undo.
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/bird.sh"
two_namespaces
cat >"$work/speaker.conf" <<CONF
router id 198.18.0.1;
protocol device { scan time 1; }
protocol static vip_one { disabled; ipv4; route 203.0.113.1/32 blackhole; }
protocol static vip_two { ipv4; route 203.0.113.2/32 blackhole; }
protocol bgp to_router {
  local as 65001; neighbor 198.18.0.2 as 65000;
  connect delay time 1; connect retry time 1; error wait time 1,2;
  ipv4 { import none; export where source = RTS_STATIC; };
}
CONF
router_configuration "" ""
start_bird "$router" router
start_bird "$speaker" speaker
until_true 30 router_has 203.0.113.2/32
ask speaker enable vip_one
until_true 30 router_has 203.0.113.1/32
echo "--- enabled by command: the router has it"; ask router show route
# One connection for configure, and for one more command after the undo.
cat >"$work/connection.js" <<'JS'
// Sends each line of the file argv[3] as it is written there, appends what comes to standard output.
const fs = require("fs");
const socket = require("net").connect(process.argv[2]);
socket.pipe(process.stdout);
let sent = 0;
setInterval(() => {
  const text = fs.readFileSync(process.argv[3], "utf8");
  socket.write(text.slice(sent));
  sent = text.length;
}, 100);
JS
: >"$work/to"
background "$work/answers" node "$work/connection.js" "$work/speaker.ctl" "$work/to"
sed 's/vip_one { disabled;/vip_one {/' "$work/speaker.conf" >"$work/next.conf"
echo "configure soft \"$work/next.conf\" timeout 2" >>"$work/to"
until_true 10 grep -q 'Reconfigured' "$work/answers"
expect "the configure itself keeps the route" router_has 203.0.113.1/32
until_true 30 grep -q 'undo' "$work/answers"
until_true 10 router_lacks 203.0.113.1/32
echo "--- after the undo"; ask router show route
echo "--- what the connection of the configure read"; cat "$work/answers"
expect "the undo withdraws the route that enable had made" router_lacks 203.0.113.1/32
expect "the other one stays" router_has 203.0.113.2/32

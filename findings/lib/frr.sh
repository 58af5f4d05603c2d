# FRR's daemons in the namespace $router, as root, without a watcher. Sourced after common.sh; needs $router.
FRR_VERSION=8.4.4-1.1~deb12u2

frr_daemons() {
  debian frr=$FRR_VERSION
  frr=$root/usr/lib/frr
  export LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$root/usr/lib/x86_64-linux-gnu/frr
  chmod 755 "$work"; mkdir -p "$work/frr"; chmod 777 "$work/frr"
  : >"$work/frr/zebra.conf"
  # FRR's daemons insist on a group frrvty; they see one in a mount namespace of their own.
  { grep -v '^frrvty:' /etc/group; echo frrvty:x:64999:root; } >"$work/group"
  cat >"$work/vty.js" <<'JS'
// One command to a daemon's socket, as vtysh sends it: text and a zero byte; three zero bytes and a status end the answer.
const socket = require("net").connect(process.argv[2]);
let answer = Buffer.alloc(0);
socket.write("enable\0");
let ends = 0;
socket.on("data", (data) => {
  answer = Buffer.concat([answer, data]);
  const end = answer.indexOf("\0\0\0");
  if (end < 0 || answer.length < end + 4) return;
  if (ends++ === 0) { answer = answer.subarray(end + 4); socket.write(process.argv[3] + "\0"); return; }
  process.stdout.write(answer.subarray(0, end));
  socket.destroy();
});
JS
}

# daemon NAME [OPTION...]: with the configuration $work/frr/NAME.conf.
daemon() {
  background "$work/frr/$1.log" unshare -m bash -c 'mount --bind "$0" /etc/group; exec nsenter "$@"' "$work/group" \
    "--net=/run/netns/$router" "$frr/$1" -u root -g root -z "$work/frr/zserv.api" --vty_socket "$work/frr" \
    -i "$work/frr/$1.pid" -f "$work/frr/$1.conf" "${@:2}"
}

# show DAEMON COMMAND: what vtysh would print.
show() { node "$work/vty.js" "$work/frr/$1.vty" "$2"; }

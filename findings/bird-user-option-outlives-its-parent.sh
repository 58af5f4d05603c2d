#!/usr/bin/env bash
# Expected: a BIRD started as a direct child with a parent-death signal (prctl PR_SET_PDEATHSIG) dies with its parent,
# whoever drops the privileges.
# Found (BIRD 2.0.12, Linux): with its own -u it lives on, and goes on announcing for nobody: the kernel clears the
# signal when a process changes its user. With setpriv, which changes the user first and sets the signal after, it dies.
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/bird.sh"
debian bird2=$BIRD_VERSION
bird=$root/usr/sbin/bird
namespace speaker
chmod 755 "$work"
printf 'router id 198.18.0.1;\nprotocol device { }\n' >"$work/speaker.conf"
mkdir -p "$work/run"; chmod 777 "$work/run"
# survives NAME COMMAND...: starts a parent that starts the command and waits; kills the parent; tells whether the child lives.
survives() {
  rm -f "$work/run/$1".*
  background "$work/$1.log" nsenter "--net=/run/netns/$speaker" bash -c \
    'setpriv "$@" & echo $! >'"$work/$1.child"'; wait' parent "${@:2}" -f -c "$work/speaker.conf" -s "$work/run/$1.ctl" -P "$work/run/$1.pid"
  local parent=$!
  until_true 20 test -S "$work/run/$1.ctl"
  local child; child=$(cat "$work/$1.child")
  processes+=("$child")
  until_true 20 "$root/usr/sbin/birdc" -s "$work/run/$1.ctl" show status
  kill -9 "$parent"
  # Given ten seconds: it takes some hundredths when it happens.
  for _ in $(seq 100); do
    case "$(awk '{ print $3 }' "/proc/$child/stat" 2>/dev/null)" in ""|Z) return 1 ;; esac
    sleep 0.1
  done
}
"$bird" --version 2>&1 || true; uname -r
nobody=$(id -u nobody); group=$(id -g nobody)
expect "with BIRD's own -u it outlives its parent" survives own --pdeathsig KILL "$bird" -u nobody -g "$(id -gn nobody)"
dies() { ! survives "$@"; }
expect "with the user changed by setpriv it dies with it" dies setpriv --reuid "$nobody" --regid "$group" --clear-groups \
  --inh-caps +net_admin,+net_bind_service,+net_raw --ambient-caps +net_admin,+net_bind_service,+net_raw --pdeathsig KILL "$bird"

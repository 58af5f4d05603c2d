#!/bin/sh
# Runs holdfast. `run` steps down from root to the user holdfast with the capabilities that the container has of those that it
# needs; with `make-certificates MEMBER…` it makes what the members of the compose file authenticate with.
set -eu

# Each member gets its own key and certificate, in a directory that no other member sees; the authority's key stays here.
if [ "${1:-}" = make-certificates ]; then
  shift
  authority=/authority
  [ -e "$authority/authority.crt" ] || holdfast certificates init --cluster "$HOLDFAST_CLUSTER_ID" --directory "$authority"
  number=0
  for member in "$@"; do
    place=/members/$member
    if [ ! -e "$place/member.crt" ]; then
      holdfast certificates issue "$member" --number "$number" --directory "$authority"
      cp "$authority/authority.crt" "$authority/cluster.secret" "$place/"
      mv "$authority/$member.key" "$place/member.key"
      cp "$authority/$member.crt" "$place/member.crt"
      chown -R holdfast:holdfast "$place"
    fi
    number=$((number + 1))
  done
  exit 0
fi

# linux/capability.h
has() { [ $(((capabilities >> $1) & 1)) = 1 ]; }
capabilities=$((0x$(sed -n 's/^CapPrm:[[:space:]]*//p' /proc/self/status)))

# What Node compiles is kept with the state: nothing else that is the daemon's own outlives the container.
export CACHE_DIRECTORY="${CACHE_DIRECTORY:-/var/lib/holdfast/cache}"

if [ "${1:-}" != run ] || [ "$(id -u)" != 0 ]; then exec holdfast "$@"; fi
# HOLDFAST_ROUTES="SUBNET@GATEWAY …": how clients behind routers are reached.
for one in ${HOLDFAST_ROUTES:-}; do ip route replace "${one%@*}" via "${one#*@}"; done
if ! has 0 || ! has 6 || ! has 7; then
  echo "holdfast-entrypoint: without CHOWN, SETGID and SETUID the daemon runs as root, with the container's capabilities" >&2
  exec holdfast "$@"
fi
kept=
for one in net_bind_service:10 net_admin:12 net_raw:13 sys_admin:21 sys_nice:23 perfmon:38 bpf:39; do
  if has "${one#*:}"; then kept=$kept,+${one%:*}; fi
done
pins=${HOLDFAST_DATA_PLANE_PIN_DIRECTORY:-/sys/fs/bpf/holdfast}
for own in "$pins" /var/lib/holdfast; do
  # Where it cannot be made the daemon says what is missing. One that is its own already is not looked into.
  mkdir -p "$own" 2>/dev/null || continue
  [ "$(stat -c %U "$own")" = holdfast ] || chown -R holdfast:holdfast "$own"
done
exec setpriv --reuid=holdfast --regid=holdfast --clear-groups --inh-caps="-all$kept" --ambient-caps="-all$kept" \
  --no-new-privs holdfast "$@"

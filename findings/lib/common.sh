# What the scripts of this folder share: a temporary folder, pinned Debian packages in it, network namespaces,
# processes that are stopped by their id. Sourced; everything is removed when the script ends.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root: it makes network namespaces"; exit 2; }

work=$(mktemp -d -t finding-XXXXXX)
root=$work/root
namespaces=()
processes=()
id=f$$

clean() {
  for process in "${processes[@]}"; do kill -9 "$process" 2>/dev/null || true; done
  for namespace in "${namespaces[@]}"; do ip netns delete "$namespace" 2>/dev/null || true; done
  [ -n "${KEEP:-}" ] || rm -rf "$work"
}
trap clean EXIT

# debian NAME=VERSION...: unpacks these packages, and what they need and this machine lacks, below $root.
# Nothing is installed.
debian() {
  mkdir -p "$work/deb/partial" "$root"
  apt-get -qq -o DPkg::Lock::Timeout=300 update
  apt-get -qq -y --no-install-recommends --reinstall --download-only -o APT::Sandbox::User=root \
    -o Dir::Cache::archives="$work/deb" install "$@" >/dev/null
  for file in "$work"/deb/*.deb; do [ ! -e "$file" ] || dpkg-deb -x "$file" "$root"; done
  export PATH=$root/usr/bin:$root/usr/sbin:$PATH
  export LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu
}

# namespace NAME: makes one, with its loopback up; NAME is then the variable that holds its full name.
namespace() {
  ip netns add "$id-$1"
  namespaces+=("$id-$1")
  printf -v "$1" '%s' "$id-$1"
  ip -n "$id-$1" link set lo up
}

# inside NAMESPACE COMMAND...
inside() { nsenter "--net=/run/netns/$1" "${@:2}"; }

# background FILE COMMAND...: starts it with its output in FILE; its id is then in $!, and is remembered.
background() {
  "${@:2}" >"$1" 2>&1 &
  processes+=($!)
  disown $!
}

# until_true SECONDS COMMAND...: waits for it.
until_true() {
  local end=$((SECONDS + $1))
  until "${@:2}" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || { echo "gave up after $1 s: ${*:2}"; return 1; }
    sleep 0.1
  done
}

# expect TEXT COMMAND...: the behaviour that was found; the script fails when it is another now.
expect() {
  if "${@:2}"; then echo "as found: $1"; else echo "CHANGED: $1"; exit 1; fi
}

#!/usr/bin/env bash
# Installs what Holdfast needs on a Debian machine with Node and npm, and builds its two C programs.
# Says what it does; does nothing that is already done. Root (or sudo) is needed for the Debian packages only.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { echo "setup: $*" >&2; }

# What each Debian package is for.
packages=(
  clang            # compiles the BPF program
  llvm             # llvm-strip for the BPF object
  libbpf-dev       # BPF headers, and libbpf itself
  libelf1          # libbpf's ELF reader
  libusrsctp-dev   # the SCTP stack of the test peer
  gcc libc6-dev    # compile the test peer
  iproute2         # namespaces and links of the lab
  ethtool          # offload settings of the lab's links
  tcpdump          # captures of the lab
  nftables         # the benchmarks' comparison
  conntrack        # empties nodes' connection tables, for the tests beside kube-proxy
  nginx-light      # what everybody serves and asks with, for the tests of TCP and UDP: it,
  curl             # … a download,
  wrk              # … many requests,
  iperf3           # … and streams
  procps           # process figures
  bird2            # the lab's routers, and the speaker of the bgp announcer
  frr              # the lab's other routers
  systemd          # systemd-analyze checks the unit file
  chromium         # the console's tests
  pngquant         # the docs' pictures of it
  # QEMU and other kernels, for one long test only: guests.sh, which that test runs
)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  say "installing Debian packages: ${missing[*]}"
  root=""
  [ "$(id -u)" = 0 ] || root=sudo
  $root apt-get -o DPkg::Lock::Timeout=300 update -qq
  $root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq \
    --no-install-recommends "${missing[@]}" >/dev/null
  # The lab starts BIRD, FRR and nginx itself, in its namespaces: this machine shall not speak BGP or serve because of it.
  for pair in bird2:bird frr:frr nginx-light:nginx; do
    case " ${missing[*]} " in
      *" ${pair%:*} "*) [ ! -d /run/systemd/system ] || $root systemctl disable --quiet --now "${pair#*:}" ;;
    esac
  done
fi

if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  say "installing npm packages, in the versions of package-lock.json"
  # Not `npm ci`: it refuses a lock file without the optional packages of platforms that a registry does not carry.
  npm install --no-save --no-audit --no-fund --loglevel=error >&2
fi
node_modules/.bin/node -e 'process.exit(+process.versions.node.split(".")[0] >= 22 ? 0 : 1)' ||
  { say "node_modules/.bin/node is too old or missing: run 'npm install' again and read its output"; exit 1; }

for build in packages/forwarder/build.sh packages/testkit/build.sh; do
  if [ -e "$build" ]; then bash "$build"; fi
done
# The page at /console.
node_modules/.bin/node packages/console/build.ts >/dev/null

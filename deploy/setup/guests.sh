#!/usr/bin/env bash
# Fetches what the test of kernels (test/field/00-kernels.long.test.ts) needs, which runs it by itself: QEMU, and Debian's
# cloud kernels, unpacked into .cache/guests and not installed. `npm run setup` does not: no other test needs them.
#
# .cache/guests/NAME/{vmlinuz,initrd,modules}; a kernel that the machine's Debian mirror does not carry is left out, and said.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD/.cache/guests

say() { echo "guests: $*" >&2; }

packages=(
  qemu-system-x86  # the machine, emulated: no KVM is needed
  busybox-static   # the first program of a guest
  cpio             # packs the first file system
  kmod             # finds the modules that a module needs
  zstd xz-utils    # unpack modules
)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  say "installing Debian packages: ${missing[*]}"
  apt-get -o DPkg::Lock::Timeout=300 update -qq
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null
fi

# Lists of other releases, kept apart from the machine's own, from the mirror that the machine uses.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 '/debian/$' ||
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -1)

# fetch NAME SUITE META: the kernel that the META package of the SUITE stands for.
fetch() {
  local name=$1 suite=$2 meta=$3 directory=$root/$1 work=$root/work-$1 options=() wanted file
  [ ! -e "$directory/initrd" ] || return 0
  rm -rf "$work" "$directory"
  mkdir -p "$work"/{lists/partial,cache/archives/partial,debs,tree}
  touch "$work/status"
  if [ "$suite" != own ]; then
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$work/sources.list"
    options=(-o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
      -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o "Dir::State::status=$work/status"
      -o APT::Sandbox::User=root -o Acquire::Languages=none)
    apt-get "${options[@]}" update -qq 2>/dev/null || { say "$name: the mirror has no $suite"; rm -rf "$work"; return 0; }
  fi
  # One package before Linux 7, which has its modules apart.
  wanted=$(apt-cache "${options[@]}" depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances "$meta" 2>/dev/null | grep -E '^linux-(image|binary|modules)-[0-9]\S+-cloud-amd64$' | sort -u || true)
  [ -n "$wanted" ] || { say "$name: $suite has no $meta"; rm -rf "$work"; return 0; }
  say "$name: fetching $(echo $wanted)"
  # shellcheck disable=SC2086
  (cd "$work/debs" && apt-get "${options[@]}" -o APT::Sandbox::User=root download -qq $wanted >/dev/null) ||
    { say "$name: cannot be fetched"; rm -rf "$work"; return 0; }
  for file in "$work"/debs/*.deb; do dpkg-deb -x "$file" "$work/tree"; done
  pack "$name" "$work/tree" "$directory"
  rm -rf "$work"
}

# pack NAME TREE DIRECTORY: kernel, modules and a first file system with what mounts the host's.
pack() {
  local tree=$2 directory=$3 modules version image module file line order=()
  modules=$(find "$tree" -type d -path '*lib/modules/*' -prune | head -1)
  version=$(basename "$modules")
  image=$(find "$tree" -name 'vmlinuz*' -type f | head -1)
  mkdir -p "$directory/modules/lib/modules" "$directory/first"/{bin,dev,proc,sys,host}
  mv "$image" "$directory/vmlinuz"
  mv "$modules" "$directory/modules/lib/modules/"
  depmod -b "$directory/modules" "$version"
  modules=$directory/modules/lib/modules/$version
  for module in virtio_pci virtiofs; do
    # Those that the kernel has inside need nothing.
    line=$(grep -E "/$module\.ko[^:]*:" "$modules/modules.dep" || true)
    for file in $(echo "${line#*:}" | tr ' ' '\n' | tac) ${line%%:*}; do
      local plain
      plain=$(basename "$file" | sed 's/\.\(xz\|zst\)$//')
      [ ! -e "$directory/first/$plain" ] || continue
      case $file in
        *.xz) xz -dc "$modules/$file" >"$directory/first/$plain" ;;
        *.zst) zstd -qdc "$modules/$file" >"$directory/first/$plain" ;;
        *) cp "$modules/$file" "$directory/first/$plain" ;;
      esac
      order+=("$plain")
    done
  done
  cp "$(command -v busybox)" "$directory/first/bin/busybox"
  cat >"$directory/first/init" <<INIT
#!/bin/busybox sh
b=/bin/busybox
\$b mount -t proc proc /proc; \$b mount -t sysfs sys /sys; \$b mount -t devtmpfs dev /dev
for module in ${order[*]-}; do \$b insmod /\$module; done
\$b mount -t virtiofs -o ro host /host
exec \$b chroot /host /bin/bash "\$(\$b sed -n 's/.*holdfast.guest=\([^ ]*\).*/\1/p' /proc/cmdline)"
INIT
  chmod +x "$directory/first/init"
  (cd "$directory/first" && find . | cpio -o -H newc --quiet) >"$directory/initrd.new"
  rm -rf "$directory/first"
  mv "$directory/initrd.new" "$directory/initrd"
}

mkdir -p "$root"
# 5.10: its verifier is stricter than 5.15's, of which no package is left.
fetch 5.10 bullseye linux-image-cloud-amd64
fetch 6.1 own linux-image-cloud-amd64
fetch 6.12 own linux-image-6.12-cloud-amd64
fetch newest trixie-backports linux-image-cloud-amd64
for directory in "$root"/*/; do [ ! -e "$directory/initrd" ] || basename "$directory"; done

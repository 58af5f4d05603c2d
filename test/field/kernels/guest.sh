# The first program of a guest, in the host's file system, which is read-only: makes what a machine has, runs the command
# that the kernel's command line names (base64), says how it ended, and switches the machine off.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run/home TMPDIR=/run/tmp
word() { sed -n "s/.*holdfast.$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts
mount -t tmpfs tmp /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs run /run
mkdir -p /run/home /run/tmp /run/netns /run/lock
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs trace /sys/kernel/tracing 2>/dev/null
dmesg -n 1
# What one process has stripped of its types and compiled, the next one need not.
export NODE_COMPILE_CACHE=/run/compiled
ulimit -l unlimited
ulimit -c 0
# The kernel asks for modules by itself; they lie with the kernel, not in the host's /lib.
printf '#!/bin/sh\nexec /usr/sbin/modprobe -d %s "$@"\n' "$(word modules)" >/run/modprobe
chmod +x /run/modprobe
echo /run/modprobe >/proc/sys/kernel/modprobe
/run/modprobe -a af_packet veth bridge macvlan 8021q bonding vrf sch_ingress cls_bpf tun 2>/dev/null
ip link set lo up
cd "$(word directory)" || exit
bash -c "$(word command | base64 -d)" </dev/null
echo "guest: exit $?"
sync
echo o >/proc/sysrq-trigger
while :; do read -r -t 60 _ </dev/console; done

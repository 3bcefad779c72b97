#!/bin/sh
# debian_root.sh BASE NAME WORK: boots systemd as process 1 of a machine that is a copy of the root BASE.
#
# Changes go to memory (an overlay whose upper layer is a tmpfs); mounts, processes, cgroups and the host name are in namespaces
# of the machine's own, which end with this script. The network is the caller's namespace. WORK is an empty directory; the root
# is WORK/root, for whoever enters the mount namespace. What stays is an empty control group, holdfast-NAME-PID.
#
# It calls itself: first for the mount and control group, then within the namespaces of the machine.
set -eu
base=$1 name=$2 work=$3 root=$3/root

if [ "${4-}" != machine ]; then
    [ "${4-}" = namespace ] || exec unshare --mount --propagation private "$0" "$base" "$name" "$work" namespace
    mount -t tmpfs tmpfs "$work"
    mkdir "$work/cgroup" "$work/upper" "$work/layer" "$root"
    mount -t cgroup2 cgroup2 "$work/cgroup"
    mkdir "$work/cgroup/holdfast-$name-$$"
    echo $$ >"$work/cgroup/holdfast-$name-$$/cgroup.procs"
    umount "$work/cgroup"
    exec unshare --mount --pid --ipc --uts --cgroup --fork --kill-child "$0" "$base" "$name" "$work" machine
fi

hostname "$name"
mount -t overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/layer" overlay "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
    : >"$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
: >"$root/dev/console"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
echo "$name" >"$root/etc/hostname"
ln -sf /dev/null "$root/etc/systemd/system/console-getty.service"
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" /lib/systemd/systemd --system --log-target=journal

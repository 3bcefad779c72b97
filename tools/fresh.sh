#!/bin/sh
# fresh.sh [--at REVISION] [COMMAND...]: a stranger's first minutes.
#
# Makes a bare Debian root (debootstrap's minimal variant, from the mirror that this machine uses), puts the tracked files
# of the working tree into it (or those of REVISION), and runs there what the README says: install make, then each COMMAND,
# "make demo" and "make test" unless others are named. Nothing outside the root is touched: mounts and processes live in
# namespaces of their own and end with this script, whichever way it ends.
set -eu
cd "$(dirname "$0")/.."
revision=
[ "${1-}" != --at ] || { revision=$2; shift 2; }
[ $# -gt 0 ] || set -- "make demo" "make test"

if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || { echo "A bare root needs root: sudo make fresh" >&2; exit 1; }
    exec sudo -n "$0" ${revision:+--at "$revision"} "$@"
fi

PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-fresh.XXXXXX")
root=$work/root
child=
finish() {
    [ -z "$child" ] || { kill -KILL "$child"; wait "$child"; } 2>/dev/null || true
    # The namespaces go a moment after their last process: until then their mounts may be busy.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        rm -rf --one-file-system "$work" 2>/dev/null && break
        sleep 0.5
    done
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

seconds() { date +%s; }
start=$(seconds)
tools/debian-root.sh "$root"
mkdir -p "$root/src/holdfast"
if [ -n "$revision" ]; then
    git archive "$revision"
else
    git ls-files -z | tar --null --ignore-failed-read -cf - -T - 2>/dev/null
fi | tar -xf - -C "$root/src/holdfast"
echo "fresh: a bare Debian root in $(($(seconds) - start)) s"

cat >"$work/inside" <<'INSIDE'
set -eu
root=$1
shift
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
    : >"$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
for command; do
    start=$(date +%s)
    echo "fresh: $command"
    status=0
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb ${CI:+CI=$CI} \
        chroot "$root" sh -c "cd /src/holdfast && $command" </dev/null || status=$?
    echo "fresh: $command: exit $status after $(($(date +%s) - start)) s"
    [ "$status" = 0 ] || exit "$status"
done
INSIDE
unshare --mount --pid --ipc --uts --fork --kill-child sh "$work/inside" "$root" \
    "apt-get -q update >/dev/null && apt-get -q install -y --no-install-recommends make >/dev/null 2>&1" "$@" &
child=$!
status=0
wait "$child" || status=$?
child=
[ "$status" = 0 ] && echo "fresh: green" || echo "fresh: RED" >&2
exit "$status"

#!/bin/sh
# package-test.sh BUILD [PYTEST ARGUMENT...]: the package on bare Debian roots, from installing to purging (test/package).
#
# Makes what the tests need and keeps it below BUILD/package: the package in two versions (built again when a tracked file
# has changed), and a bare root with systemd in which everything that the package depends on lies ready to be installed, since
# the tests' machines reach nobody but each other. "rm -r BUILD/package" begins anew.
set -eu
cd "$(dirname "$0")/.."
build=$1
shift
[ "$(id -u)" = 0 ] || { echo "Roots, mounts and namespaces need root: sudo make package-test" >&2; exit 1; }
mkdir -p "$build/package"
kept=$(cd "$build/package" && pwd)
PATH=$PATH:/usr/sbin:/sbin

# What a package is made of, and nothing that only tests and measures.
state=$(git ls-files -z -- meson.build meson_options.txt src sim fuzz packaging examples docs/packages.md README.md CHANGELOG.md tools/deb.sh |
    xargs -0 sha256sum 2>/dev/null | sha256sum)
if [ "$(cat "$kept/state" 2>/dev/null)" != "$state" ]; then
    rm -f "$kept"/*.deb "$kept/state"
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
    export SOURCE_DATE_EPOCH
    tools/deb.sh --out "$kept"
    tools/deb.sh --out "$kept" --version "$(sed -n "s/^ *version: '\(.*\)',$/\1/p" meson.build)+next"
    echo "$SOURCE_DATE_EPOCH" >"$kept/epoch"
    echo "$state" >"$kept/state"
fi

root=$kept/root
needs=$(for package in "$kept"/*.deb; do dpkg-deb --field "$package" Depends Recommends; done; sha256sum <tools/debian-root.sh)
if [ "$(cat "$kept/root.needs" 2>/dev/null)" != "$needs" ]; then
    rm -rf --one-file-system "$root" "$kept/root.needs"
    tools/debian-root.sh "$root" systemd-sysv dbus
    cp "$kept"/*.deb "$root/tmp"
    # In a mount namespace: whatever happens, nothing stays mounted.
    unshare --mount --pid --fork --kill-child sh -eu -c '
        mount -t proc proc "$1/proc"
        chroot "$1" sh -c "apt-get -q update && apt-get -q install -y --download-only /tmp/*.deb"
    ' sh "$root" >"$kept/root.log" 2>&1 </dev/null || { tail -n 20 "$kept/root.log" >&2; exit 1; }
    rm "$root"/tmp/*.deb
    echo "$needs" >"$kept/root.needs"
fi

HOLDFAST_PACKAGES=$kept exec tools/run-tests --build "$build" -- test/package "$@"

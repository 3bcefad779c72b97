#!/bin/sh
# deb.sh [--version VERSION] [--out DIR]: builds DIR/holdfast_VERSION_ARCH.deb (DIR: build) and prints its path.
#
# The tracked files of the working tree are copied to a folder of their own and built there by Debian's own tools, so that
# nothing else in the tree has a say. The same files give the same bytes: times are those of the last commit (or of
# SOURCE_DATE_EPOCH), and paths of the build folder are mapped away. Another VERSION than meson.build's is for trying upgrades.
set -eu
cd "$(dirname "$0")/.."
out=build
version=
while [ $# -gt 0 ]; do
    case $1 in
    --version) version=$2 ;;
    --out) out=$2 ;;
    *) sed -n '2s/^# //p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
[ -n "$version" ] || version=$(sed -n "s/^ *version: '\(.*\)',$/\1/p" meson.build)
dpkg --validate-version "$version"
case $version in *-*|*:*) echo "deb.sh: a version of the program itself has no '-' and no ':'" >&2; exit 2 ;; esac
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

mkdir -p "$out/deb"
out=$(cd "$out" && pwd)
# One path for all builds, whatever their version: the compiler's cache knows them again.
work=$out/deb/source
log=$out/deb/$version.log
rm -rf "$work"
mkdir "$work"
git ls-files -z | tar --null --ignore-failed-read -cf - -T - 2>/dev/null | tar -xf - -C "$work"
cp -r "$work/packaging/debian" "$work/debian"
sed -i "s/^\( *version: '\).*\(',\)$/\1$version\2/" "$work/meson.build"
cat >"$work/debian/changelog" <<CHANGELOG
holdfast ($version) unstable; urgency=medium

  * Built from its own source; what changed is in
    /usr/share/doc/holdfast/CHANGELOG.md.gz.

 -- The holdfast developers <holdfast@packages.invalid>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
CHANGELOG

# No symbols of their own: a package of debug information is not made.
(cd "$work" && env -u MAKEFLAGS -u MAKELEVEL -u CC LC_ALL=C.UTF-8 DEB_BUILD_OPTIONS="noddebs parallel=${JOBS:-$(nproc)}" \
    dpkg-buildpackage --build=binary --no-sign --no-check-builddeps) >"$log" 2>&1 </dev/null || { tail -n 40 "$log" | cut -c1-300 >&2; exit 1; }
package=holdfast_${version}_$(dpkg --print-architecture).deb
mv "$out/deb/$package" "$out/$package"
rm -rf "$work" "$out/deb/holdfast_${version}_"*.buildinfo "$out/deb/holdfast_${version}_"*.changes
echo "$out/$package"

#!/bin/sh
# compile.sh DIR [MESON OPTION...]: builds into DIR with the compiler that CC names (gcc if it names none).
#
# Sets the folder up once, again when the compiler changes, and passes options on when they change; the rest is ninja's,
# which says nothing when there is nothing to do.
set -eu
cd "$(dirname "$0")/.."
dir=$1
shift
CC=${CC:-gcc}
export CC
case " $* " in *b_sanitize*) set -- "$@" -Db_lundef=false ;; esac

quietly() {
    mkdir -p "$dir"
    "$@" >"$dir/setup.log" 2>&1 </dev/null || { cat "$dir/setup.log" >&2; exit 1; }
}
asked="$CC $*"
if [ ! -f "$dir/build.ninja" ] || [ "$(cat "$dir/compiler" 2>/dev/null)" != "$CC" ]; then
    rm -rf "$dir/meson-private" "$dir/meson-info" "$dir/build.ninja"
    quietly meson setup "$dir" "$@"
    echo "$CC" >"$dir/compiler"
elif [ $# -gt 0 ] && [ "$(cat "$dir/asked" 2>/dev/null)" != "$asked" ]; then
    quietly meson configure "$dir" "$@"
fi
[ $# -eq 0 ] || echo "$asked" >"$dir/asked"

# Meson's regeneration and "no work to do" are not news; what the compiler says is.
quietly ninja -C "$dir" build.ninja
if [ -t 1 ]; then
    exec ninja -C "$dir" --quiet </dev/null
fi
quietly ninja -C "$dir" --quiet

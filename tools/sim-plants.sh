#!/bin/sh
# sim-plants.sh [SEEDS]: proves that the simulator finds what it is for.
#
# Builds the simulator again and again, each time with another fault planted (meson option `plant`), and runs seeds until
# one is found. Ends with 1 if a fault lived through SEEDS seeds (1,000 unless told), or if the code without a
# fault breaks anything in as many.
set -eu
cd "$(dirname "$0")/.."
seeds=${1:-1000}
failed=0
dir=build-plant

for plant in ${PLANTS:-1 2 3 4 5 6 7 8 9 10 11 12 13 0}; do
    case $plant in
    0) what="nothing planted" ;;
    1) what="incarnation forgotten on rejoin" ;;
    2) what="indirect probe answered from a stale table" ;;
    3) what="local-health correction inverted" ;;
    4) what="leave applied twice" ;;
    5) what="cas without compare" ;;
    6) what="watch that skips a revision when it is resumed" ;;
    7) what="version used before it is kept, an older one after a restart" ;;
    8) what="voters changed two at once" ;;
    9) what="voter forgets its promise on restart" ;;
    10) what="acknowledgement of an older round counted" ;;
    11) what="lease counted from receipt" ;;
    12) what="promotion before the lease" ;;
    13) what="epoch not checked by the proxy" ;;
    esac
    [ -f $dir/build.ninja ] || meson setup $dir -Dtests=disabled >/dev/null
    meson configure $dir -Dplant=$plant >/dev/null
    ninja -C $dir --quiet sim/holdfast-sim >$dir/log </dev/null || { cat $dir/log >&2; exit 2; }
    more=
    [ "$plant" -lt 9 ] && [ "$plant" != 0 ] || more=--primary
    found=0
    $dir/sim/holdfast-sim --seed 1 --seeds "$seeds" --nodes 5 $more --first >$dir/found 2>&1 || found=$?
    [ "$found" -le 1 ] || { cat $dir/found >&2; exit "$found"; }
    if [ "$plant" = 0 ]; then
        echo "$what: $(tail -1 $dir/found)"
        [ "$found" = 0 ] || { failed=1; head -3 $dir/found; }
    elif [ "$found" = 0 ]; then
        echo "$what: not found in $seeds seeds"
        failed=1
    else
        echo "$what: found by seed $(($(sed -n 's/.*by seed \(0x[0-9a-f]*\) .*/\1/p' $dir/found | head -1))) of $seeds"
        sed -n '/broken at/s/^/    /p;/^holdfast-sim/s/^/    /p' $dir/found
    fi
done
exit "$failed"

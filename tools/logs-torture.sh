#!/bin/sh
# logs-torture.sh BUILD [ROTATIONS]: a log that is rotated in every way while it is written and followed, then a flood.
#
# Five seeds (SEEDS), ROTATIONS each (10,000 unless told): every line is to come exactly once, through stops and starts of
# the follower. Then FLOOD seconds of five times as much as is read: what was read and what was shed is what was written.
# Ends with one line; with 1 if anything was lost, repeated, wrong or not accounted for.
set -eu
cd "$(dirname "$0")/.."
torture=$1/src/sense/follow_torture
rotations=${2:-10000}
failed=0
runs=0

for seed in ${SEEDS:-1 2 3 4 5}; do
    runs=$((runs + 1))
    "$torture" --rotations "$rotations" --seed "$seed" || failed=$((failed + 1))
done
flood=kept
"$torture" --flood "${FLOOD:-60}" || flood=broken

if [ $failed = 0 ] && [ $flood = kept ]; then
    echo "logs-torture: $runs runs of $rotations rotations: no line lost, none repeated; the flood was read or shed and counted"
    exit 0
fi
echo "logs-torture: FAILED: $failed of $runs runs lost, repeated or spoilt lines; the flood's account was $flood"
exit 1

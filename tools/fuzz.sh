#!/bin/sh
# fuzz.sh RUNS [TARGET...]: fuzzes every decoder (or those named) for RUNS executions each and says what was covered.
#
# Two builds: one with AddressSanitizer and UBSan that looks for findings, one with clang's coverage that replays the corpus
# it grew. The corpus of the repository (fuzz/corpus/TARGET) is read, never written: what is found new stays in the build
# folder. A finding ends the run with the input's path; its bytes belong into fuzz/corpus/TARGET when the fault is mended.
set -eu
cd "$(dirname "$0")/.."
runs=$1
shift
build=build-fuzz
cover=build-fuzz-coverage
CC=clang tools/compile.sh $build -Dfuzzers=true -Dtests=disabled -Db_sanitize=address,undefined \
    -Dc_args=-fsanitize=fuzzer-no-link
CC=clang tools/compile.sh $cover -Dfuzzers=true -Dtests=disabled \
    -Dc_args='-fprofile-instr-generate -fcoverage-mapping' -Dc_link_args=-fprofile-instr-generate

[ $# -gt 0 ] || set -- $(cd $build/fuzz && ls | sed -n 's/^fuzz_\([a-z0-9_]*\)$/\1/p')
[ $# -gt 0 ] || { echo "fuzz.sh: no targets" >&2; exit 1; }

for target; do
    grown=$build/grown/$target
    seeds=fuzz/corpus/$target
    mkdir -p "$grown" $build/findings
    [ -d "$seeds" ] || seeds=
    dictionary=
    [ ! -f "fuzz/$target.dict" ] || dictionary=-dict=fuzz/$target.dict
    start=$(date +%s)
    # shellcheck disable=SC2086 # empty or one word
    if ! $build/fuzz/fuzz_"$target" -runs="$runs" -max_len=4096 -timeout=10 -print_final_stats=1 $dictionary \
            -artifact_prefix=$build/findings/"$target"- "$grown" $seeds >$build/"$target".log 2>&1 </dev/null; then
        tail -n 40 $build/"$target".log >&2
        echo "$target: a finding; the input is in $build/findings" >&2
        exit 1
    fi
    done_runs=$(sed -n 's/^stat::number_of_executed_units: *//p' $build/"$target".log)
    # shellcheck disable=SC2086
    LLVM_PROFILE_FILE=$cover/$target.profraw $cover/fuzz/fuzz_"$target" -runs=0 "$grown" $seeds >/dev/null 2>&1 </dev/null
    llvm-profdata merge -sparse -o $cover/"$target".profdata $cover/"$target".profraw
    lines=$(llvm-cov report $cover/fuzz/fuzz_"$target" -instr-profile=$cover/"$target".profdata src/wire src/view src/conf src/daemon src/mesh |
        awk '$1 ~ /\.c$/ && $8 > 0 && $8 != $9 { n += $8; missed += $9 } END { if (n) printf "%.1f%% of %d lines", 100 * (n - missed) / n, n }')
    echo "$target: $done_runs executions in $(($(date +%s) - start)) s, no finding; covers ${lines:-nothing} of the files it reaches"
done

#!/bin/sh
# run.sh [SECONDS] [TARGET...]: builds the fuzz targets with libFuzzer under ASan and UBSan and runs them one after the other, SECONDS each
# (900). Starts from the seeds that the targets make themselves and from tests/fuzz/corpus/TARGET; what it learns stays in
# build-fuzz/corpus/TARGET and is used again. Exit 1 if a target found something; the input is then in build-fuzz/findings.
# Needs clang with its fuzzer runtime (libclang-rt-dev on Debian). JOBS=N limits the compile jobs.
set -e
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
seconds=${1:-900}
[ $# -gt 0 ] && shift
targets=${*:-onnx safetensors arrays table tokenizer calib recipe}
[ -f build-fuzz/build.ninja ] || CC="${CC:-clang}" meson setup build-fuzz -Dtests=enabled -Dfuzzing=libfuzzer -Doptimization=1 \
    -Db_sanitize=address,undefined -Db_lundef=false -Donednn=disabled -Dpython=disabled -Dgo=disabled >/dev/null
for t in $targets; do
    ninja -C build-fuzz ${JOBS:+-j$JOBS} tests/fuzz/fuzz_$t tests/fuzz/fuzz_${t}_replay >/dev/null
done
mkdir -p build-fuzz/findings
bad=0
for t in $targets; do
    corpus=build-fuzz/corpus/$t
    kept=
    [ -d "tests/fuzz/corpus/$t" ] && kept=tests/fuzz/corpus/$t
    mkdir -p "$corpus"
    build-fuzz/tests/fuzz/fuzz_${t}_replay --write "$corpus" >/dev/null
    dict=
    [ -f tests/fuzz/$t.dict ] && dict=-dict=tests/fuzz/$t.dict
    echo "$t: $seconds s"
    nice -n 19 build-fuzz/tests/fuzz/fuzz_$t -max_total_time=$seconds -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=1024 -max_len=65536 \
        -print_final_stats=1 -artifact_prefix=build-fuzz/findings/$t- $dict "$corpus" $kept >build-fuzz/$t.log 2>&1 || bad=1
    grep -E 'DONE|stat::number_of_executed_units|SUMMARY|Test unit written' build-fuzz/$t.log || tail -5 build-fuzz/$t.log
done
exit $bad

#!/bin/sh
# What a run of a tiny model costs from C and from Go, and the difference: sh bench_go.sh BUILD. Exit status 1 if Exec.Run costs more than
# 2 us above C. Measure on a quiet machine.
set -eu
build=$(cd "${1:?a build folder}" && pwd)
source=$(cd "$(dirname "$0")/../.." && pwd)
ninja -C "$build" tests/bench/bench_calls >/dev/null
c=$("$build/tests/bench/bench_calls")
go=$(sh "$source/tests/bindings/go/run.sh" bench "$source" "$build")
{ echo "$c"; echo "$go"; } | awk '
function median(list, n,   i, k, t) { # of few
    for (i = 1; i <= n; i++) for (k = i + 1; k <= n; k++) if (list[k] < list[i]) { t = list[i]; list[i] = list[k]; list[k] = t }
    return list[int((n + 1) / 2)]
}
$1 == "plain" { plain = $2 }
$1 == "owned" { owned = $2 }
$1 ~ /^BenchmarkRun/ { run[++r] = $3 }
$1 ~ /^BenchmarkBound/ { bound[++b] = $3 }
END {
    if (!plain || !r || !b) { print "a figure is missing"; exit 1 }
    x = median(run, r); y = median(bound, b)
    printf "C   mcomp_exec_run                    %5.2f us\nC   and the output as a new tensor    %5.2f us\n", plain / 1000, owned / 1000
    printf "Go  Bound.Run                         %5.2f us  %+.2f above mcomp_exec_run\n", y / 1000, (y - plain) / 1000
    printf "Go  Exec.Run (outputs are new tensors)%5.2f us  %+.2f above mcomp_exec_run\n", x / 1000, (x - plain) / 1000
    exit x - plain > 2000
}'

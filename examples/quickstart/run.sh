#!/bin/sh
# The quick start: from a fresh Debian 12 machine to a measured INT8 model in one command. Installs what is missing (root or sudo),
# builds, takes a byte-level text classifier (sections.onnx, trained by train/train.py) through inspect, calibrate, quantize and
# bench on this machine's own package index, and prints the table.
#
#   sh examples/quickstart/run.sh [--short] [--out DIR]
#
# --short uses fewer samples and ends within two minutes after the build. DIR (default quickstart-out) gets run.json, the quantized
# model and the data.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
short=
out=quickstart-out
while [ $# -gt 0 ]; do
    case $1 in
    --short) short=1; shift ;;
    --out) out=${2:?--out needs a folder}; shift 2 ;;
    *) echo "usage: sh examples/quickstart/run.sh [--short] [--out DIR]" >&2; exit 1 ;;
    esac
done
mkdir -p "$out"
out=$(cd "$out" && pwd)

echo "== packages and build"
sh "$root/tests/support/install.sh" build
build=$root/build-quickstart
[ -f "$build/build.ninja" ] || meson setup "$build" "$root" --buildtype=release -Dtests=disabled >"$out/build.log" 2>&1 || { cat "$out/build.log"; exit 1; }
ninja -C "$build" >"$out/build.log" 2>&1 || { tail -40 "$out/build.log"; exit 1; }
mcomp=$build/examples/mcomp/mcomp
export MCOMP_BACKEND_PATH="$build/lib/backends/onednn"

echo "== data: names, descriptions and sections of this machine's package index"
sh "$here/data.sh" "$out/packages.tsv"
cut -f1 "$out/packages.tsv" | sort | uniq -c | grep -v split | awk '{printf "%s %s rows\n", $2, $1}'

# every=N keeps each N-th row: the index is sorted by name, and its beginning is not like the rest of it.
if [ -n "$short" ]; then calib=20 eval=5 seconds=3; else calib=10 eval=1 seconds=10; fi
model=$here/sections.onnx
text="--tokenizer bytes --max-length 96"
echo "== inspect"
"$mcomp" inspect "$model"
echo "== calibrate, quantize, evaluate (test rows were not used for training, calibration or any choice)"
# shellcheck disable=SC2086
"$mcomp" quantize "$model" --calib "$out/packages.tsv@split=calib,every=$calib" --eval "$out/packages.tsv@split=test,every=$eval" $text -f \
    -o "$out/sections.int8.onnx" --json >"$out/run.json"
echo "== bench: original and quantized, paired and interleaved, batch 1"
# shellcheck disable=SC2086
"$mcomp" bench "$model" "$out/sections.int8.onnx" --data "$out/packages.tsv@split=test,every=300" $text --seconds "$seconds" --json >"$out/bench.json"
python3 "$here/table.py" "$out/run.json" "$out/bench.json" "$here/baseline.json"
echo "run.json, bench.json and the model are in $out"

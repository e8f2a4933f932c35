#!/bin/sh
# examples/cpp built as its head says, by each C++ compiler there is, against the library as it is installed, then against the build folder,
# and run: on a model that it builds, and where there is test data on a real one. sh example.sh SOURCE BUILD
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
meson install -C "$2" --no-rebuild --quiet --destdir "$tmp/root" >"$tmp/said" 2>&1 || { cat "$tmp/said"; exit 1; }
pc=$(find "$tmp/root" -name libmcomp.pc)
lib=$(dirname "$(find "$tmp/root" -name libmcomp.so)")
[ -n "$pc" ]
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$tmp/root" LD_LIBRARY_PATH="$lib"
integers() { # the line of the scheme says that every node runs on integers, the next that the output stayed
    grep -q "scheme int8, 3 of 3 nodes on integers" "$tmp/said" && awk '/largest difference/ { ok = $(NF - 1) < 5 } END { exit !ok }' "$tmp/said"
}
n=0
for cxx in g++ clang++; do
    if ! command -v "$cxx" >/dev/null; then
        [ "${CI:-}" != true ] || { echo "$cxx is missing under CI"; exit 1; }
        continue
    fi
    n=$((n + 1))
    # shellcheck disable=SC2046
    "$cxx" -std=c++17 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror "$1/examples/cpp/quantize.cpp" \
        $(pkg-config --cflags --libs libmcomp) -o "$tmp/quantize"
    "$tmp/quantize" "$tmp/built.onnx" >"$tmp/said"
    cat "$tmp/said"
    integers
    code=0
    "$tmp/quantize" /no/such/model.onnx x.npz "$tmp/none.onnx" 2>"$tmp/said" || code=$?
    [ "$code" -eq 2 ] && grep -q 'PATH: .*/no/such/model.onnx' "$tmp/said" && [ ! -e "$tmp/none.onnx" ]
    if [ -n "${MCOMP_TEST_DATA:-}" ]; then
        d=$MCOMP_TEST_DATA/datasets
        "$tmp/quantize" "$MCOMP_TEST_DATA/models/mnist8.onnx" "idx:$d/train-images-idx3-ubyte.gz,$d/train-labels-idx1-ubyte.gz@limit=100" "$tmp/real.onnx" >"$tmp/said"
        cat "$tmp/said"
        integers
    fi
    export PKG_CONFIG_PATH="$2/meson-uninstalled" LD_LIBRARY_PATH="$2/lib" PKG_CONFIG_SYSROOT_DIR=
done
[ "$n" -gt 0 ] || { echo "SKIPPED: no C++ compiler"; exit 77; }

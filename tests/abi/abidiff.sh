#!/bin/sh
# Compares the built library with the stored baseline docs/abi/libmcomp-0.abi; --update rewrites the baseline (a commit that does so
# also adds a block to layout.c and a CHANGELOG line). Needs abidiff/abidw (abigail-tools) and debug information.
set -eu
lib=$1
root=$2
base=$root/docs/abi/libmcomp-0.abi
if ! command -v abidiff >/dev/null 2>&1; then
    [ "${CI:-}" != true ] || { echo "abidiff is missing under CI"; exit 1; }
    echo "SKIPPED: abidiff is not installed (abigail-tools)"
    exit 77
fi
if [ "${3:-}" = --update ]; then
    mkdir -p "$root/docs/abi"
    abidw --headers-dir "$root/include/mcomp" --drop-private-types --no-corpus-path --no-comp-dir-path --no-show-locs "$lib" >"$base"
    exit 0
fi
code=0
abidiff --headers-dir2 "$root/include/mcomp" --drop-private-types --no-added-syms "$base" "$lib" || code=$?
[ "$code" -eq 0 ] || { echo "the ABI changed (abidiff $code)"; exit 1; }
echo "abi: no change"

#!/bin/sh
# Builds the oneDNN plugin against oneDNN 3.x (the package onednn-devel, in a throw-away virtual environment) and runs the
# plugin's own test on it. usage: onednn3.sh SOURCE_DIR TEST_EXECUTABLE. Exit 77: the package cannot be had here.
set -u
source=$1
exe=$2
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv" >/dev/null 2>&1 || exit 77
"$dir/venv/bin/pip" -q install onednn-devel >/dev/null 2>&1 || { echo "SKIP: onednn-devel cannot be installed"; exit 77; }
root=$dir/venv
[ -f "$root/include/dnnl.h" ] && [ -f "$root/lib/libdnnl.so.3" ] || { echo "SKIP: the package has no oneDNN 3"; exit 77; }
cc=${CC:-cc}
$cc -std=gnu11 -D_GNU_SOURCE -O2 -fPIC -fvisibility=hidden -Wall -Wextra -Werror -shared -I"$root/include" -I"$source/include" \
    "$source"/lib/backends/onednn/*.c -o "$dir/libmcomp-onednn.so" -L"$root/lib" -l:libdnnl.so.3 \
    -Wl,-rpath,"$root/lib" -Wl,-rpath-link,"$root/lib" -Wl,-z,nodelete -lm || exit 1
# This build of oneDNN takes its CPU device from the OpenCL runtime that is installed beside it.
[ -f "$root/lib/libintelocl.so" ] && export OCL_ICD_FILENAMES="$root/lib/libintelocl.so"
export ONEDNN_PLUGIN="$dir/libmcomp-onednn.so"
LD_LIBRARY_PATH="$root/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export LD_LIBRARY_PATH
"$exe"

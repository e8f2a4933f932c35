#!/bin/sh
# Makes a wheel that carries the built library: sh build_wheel.sh BUILD_DIR OUT_DIR. BUILD_DIR is meson's. Works on a copy, needs
# Debian's python3-setuptools and python3-wheel ($PYTHON: another Python that has them), and no network. The wheel needs what the
# library itself needs of the system: libjansson4, libprotobuf-c1, libmd0, zlib1g, libutf8proc2, libpcre2-8-0, and libdnnl2 for the oneDNN plugin.
set -eu
build=${1:?usage: build_wheel.sh BUILD_DIR OUT_DIR}
out=${2:?usage: build_wheel.sh BUILD_DIR OUT_DIR}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/pyproject.toml" "$here/setup.py" "$here/README.md" "$here/../../LICENSE" "$work/"
mkdir "$work/mcomp"
cp "$here"/mcomp/*.py "$here/mcomp/py.typed" "$work/mcomp/"
cp -L "$build/lib/libmcomp.so" "$work/mcomp/"
for plugin in "$build"/lib/backends/*/libmcomp-*.so; do
    [ -f "$plugin" ] || continue
    mkdir -p "$work/mcomp/backends-1"
    cp "$plugin" "$work/mcomp/backends-1/"
done
if command -v strip >/dev/null 2>&1; then find "$work/mcomp" -name '*.so' -exec strip --strip-unneeded {} +; fi
cd "$work"
"${PYTHON:-python3}" -c 'import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])' "$out" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
ls "$out"/mcomp-*.whl

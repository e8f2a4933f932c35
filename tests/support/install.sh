#!/bin/sh
# Installs the Debian packages that are missing: sh install.sh build|test. Does nothing when all are there.
set -eu
build="gcc g++ libc6-dev meson ninja-build pkg-config libjansson-dev libprotobuf-c-dev protobuf-c-compiler libmd-dev zlib1g-dev libutf8proc-dev libpcre2-dev libyaml-dev libdnnl-dev"
tests="check python3 python3-numpy python3-pytest python3-setuptools python3-wheel python3-pip python3-venv abigail-tools binutils git golang-go"
case ${1:-build} in
test) want="$build $tests" ;;
ci) want="$build $tests clang" ;;
*) want=$build ;;
esac
missing=
for p in $want; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -eq 0 ]; then sudo=; elif command -v sudo >/dev/null 2>&1; then sudo=sudo; else
    echo "these packages are missing and this is neither root nor is there sudo:$missing" >&2
    exit 5
fi
echo "installing:$missing"
log=$(mktemp)
# shellcheck disable=SC2086
{ $sudo apt-get update -q && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1 || { tail -20 "$log"; rm -f "$log"; exit 5; }
rm -f "$log"

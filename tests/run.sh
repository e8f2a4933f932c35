#!/bin/sh
# Builds libmcomp and runs its tests, from a fresh Debian 12 machine on: installs what is missing (root or sudo), configures
# build-test/, builds, runs, and closes with the line "N passed, N failed, N skipped".
#
#   sh tests/run.sh [--suite quick|slow|all] [--data FOLDER] [--build-dir DIR] [-Doption=value ...]
#
# FOLDER is a folder with test models and data; without it the tests that need it say SKIPPED (under CI=true they fail).
set -eu
cd "$(dirname "$0")/.."
suite=quick
data=${MCOMP_TEST_DATA:-}
dir=build-test
options=
while [ $# -gt 0 ]; do
    case $1 in
    --suite) suite=${2:?--suite needs quick, slow or all}; shift 2 ;;
    --data) data=${2:?--data needs a folder}; shift 2 ;;
    --build-dir) dir=${2:?--build-dir needs a folder}; shift 2 ;;
    -D*) options="$options $1"; shift ;;
    *) echo "usage: sh tests/run.sh [--suite quick|slow|all] [--data FOLDER] [--build-dir DIR] [-Doption=value ...]" >&2; exit 1 ;;
    esac
done
case $suite in quick | slow | all) ;; *) echo "tests/run.sh: --suite is quick, slow or all" >&2; exit 1 ;; esac

sh tests/support/install.sh test

[ -z "$data" ] || data=$(cd "$data" && pwd)
if [ ! -f "$dir/build.ninja" ]; then
    # shellcheck disable=SC2086
    meson setup "$dir" -Dtests=enabled "-Dtest_data=$data" $options >"$dir.setup.log" 2>&1 || { cat "$dir.setup.log"; rm -f "$dir.setup.log"; exit 1; }
    mv "$dir.setup.log" "$dir/setup.log"
else
    # shellcheck disable=SC2086
    meson configure "$dir" "-Dtest_data=$data" $options
fi
ninja -C "$dir" >"$dir/build.log" 2>&1 || { grep -E -A12 'FAILED|error:|warning:' "$dir/build.log" | head -80; echo "the build failed: $dir/build.log"; exit 1; }

status=0
case $suite in
all) meson test -C "$dir" --no-rebuild --print-errorlogs || status=$? ;;
*) meson test -C "$dir" --no-rebuild --print-errorlogs --suite "$suite" || status=$? ;;
esac
python3 tests/support/summary.py "$dir/meson-logs/testlog.json" || status=1
exit "$status"

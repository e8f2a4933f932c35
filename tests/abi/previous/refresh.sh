#!/bin/sh
# Replaces the frozen headers by those of a release: sh refresh.sh TAG (README.md: when). With --check: the copy is what frozen.sha256 says.
set -eu
cd "$(dirname "$0")"
if [ "${1:?a tag, or --check}" = --check ]; then
    ls include/mcomp | sed 's|^|include/mcomp/|' | sort >"${TMPDIR:-/tmp}/previous.$$"
    awk '{print $2}' frozen.sha256 | sort | cmp - "${TMPDIR:-/tmp}/previous.$$" || { rm -f "${TMPDIR:-/tmp}/previous.$$"; echo "files were added or removed"; exit 1; }
    rm -f "${TMPDIR:-/tmp}/previous.$$"
    exec sha256sum --quiet -c frozen.sha256
fi
git rev-parse -q --verify "$1^{commit}" >/dev/null || { echo "no such tag: $1"; exit 1; }
root=$(git rev-parse --show-toplevel)
rm -f include/mcomp/*.h
for path in $(git -C "$root" ls-tree --name-only "$1" include/mcomp/ | grep '\.h$'); do
    git -C "$root" show "$1:$path" >"$path"
done
sha256sum include/mcomp/*.h >frozen.sha256
echo "now say in README.md which release this is; structs.inc and use.c get its new structs"

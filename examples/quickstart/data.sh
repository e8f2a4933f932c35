#!/bin/sh
# Writes OUT (a .tsv with the columns split, label, text) from this machine's own package index: one row a package of the 20
# largest sections. text is "name: one-line description", label the section. Packages built from one source share their
# split (a hash of the source's name: 10 % test, 10 % calib, 80 % train), so that near-copies never sit on both sides.
# Usage: sh data.sh OUT
set -eu
out=${1:?usage: data.sh OUT}
tmp=$out.tmp.$$
trap 'rm -f "$tmp"' EXIT
apt-cache dumpavail | LC_ALL=C awk '
BEGIN {
    for (i = 1; i < 256; i++) code[sprintf("%c", i)] = i
    n = split("libs libdevel python doc perl devel utils haskell net rust golang javascript java science admin ruby gnu-r games x11 text", s, " ")
    for (i = 1; i <= n; i++) wanted[s[i]] = 1
    print "split\tlabel\ttext"
}
function flush_row(   h, i, split_name) {
    sub(/.*\//, "", section)
    if (name != "" && text != "" && (section in wanted) && !((name) in seen)) {
        seen[name] = 1
        if (source == "") source = name
        h = 5381
        for (i = 1; i <= length(source); i++) h = (h * 33 + code[substr(source, i, 1)]) % 1000003
        h = h % 10
        split_name = h == 0 ? "test" : h == 1 ? "calib" : "train"
        gsub(/[\t\r]/, " ", text)
        printf "%s\t%s\t%s: %s\n", split_name, section, name, text
    }
    name = source = section = text = ""
}
/^Package: / { flush_row(); name = $2 }
/^Source: / { source = $2 }
/^Section: / { section = $2 }
/^Description(-en)?: / { if (text == "") { text = $0; sub(/^[^:]*: /, "", text) } }
END { flush_row() }' >"$tmp"
rows=$(wc -l <"$tmp")
if [ "$rows" -lt 5000 ]; then
    echo "data.sh: only $rows packages in the index; run 'apt-get update' first" >&2
    exit 2
fi
mv "$tmp" "$out"

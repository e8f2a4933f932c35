#!/bin/sh
# Draws the report of the fixture with headless Chromium, for eyes: light, dark, narrow, two runs, paper. For whoever changes the page; as a test
# (slow suite) it says that every drawing was made and is not blank.
#
#   screenshot.sh MCOMP OUT_DIR      exit status 77 (skipped) where there is no chromium
set -eu
mcomp=$1
here=$(cd "$(dirname "$0")" && pwd)
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
[ -n "$browser" ] || { echo "SKIPPED: no chromium"; exit 77; }
mkdir -p "$2"
out=$(cd "$2" && pwd)
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
python3 "$here/fixture.py" --cost "$mcomp" "$out/a.json" "$out/b.json"
"$mcomp" report "$out/a.json" -o "$out/one.html" -f -q
"$mcomp" report "$out/a.json" "$out/b.json" -o "$out/two.html" -f -q

draw() { # page, name, width, height, scheme (0 dark, 1 light); a frame, for windows are never as narrow as a phone
    printf '<body style="margin:0"><iframe src="file://%s/%s.html" width="%s" height="%s" style="border:0;display:block"></iframe>' "$out" "$1" "$3" "$4" >"$profile/frame.html"
    "$browser" --headless=new --no-sandbox --disable-gpu --hide-scrollbars --allow-file-access-from-files --user-data-dir="$profile/p" \
        --blink-settings=preferredColorScheme="$5" --window-size="$3,$4" --screenshot="$out/$2.png" "file://$profile/frame.html" >/dev/null 2>&1
    size=$(wc -c <"$out/$2.png")
    [ "$size" -gt 40000 ] || { echo "$2.png has $size bytes: blank?"; exit 1; }
    echo "ok - $out/$2.png"
}
draw one light 1100 4600 1
draw one dark 1100 4600 0
draw one phone 390 5200 1
draw two compare 1100 1800 1
"$browser" --headless=new --no-sandbox --disable-gpu --user-data-dir="$profile/p" --no-pdf-header-footer --print-to-pdf="$out/one.pdf" "file://$out/one.html" >/dev/null 2>&1
[ -s "$out/one.pdf" ] || { echo "nothing was printed"; exit 1; }
echo "ok - $out/one.pdf"

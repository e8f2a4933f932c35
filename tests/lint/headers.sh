#!/bin/sh
# Every public header alone, as strict C11 and C++17, without a warning.
set -u
root=$1
bad=0
n=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for h in "$root"/include/mcomp/*.h; do
    n=$((n + 1))
    printf '#include <mcomp/%s>\nint main(void);\nint main(void) { return 0; }\n' "$(basename "$h")" >"$tmp/a.c"
    cp "$tmp/a.c" "$tmp/a.cpp"
    ${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic -Wconversion -Werror -fsyntax-only -I"$root/include" "$tmp/a.c" || bad=$((bad + 1))
    ${CXX:-c++} -std=c++17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$root/include" "$tmp/a.cpp" || bad=$((bad + 1))
done
echo "headers: $n headers, $bad errors"
[ "$bad" -eq 0 ]

#!/bin/sh
# Every public header alone, as strict C11 and C++17, without a warning; those in C++ by each compiler there is (under CI by both).
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
compilers=
for cxx in g++ clang++; do
    if command -v "$cxx" >/dev/null; then compilers="$compilers $cxx"; elif [ "${CI:-}" = true ]; then echo "headers: $cxx is missing under CI"; bad=$((bad + 1)); fi
done
for h in "$root"/include/mcomp/*.hpp; do
    n=$((n + 1))
    printf '#include <mcomp/%s>\nint main() { return 0; }\n' "$(basename "$h")" >"$tmp/a.cpp"
    for cxx in ${compilers:-${CXX:-c++}}; do
        $cxx -std=c++17 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wcast-qual -Werror -fsyntax-only -I"$root/include" "$tmp/a.cpp" || bad=$((bad + 1))
    done
done
echo "headers: $n headers, $bad errors"
[ "$bad" -eq 0 ]

#!/usr/bin/env python3
"""The exported functions are the same in the public headers, the symbol map, docs/symbols.tsv and the built library, and the C++ headers
have each. With --address OUT [HEADERS] writes a C program that takes the address of every function (a declared but missing one fails to
link)."""
import pathlib
import re
import subprocess
import sys

GIVEN_TO_CALLBACKS = {"mcomp_constant_info", "mcomp_train_event"}
ROOT = pathlib.Path(sys.argv[1]).resolve()


def from_headers(folder):
    names = set()
    for path in folder.glob("*.h"):
        if path.name == "backend.h":
            continue
        text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
        names |= set(re.findall(r"MCOMP_API[^;(]*?\b(mcomp_\w+)\s*\(", text))
    return names


def main():
    headers = from_headers(pathlib.Path(sys.argv[4]) if len(sys.argv) > 4 else ROOT / "include/mcomp")
    if sys.argv[2] == "--address":
        body = "".join(f"    (const void *)(uintptr_t){n},\n" for n in sorted(headers))
        pathlib.Path(sys.argv[3]).write_text(
            "#include <mcomp/mcomp.h>\n#include <stdio.h>\nint main(void)\n{\n    const void *const all[] = {\n" + body +
            "    };\n    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)\n        if (!all[i]) return 1;\n"
            "    printf(\"%u functions, version %s\\n\", (unsigned)(sizeof all / sizeof *all), mcomp_version_string());\n    return 0;\n}\n")
        return 0
    listed = set(re.findall(r"^\s+(mcomp_\w+);", (ROOT / "lib/libmcomp.map").read_text(), flags=re.M))
    rows = [line.split("\t") for line in (ROOT / "docs/symbols.tsv").read_text().splitlines()[1:]]
    table = {r[0] for r in rows}
    nm = subprocess.run(["nm", "-D", "--defined-only", sys.argv[2]], capture_output=True, text=True, check=True).stdout
    built = {line.split()[-1].split("@")[0] for line in nm.splitlines() if line.split()[-2] in "TWDB"}
    bad = 0
    for what, names in (("libmcomp.map", listed), ("docs/symbols.tsv", table), ("the library", built)):
        for n in sorted(headers - names):
            bad += 1
            print(f"symbols: {n} is in the headers but not in {what}")
        for n in sorted(names - headers):
            bad += 1
            print(f"symbols: {n} is in {what} but not in the headers")
    installed = (ROOT / "include/mcomp/meson.build").read_text()
    for path in sorted((ROOT / "include/mcomp").glob("*.h*")):
        if f"'{path.name}'" not in installed:
            bad += 1
            print(f"symbols: {path.name} is not installed: include/mcomp/meson.build lacks it")
    tried = (ROOT / "tests/abi/sizes.c").read_text()
    for path in (ROOT / "include/mcomp").glob("*.h"):  # what the library itself hands to callbacks has its length always
        for name in re.findall(r"typedef struct (\w+) \{[^\n]*\n\s*uint32_t size;", path.read_text()) if path.name != "backend.h" else []:
            if name not in tried and name not in GIVEN_TO_CALLBACKS:
                bad += 1
                print(f"symbols: {name} has no row in tests/abi/sizes.c")
    cpp = set(re.findall(r"\bmcomp_\w+", "".join(p.read_text() for p in (ROOT / "include/mcomp").glob("*.hpp"))))
    for n in sorted(headers - cpp):
        bad += 1
        print(f"symbols: {n} is in the headers but no C++ object of include/mcomp/*.hpp calls it")
    for r in rows:
        if len(r) != 5 or not r[2]:
            bad += 1
            print(f"symbols: docs/symbols.tsv: bad row {r}")
    print(f"symbols: {len(headers)} functions, {bad} errors")
    return 1 if bad else 0


sys.exit(main())

#!/usr/bin/env python3
"""What a good guest never calls: by source (lib/) and by the imports of the built library. Also words that must not be in the text."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(sys.argv[1]).resolve()
LIBRARY = sys.argv[2] if len(sys.argv) > 2 else None
CALLS = ["abort", "exit", "_exit", "quick_exit", "setlocale", "signal", "sigaction", "strtod", "strtof", "atof", "atoi", "sprintf", "strcpy", "strcat",
         "gets", "printf", "puts", "putchar", "vprintf", "system", "popen", "execve", "execl", "rand", "srand", "setenv", "putenv", "tmpnam", "mktemp",
         "alloca", "longjmp"]
IMPORTS = set(CALLS) - {"longjmp"} | {"__assert_fail", "raise", "_Exit"}
RAW_MEMORY = ["malloc", "calloc", "realloc", "strdup", "strndup"]
TEXT = ["TODO", "FIXME", "XXX", "/work/", "HACK"]
errors = []


def strip(text):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group(0).count("\n"), text, flags=re.S)
    text = re.sub(r'"(\\.|[^"\\\n])*"', '""', text)
    return re.sub(r"//[^\n]*", "", text)


for path in sorted((ROOT / "lib").rglob("*.[ch]")):
    for n, line in enumerate(strip(path.read_text()).splitlines(), 1):
        for m in re.finditer(r"(?<![\w.>])(\w+)\s*\(", line):
            name = m.group(1)
            if name in CALLS or (name in RAW_MEMORY and "backends/onednn" not in str(path) and path.name != "alloc.c"):
                errors.append(f"{path.relative_to(ROOT)}:{n}: {name}()")
    if "fprintf" in strip(path.read_text()):
        errors.append(f"{path.relative_to(ROOT)}: fprintf: the library prints nothing")
files = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True).stdout.splitlines()
for f in files:
    p = ROOT / f
    if f.startswith("tests/lint/") or f == "LICENSE" or not p.is_file() or p.suffix in (".onnx", ".abi"):
        continue
    text = p.read_text(errors="replace")
    for word in TEXT:
        if re.search(r"(?<!\w)" + re.escape(word) + (r"(?!\w)" if word.isalpha() else ""), text):
            errors.append(f"{f}: holds \"{word}\"")
if LIBRARY:
    nm = subprocess.run(["nm", "-D", "--undefined-only", LIBRARY], capture_output=True, text=True, check=True).stdout
    for line in nm.splitlines():
        name = line.split()[-1].split("@")[0]
        if name in IMPORTS:
            errors.append(f"{pathlib.Path(LIBRARY).name}: imports {name}")
for e in errors:
    print("forbidden:", e)
print(f"forbidden: {len(errors)} errors")
sys.exit(1 if errors else 0)

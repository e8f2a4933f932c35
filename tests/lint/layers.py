#!/usr/bin/env python3
"""Rooms and layers of lib/: a file includes lower layers and its own room only, and of another room only <room>.h; every room has
a README.md of at most 40 lines; protobuf, oneDNN and JSON stay in their rooms; the top level holds what the design names."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
LAYER = {"base": 0, "tensor": 1, "graph": 2, "kernels": 2, "ops": 3, "onnx": 4, "safetensors": 4, "passes": 4, "backends": 4.5,
         "runtime": 5, "data": 5, "train": 6, "measure": 6.5, "quant": 7, "prune": 7, "distill": 7, "monitor": 7, "report": 7, "recipe": 8}
# Same-layer or upward includes that the design allows.
ALLOWED = {("kernels", "base"), ("runtime", "backends"), ("onnx", "safetensors")} # the public load and save choose by file kind
FOREIGN = {"protobuf-c": "onnx", "onnx_min.pb-c.h": "onnx", "dnnl": "backends/onednn", "oneapi/": "backends/onednn", "jansson.h": "base",
           "utf8proc.h": "data", "pcre2.h": "data",
           "yaml.h": "recipe", "cuda": "backends/cuda"}
TOP = {"lib", "include", "examples", "bindings", "tests", "docs", "pkgconfig", ".ci", "meson.build", "meson_options.txt", ".clang-format",
       ".editorconfig", ".gitignore", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}
errors = []


def room_of(path):
    parts = path.relative_to(ROOT / "lib").parts
    return parts[0] if len(parts) > 1 else None


def check_include(path, room, target):
    where = path.relative_to(ROOT)
    rel = path.relative_to(ROOT / "lib")
    for mark, home in FOREIGN.items():
        if target.startswith(mark) and not str(rel).startswith(home):
            errors.append(f"{where}: {target} belongs to {home} only")
    first, _, rest = target.partition("/")
    if first not in LAYER or not rest or not (ROOT / "lib" / target).exists():
        return
    if room == "backends":
        sub = rel.parts[1]
        if sub != "cpu" and not target.startswith(f"backends/{sub}/"):
            errors.append(f"{where}: a plugin includes {target}; it may know backend.h only")
        if target.startswith("backends/") and not target.startswith(f"backends/{sub}/"):
            errors.append(f"{where}: includes {target} of another backend")
        if first not in ("backends", "kernels", "ops", "graph", "tensor", "base"):
            errors.append(f"{where}: the built-in backend includes {target}")
        return
    if first == room:
        return
    if first == "backends":
        if (room, target) != ("runtime", "backends/cpu/entry.h"):
            errors.append(f"{where}: includes {target}; backends are known through their table")
        return
    if LAYER[first] >= LAYER[room] and (room, first) not in ALLOWED and not (room == "data" and first == "onnx"):
        errors.append(f"{where}: layer {LAYER[room]} ({room}) includes {target} of layer {LAYER[first]}")
    if room == "kernels" and first not in ("base", "tensor"):
        errors.append(f"{where}: kernels are pure functions on arrays and may not include {target}")
    public = {f"{first}/{first}.h", "base/context.h", "base/cpu.h"}
    if first == "kernels":
        public |= {"kernels/math_f32.h", "kernels/int8.h", "kernels/f32.h"}
    if target not in public:
        errors.append(f"{where}: includes {target}; of another room only {first}/{first}.h")


def main():
    rooms = set()
    for path in sorted((ROOT / "lib").rglob("*.[ch]")):
        room = room_of(path)
        if room is None:
            continue
        rooms.add(room)
        if room not in LAYER:
            errors.append(f"{path.relative_to(ROOT)}: {room} is not a room of the design")
            continue
        for line in path.read_text().splitlines():
            m = re.match(r'\s*#\s*include\s+[<"]([^>"]+)[>"]', line)
            if m:
                check_include(path, room, m.group(1))
    homes = [ROOT / "lib" / r for r in rooms if r != "backends"] + [p for p in (ROOT / "lib/backends").iterdir() if p.is_dir() and list(p.glob("*.c"))]
    for home in homes:
        readme = home / "README.md"
        if not readme.exists():
            errors.append(f"{home.relative_to(ROOT)}: no README.md")
        elif len(readme.read_text().splitlines()) > 40:
            errors.append(f"{readme.relative_to(ROOT)}: more than 40 lines")
    files = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True)
    for top in sorted({f.split("/")[0] for f in files.stdout.splitlines()} - TOP):
        errors.append(f"{top}: not in the agreed top level")
    for e in errors:
        print("layers:", e)
    print(f"layers: {len(rooms)} rooms, {len(errors)} errors")
    return 1 if errors else 0


sys.exit(main())

#!/usr/bin/env python3
"""docs/bad_input.md against the tests: every item has a row, every test it names exists and is run."""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1]).resolve()
ITEMS = [*range(1, 33), 34, 35, *range(39, 44), 49, *range(54, 61)]
errors = []
seen = {}


def exists(room, name):
    if room == "fuzz":
        return (ROOT / f"tests/fuzz/fuzz_{name}.c").is_file()
    if room == "abi":
        return f"test('abi/{name}'" in (ROOT / "tests/abi/meson.build").read_text()
    if room == "cli":
        return any(re.search(rf"^def {name}\(", p.read_text(), re.M) for p in (ROOT / "tests/cli").glob("*.py"))
    for path in (ROOT / "tests/unit" / room).glob("*.c"):
        text = path.read_text()
        if f"START_TEST({name})" in text:
            return re.search(rf"tcase_add\w*test\(\w+, {name}\b", text) is not None
    return False


text = (ROOT / "docs/bad_input.md").read_text()
for line in text.splitlines():
    cells = [c.strip() for c in line.strip("|").split("|")]
    if not line.startswith("| ") or not cells[0].isdigit():
        continue
    if int(cells[0]) in seen:
        errors.append(f"item {cells[0]} has two rows")
    seen[int(cells[0])] = cells[-1]
    if cells[-1] != "-" and not re.fullmatch(r"(`\w+/\w+` ?)+", cells[-1]):
        errors.append(f"item {cells[0]}: no test is named, and no \"-\"")
for room, name in re.findall(r"`(\w+)/(\w+)`", text):
    if not exists(room, name):
        errors.append(f"there is no test {room}/{name}")
errors += [f"item {i} has no row" for i in ITEMS if i not in seen]
for path in (ROOT / "tests/unit").rglob("*.c"):
    for number, name in re.findall(r"START_TEST\((bad_0*(\d+)_\w+)\)", path.read_text()):
        if f"/{number}`" not in text:
            errors.append(f"{path.relative_to(ROOT)}: {number} is not in the table")
print("\n".join(errors) if errors else f"{len(seen)} items, {sum(v == '-' for v in seen.values())} without a test")
sys.exit(bool(errors))

#!/usr/bin/env python3
"""Files over 500 lines and functions over 100 lines are errors (the habit is 400 and 60). Functions are column-0 brace blocks."""
import pathlib
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
FILE_MAX, FUNCTION_MAX = 500, 100


def main():
    errors, longest_file, longest_function = [], 0, 0
    paths = [p for d in ("lib", "include", "examples", "tests") for ending in ("[ch]", "[ch]pp") for p in sorted((ROOT / d).rglob("*." + ending))]
    for path in paths:
        lines = path.read_text().splitlines()
        longest_file = max(longest_file, len(lines))
        if len(lines) > FILE_MAX:
            errors.append(f"{path.relative_to(ROOT)}: {len(lines)} lines")
        start = None
        for i, line in enumerate(lines, 1):
            if line == "{":
                start = i
            elif line == "}" and start:
                longest_function = max(longest_function, i - start - 1)
                if i - start - 1 > FUNCTION_MAX:
                    errors.append(f"{path.relative_to(ROOT)}:{start}: function of {i - start - 1} lines")
                start = None
    for e in errors:
        print("sizes:", e)
    print(f"sizes: {len(paths)} files, longest {longest_file} lines, longest function {longest_function} lines, {len(errors)} errors")
    return 1 if errors else 0


sys.exit(main())

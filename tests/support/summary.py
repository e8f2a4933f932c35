#!/usr/bin/env python3
"""Counts tests of a meson run: each TAP line of a program is a test, every other program is one. Prints the closing line."""
import json
import re
import sys

passed = failed = skipped = 0
for line in open(sys.argv[1], encoding="utf-8", errors="replace"):
    t = json.loads(line)
    out = t.get("stdout") or ""
    tap = re.findall(r"^(ok|not ok)\b([^\n]*)", out, flags=re.M)
    if tap:
        p = sum(1 for s, rest in tap if s == "ok" and "# SKIP" not in rest)
        s = sum(1 for _, rest in tap if "# SKIP" in rest)
        f = len(tap) - p - s
        said_skip = (t.get("stderr") or "").count("SKIPPED:") + out.count("SKIPPED:")
        said_skip = min(said_skip, p)
        passed, skipped, failed = passed + p - said_skip, skipped + s + said_skip, failed + f
        if t["result"] not in ("OK", "EXPECTEDFAIL") and f == 0:
            failed += 1
            print("failed:", t["name"], t["result"])
    elif t["result"] in ("OK", "EXPECTEDFAIL"):
        passed += 1
    elif t["result"] == "SKIP":
        skipped += 1
    else:
        failed += 1
        print("failed:", t["name"], t["result"])
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(1 if failed else 0)

"""What the tests of the command share: running it, checks that are printed and counted, its JSON. The command is the first argument."""
import json
import os
import struct
import subprocess
import sys

MCOMP = sys.argv[1]
TIMEOUT = 300  # seconds a run
failures = []


def run(*args, **more):
    return subprocess.run([MCOMP, *args], capture_output=True, text=True, timeout=TIMEOUT, **more)


def check(ok, what):
    print(("ok - " if ok else "not ok - ") + what)
    if not ok:
        failures.append(what)


def exits(code, *args, **more):
    r = run(*args, **more)
    check(r.returncode == code, f"exit {code}: {' '.join(os.path.basename(a)[:60] for a in args)} (got {r.returncode}: {r.stderr.strip()[-300:]!r})")
    return r


def answer(code, *args, **more):
    """The one JSON object on stdout."""
    r = exits(code, *args, "--json", **more)
    try:
        return json.loads(r.stdout)
    except ValueError:
        check(False, f"one JSON object: {r.stdout[:100]!r}")
        return {}


def npy(descr, shape, raw):
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + raw

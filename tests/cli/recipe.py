#!/usr/bin/env python3
"""mcomp recipe: check, explain, schema: exit codes, errors with their places, what is printed. Needs no data folder."""
import json
import os
import subprocess
import sys
import tempfile

MCOMP = os.path.abspath(sys.argv[1])
failures = []
RIGHT = """version: 1
model: {teacher: m.onnx}
data: {train: a.tsv, eval: a.tsv@split=test}
passes:
  - prune: {pattern: 4x1, sparsity: 0.8}
  - quantize: {scheme: int8}
"""


def check(ok, what):
    print(("ok - " if ok else "not ok - ") + what)
    if not ok:
        failures.append(what)


def run(*args, env=None):
    return subprocess.run([MCOMP, "recipe", *args], capture_output=True, text=True, timeout=60, env=dict(os.environ, **(env or {})))


def answer(code, *args):
    r = run(*args, "--json")
    check(r.returncode == code, f"exit {code}: {' '.join(args)} (got {r.returncode}: {r.stderr[:200]!r})")
    return json.loads(r.stdout)


def write(name, text):
    with open(name, "w", newline="") as f:
        f.write(text)


def right():
    write("r.yaml", RIGHT)
    j = answer(2, "check", "r.yaml")
    check([e["line"] for e in j["errors"]] == [2, 3, 3] and "m.onnx is not there" in j["errors"][0]["text"], "files that are not there are errors at their place")
    check(answer(0, "check", "r.yaml", "--no-files")["errors"] == [], "--no-files does not look for them")
    write("m.onnx", "x")
    write("a.tsv", "x")
    check(answer(0, "check", "r.yaml")["errors"] == [], "a right recipe has no errors")
    r = run("explain", "r.yaml")
    check(r.returncode == 0 and "sparsity: 0.8\n" in r.stdout and "epochs: 6  # follows\n" in r.stdout, "explain writes the defaults out")
    write("e.yaml", r.stdout)
    again = run("explain", "e.yaml")
    check(again.returncode == 0 and "# default" not in again.stdout, "what explain prints is a recipe")
    check(answer(0, "explain", "r.yaml")["recipe"] == r.stdout, "the same in JSON")
    comma = run("explain", "r.yaml", env={"LC_ALL": "de_DE.UTF-8"})
    check(comma.stdout == r.stdout, "the same in another locale")


def schema():
    r = run("schema")
    check(r.returncode == 0 and json.loads(r.stdout)["title"] == "libmcomp recipe", "schema prints a JSON Schema by itself")
    check(answer(0, "schema")["schema"] == json.loads(r.stdout), "and inside of the object")


def bad_029_recipes():
    write("b.yaml", RIGHT.replace("sparsity", "sparsty").replace("int8}", "int9}"))
    j = answer(2, "check", "b.yaml")
    check([(e["line"], e["column"]) for e in j["errors"]] == [(5, 27), (6, 24)] and j["error"]["name"] == "RECIPE", "two errors, each with its place")
    check([e["hint"] for e in j["errors"]] == ["did you mean sparsity?", "did you mean int8?"] and set(j["errors"][0]) == {"file", "line", "column", "text", "hint"}, "and the nearest word")
    r = run("check", "b.yaml")
    lines = r.stderr.splitlines()
    check(r.returncode == 2 and r.stdout == "" and lines[0].startswith("b.yaml:5:27: error: ") and lines[2] == " " * (4 + 26) + "^", f"line and caret ({lines[:3]})")
    check(answer(2, "explain", "b.yaml")["error"]["name"] == "RECIPE", "it cannot be explained")
    for name, code in ((".", "PATH"), ("none.yaml", "PATH")):
        check(answer(2, "check", name)["error"]["name"] == code, f"{name} is no recipe")
    write("big.yaml", " " * (2 ** 20 + 1))
    check(answer(2, "check", "big.yaml")["error"]["name"] == "LIMIT", "1 MiB is the limit")
    check(answer(1, "check")["error"]["name"] == "ARGUMENT" and answer(1, "chek", "b.yaml")["error"]["hint"] == "did you mean check?", "usage")
    write("o.yaml", RIGHT + "search: {cache: ../c}\n")
    check(answer(2, "check", "o.yaml")["errors"][0]["line"] == 7 and answer(0, "check", "o.yaml", "--outside")["errors"] == [], "--outside lets the cache be elsewhere")


def main():
    with tempfile.TemporaryDirectory() as tmp:
        os.chdir(tmp)
        right()
        schema()
        bad_029_recipes()
        os.chdir("/")
    print(f"{len(failures)} failures")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())

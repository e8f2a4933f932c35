#!/usr/bin/env python3
"""Writes what the bindings know of the C API from include/mcomp/*.h: bindings/python/mcomp/_ffi.py, the ctypes declarations, and
bindings/go/calls.h and generated.go (generate_go.py).

    python3 bindings/generate.py           writes the files
    python3 bindings/generate.py --check   compares only; exit status 1 when a header changed and a file did not

The headers are plain by rule (docs/conventions.md: fixed-width integers, pointers, size-first structs, no macros but tables), so
that a few regular expressions read them whole; whatever they do not understand is an error, never skipped. backend.h is for
authors of plugins and is left out. Types: T and opaque handles by c_void_p, strings by c_char_p, `T **out` by POINTER."""
import pathlib
import re
import sys

import generate_go

ROOT = pathlib.Path(__file__).resolve().parents[1]
SCALARS = {"int32_t": "c_int32", "uint32_t": "c_uint32", "int64_t": "c_int64", "uint64_t": "c_uint64", "double": "c_double",
           "float": "c_float", "uint8_t": "c_uint8", "char": "c_char"}


class Headers:
    """Everything the headers declare, in the order of the includes."""

    def __init__(self):
        self.structs, self.functions, self.callbacks, self.defines = {}, {}, {}, {}
        self.opaque, self.tables, self.order = set(), {}, []
        for path in self.ordered():
            self.read(path)

    @staticmethod
    def ordered():
        todo = {p.name: p for p in sorted((ROOT / "include/mcomp").glob("*.h")) if p.name != "backend.h"}
        done = []

        def visit(name):
            path = todo.pop(name, None)
            if path is None:
                return
            for included in re.findall(r"#include <mcomp/(\w+\.h)>", path.read_text()):
                visit(included)
            done.append(path)

        for name in list(todo):
            visit(name)
        return done

    def read(self, path):
        text = re.sub(r"/\*.*?\*/", " ", path.read_text(), flags=re.S).replace("\\\n", " ")
        for name, body in re.findall(r"^#define MCOMP_(\w+)_TABLE\(X\)(.*)$", text, flags=re.M):
            rows = re.findall(r'X\((\w+), (-?\d+), (\d+), "([^"]*)"\)', body)
            if len(rows) != body.count("X("):
                raise SystemExit(f"{path.name}: a row of MCOMP_{name}_TABLE is not understood")
            self.tables[name] = [(n, int(v), int(extra), label) for n, v, extra, label in rows]
        for name, value in re.findall(r'^#define (MCOMP_\w+) +(-?\d+u?|"[^"]*")\s*$', text, flags=re.M):
            self.defines[name] = value.rstrip("u")
        text = re.sub(r"^[ \t]*#.*$", "", text, flags=re.M).replace('extern "C" {', "")
        text = re.sub(r"\benum \{[^}]*\};", "", text)
        text = re.sub(r"^MCOMP_\w+_TABLE\(\w+\)\s*$", "", text, flags=re.M)
        for statement in self.statements(text):
            self.declare(path, statement)

    @staticmethod
    def statements(text):
        depth, start = 0, 0
        for i, c in enumerate(text):
            depth += (c == "{") - (c == "}" and depth > 0)
            if c == ";" and depth == 0:
                yield " ".join(text[start:i].split())
                start = i + 1
        if text[start:].strip().strip("}").strip():
            raise SystemExit(f"not understood: {text[start:].strip()[:80]}")

    def declare(self, path, s):
        s = s.lstrip("} ")
        if m := re.fullmatch(r"typedef struct (\w+) \1", s):
            self.opaque.add(m[1])
        elif m := re.fullmatch(r"typedef struct (\w+) \{(.*)\} \1", s):
            self.order.append(m[1])
            self.structs[m[1]] = [f for part in m[2].split(";") if part.strip() for f in self.fields(path, part.strip())]
        elif m := re.fullmatch(r"typedef (.+?)\(\*(\w+)\)\((.*)\)", s):
            self.order.append(m[2])
            self.callbacks[m[2]] = self.prototype(m[1], m[3])
        elif m := re.fullmatch(r"MCOMP_API (.+?)(\w+)\((.*)\)", s):
            self.functions[m[2]] = (self.type(m[1]), self.parameters(m[3]), s[len("MCOMP_API "):])
        elif s:
            raise SystemExit(f"{path.name}: not understood: {s[:100]}")

    def fields(self, path, part):
        if m := re.fullmatch(r"(.+?)\(\*(\w+)\)\((.*)\)", part):
            return [(m[2], self.prototype(m[1], m[3]))]
        m = re.fullmatch(r"((?:const )?\w+) (.*)", part)
        if not m:
            raise SystemExit(f"{path.name}: field not understood: {part}")
        fields = []
        for declarator in m[2].split(","):
            d = re.fullmatch(r"(\**)(\w+)(?:\[(\w+)\])?", declarator.strip())
            if not d:
                raise SystemExit(f"{path.name}: field not understood: {part}")
            t = self.type(m[1] + " " + d[1])
            fields.append((d[2], f"{t} * {self.defines.get(d[3], d[3])}" if d[3] else t))
        return fields

    def type(self, text):
        """A C type in ctypes' words."""
        words = re.sub(r"\bconst\b", " ", text).split()
        stars = "".join(words).count("*")
        base = "".join(words).rstrip("*")
        if base == "void":
            return {0: "None", 1: "c_void_p", 2: "POINTER(c_void_p)"}[stars]
        if base == "char" and stars:
            return {1: "c_char_p" if "const" in text else "c_void_p", 2: "POINTER(c_char_p)"}[stars]
        if base in self.opaque:
            return {1: "c_void_p", 2: "POINTER(c_void_p)"}[stars]
        known = SCALARS.get(base) or (base if base in self.structs or base in self.callbacks else None)
        if known is None or stars > 2:
            raise SystemExit(f"type not understood: {text}")
        return "POINTER(" * stars + known + ")" * stars

    def parameters(self, text):
        if text.strip() == "void":
            return []
        out, depth, start = [], 0, 0
        for i, c in enumerate(text + ","):
            depth += (c == "(") - (c == ")")
            if c == "," and depth == 0:
                out.append(text[start:i].strip())
                start = i + 1
        return [self.parameter(p) for p in out]

    def parameter(self, p):
        if m := re.fullmatch(r"(.+?)\(\*\w+\)\((.*)\)", p):
            return self.prototype(m[1], m[2])
        if m := re.fullmatch(r"(.*[\s*])\w+", p):
            return self.type(m[1])
        raise SystemExit(f"parameter not understood: {p}")

    def prototype(self, result, parameters):
        return "CFUNCTYPE(" + ", ".join([self.type(result), *self.parameters(parameters)]) + ")"


def render(h):
    out = ['"""The C API in ctypes. Generated by bindings/generate.py from include/mcomp/*.h; do not edit."""',
           "# ruff: noqa", "from ctypes import (CFUNCTYPE, POINTER, Structure, c_char, c_char_p, c_double, c_float, c_int32, c_int64, c_uint32,",
           "                    c_uint64, c_void_p)", ""]
    for name, value in h.defines.items():
        out.append(f"{name} = {value}")
    for table, what in (("STATUS", "name: (value, exit code of the command, text)"), ("DTYPE", "name: (value, bits, text)")):
        out += ["", f"# {what}", f"{table} = {{"]
        out += [f'    "{n}": ({v}, {extra}, "{label}"),' for n, v, extra, label in h.tables[table]]
        out.append("}")
    for name in h.order:
        if name in h.callbacks:
            out += ["", f"{name} = {h.callbacks[name]}"]
            continue
        out += ["", "", f"class {name}(Structure):", "    _fields_ = ["]
        out += [f'        ("{n}", {t}),' for n, t in h.structs[name]]
        out.append("    ]")
    out += ["", "", "# name: (result, parameters); the C declaration above each", "FUNCTIONS = {"]
    for name in sorted(h.functions):
        result, parameters, text = h.functions[name]
        out += [f"    # {text}", f'    "{name}": ({result}, [' + ", ".join(parameters) + "]),"]
    out += ["}", ""]
    return "\n".join(out)


TARGETS = {"bindings/python/mcomp/_ffi.py": render, "bindings/go/calls.h": generate_go.render_calls,
           "bindings/go/generated.go": generate_go.render_go}


def main():
    headers, stale = Headers(), 0
    for name, write in TARGETS.items():
        target, text = ROOT / name, write(headers)
        if sys.argv[1:] != ["--check"]:
            target.write_text(text)
        elif not target.exists() or target.read_text() != text:
            print(f"{name} is not what the headers say: run python3 bindings/generate.py and commit the result")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""NULL for every pointer of every exported function, one at a time, the others being right: generated from the public headers.

    nulls.py LIBRARY ROOT

Each call runs in a child of its own. A function that returns a status says ARGUMENT and the argument's index, or the header calls the pointer
optional (the table below, which must not name more than there is); any other function gives back nothing and lives. And one call each with
nothing but NULL and 0."""
import ctypes
import os
import pathlib
import re
import sys
import tempfile

LIBRARY, ROOT = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
sys.path[:0] = [str(ROOT / "bindings"), str(ROOT / "bindings/python/mcomp")]
sys.dont_write_bytecode = True
import _ffi as ffi  # noqa: E402
import generate  # noqa: E402

# function: pointers that may be NULL, by their names in the header
OPTIONAL = {
    "mcomp_calibrator_load": "g", "mcomp_context_create": "options", "mcomp_dataset_create": "ctx payload",
    "mcomp_dataset_get": "label", "mcomp_dataset_open": "ctx options", "mcomp_dataset_split": "by",
    "mcomp_distiller_create": "options", "mcomp_distiller_cut": "tokenizer data", "mcomp_distiller_fit": "student_result control_result options valid",
    "mcomp_graph_add_input": "symbols", "mcomp_graph_build": "options", "mcomp_graph_constants": "payload",
    "mcomp_graph_create": "name", "mcomp_graph_load_with": "options", "mcomp_graph_meta_at": "key value",
    "mcomp_graph_save": "options", "mcomp_graph_set_meta": "value", "mcomp_graph_unsupported": "payload",
    "mcomp_pruner_create": "options", "mcomp_pruner_run": "result fit train valid training",
    "mcomp_recipe_error_count": "more", "mcomp_recipe_load": "options", "mcomp_recipe_parse": "name folder options", "mcomp_recipe_run": "options", "mcomp_recipe_schema": "text",
    "mcomp_quantizer_apply": "calibrator samples", "mcomp_quantizer_create": "options", "mcomp_quantizer_train": "result fit calibrator valid training options", "mcomp_session_create": "options",
    "mcomp_tensor_load_pb": "name", "mcomp_tensor_wrap": "release payload", "mcomp_tokenizer_create": "ctx texts lengths",
    "mcomp_trainer_create": "options", "mcomp_trainer_fit": "result valid", "mcomp_calibrator_range": "rule tensor",
    "mcomp_graph_add_node": "name",
}

lib = ctypes.CDLL(LIBRARY)
for name, (result, args) in ffi.FUNCTIONS.items():
    getattr(lib, name).restype, getattr(lib, name).argtypes = result, args
headers = generate.Headers()
failures, calls = [], 0


def parameters(name):
    """[(C type, name)] of a function, from its declaration."""
    text = headers.functions[name][2]
    inner = text[text.index("(") + 1:text.rindex(")")]
    out, depth, start = [], 0, 0
    for i, c in enumerate(inner + ","):
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            p = inner[start:i].strip()
            start = i + 1
            m = re.fullmatch(r".*\(\*(\w+)\)\(.*\)", p)
            if m:
                out.append(("callback", m[1]))
            elif p != "void":
                m = re.fullmatch(r"(.*?)(\w+)", p)
                out.append((m[1].strip(), m[2]))
    return out


def ok(status):
    if status != 0:
        e = ffi.mcomp_error(size=ctypes.sizeof(ffi.mcomp_error))
        lib.mcomp_error_get(ctypes.byref(e))
        raise SystemExit(f"the fixture: {e.where} {e.message}")


class World:
    """One living object of every kind, around x [n, 16] -> MatMul -> y."""

    def __init__(self, folder):
        self.folder, self.keep = folder, []
        p = ctypes.c_void_p
        self.handles = {k: p() for k in ("context", "graph", "tensor", "session", "exec", "calibrator", "quantizer", "dataset", "trainer", "pruner", "distiller", "tokenizer", "report", "recipe")}
        h, ref = self.handles, ctypes.byref
        ok(lib.mcomp_context_create(ref(h["context"]), None))
        ok(lib.mcomp_graph_create(ref(h["graph"]), h["context"], b"m", 17))
        ok(lib.mcomp_graph_add_input(h["graph"], b"x", 1, 2, (ctypes.c_int64 * 2)(-1, 16), None))
        ok(lib.mcomp_tensor_create(ref(h["tensor"]), 1, 2, (ctypes.c_int64 * 2)(16, 16)))
        ctypes.memset(lib.mcomp_tensor_data(h["tensor"]), 0, 16 * 16 * 4)
        ok(lib.mcomp_graph_add_constant(h["graph"], b"w", h["tensor"]))
        ok(lib.mcomp_graph_add_node(h["graph"], b"MatMul", b"product", 2, (ctypes.c_char_p * 2)(b"x", b"w"), 1, (ctypes.c_char_p * 1)(b"y")))
        ok(lib.mcomp_graph_add_output(h["graph"], b"y"))
        ok(lib.mcomp_graph_finish(h["graph"]))
        ok(lib.mcomp_tensor_save_npy(h["tensor"], f"{folder}/x.npy".encode(), 1))
        ok(lib.mcomp_session_create(ref(h["session"]), h["context"], h["graph"], None))
        ok(lib.mcomp_exec_create(ref(h["exec"]), h["session"]))
        ok(lib.mcomp_calibrator_create(ref(h["calibrator"]), h["context"], h["graph"]))
        ok(lib.mcomp_quantizer_create(ref(h["quantizer"]), h["context"], None))
        made = p()
        ok(lib.mcomp_quantizer_apply(ref(made), h["quantizer"], h["graph"], None, None))
        lib.mcomp_graph_destroy(made)
        ok(lib.mcomp_dataset_open(ref(h["dataset"]), h["context"], h["graph"], f"{folder}/x.npy".encode(), None))
        ok(lib.mcomp_trainer_create(ref(h["trainer"]), h["context"], h["graph"], None))
        ok(lib.mcomp_pruner_create(ref(h["pruner"]), h["context"], h["graph"], None))
        ok(lib.mcomp_distiller_create(ref(h["distiller"]), h["context"], h["graph"], None))
        ok(lib.mcomp_report_create(ref(h["report"]), h["context"]))
        ok(lib.mcomp_report_add(h["report"], b"{\"bytes\": 1}", 12, b"run"))
        lib.mcomp_recipe_parse(ref(h["recipe"]), b"a: 1\nb: 2", 9, None, None, None)  # RECIPE: it has errors to ask for
        ok(lib.mcomp_tokenizer_create(ref(h["tokenizer"]), h["context"], b"bytes", None, None, 0))

    def string(self, function, name):
        if function.startswith("mcomp_graph_add_") and name in ("name", "value"):
            return b"new"
        if name == "path":
            return f"{self.folder}/{'x.npy' if 'npy' in function else 'none'}".encode()
        return {"argument": f"{self.folder}/x.npy", "text": "- x", "spec": "bytes" if "token" in function else "mlp", "key": "precision", "value": "float", "pattern": "*",
                "input": "x", "op": "Relu", "node": "product", "attribute": "axis", "rule": "minmax"}.get(name, "y").encode()

    def argument(self, function, ctype, name, declared):
        stars, base = ctype.count("*"), ctype.replace("const", "").replace("*", "").strip()
        if ctype == "callback" or base in headers.callbacks:
            self.keep.append(declared(lambda *a: 0))
            return self.keep[-1]
        if stars == 0:
            return {"i": 0, "bytes": 4}.get(name, 1)
        if name == "dims":
            return (ctypes.c_int64 * 8)(*[1] * 8)
        if stars == 1 and base == "char" and "const" in ctype:
            return self.string(function, name)
        if stars == 1 and base.startswith("mcomp_") and base[6:] in self.handles:
            return self.handles[base[6:]]
        if stars == 1 and base in headers.structs:
            s = getattr(ffi, base)()
            s.size = ctypes.sizeof(s)
            init = getattr(lib, base + "_init", None)
            if init:
                init(ctypes.byref(s), ctypes.sizeof(s))
            self.keep.append(s)
            return ctypes.pointer(s)
        if stars == 2 and base == "char":
            return (ctypes.c_char_p * 8)(*[b"x"] * 8)
        if stars == 2 and ("*const" in ctype.replace(" ", "") or name == "inputs") and base == "mcomp_tensor":
            return (ctypes.c_void_p * 8)(*[self.handles["tensor"].value] * 8)
        self.keep.append(ctypes.create_string_buffer(4096))
        return ctypes.cast(self.keep[-1], declared)


def child(work):
    """Runs work() -> bytes in a child; its answer, or None when it died."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        os.write(w, work())
        os._exit(0)
    os.close(w)
    data = os.read(r, 4096)
    os.close(r)
    _, status = os.waitpid(pid, 0)
    return data.decode() if status == 0 else None


def call(name, args):
    def work():
        e = ffi.mcomp_error(size=ctypes.sizeof(ffi.mcomp_error))
        result = getattr(lib, name)(*args)
        lib.mcomp_error_get(ctypes.byref(e))
        return f"{result if isinstance(result, int) else 0} {e.argument} {e.message.decode(errors='replace')}".encode()
    return child(work)


def main():
    global calls
    with tempfile.TemporaryDirectory() as folder:
        world = World(folder)
        for name in sorted(headers.functions):
            declared = ffi.FUNCTIONS[name][1]
            status = ffi.FUNCTIONS[name][0] is ctypes.c_int32 and headers.functions[name][0] == "c_int32" and not re.search(r"_(n_inputs|n_outputs|plans|threads|has_labels|dtype|rank|exit_code|from_name)$", name)
            params = parameters(name)
            args = [world.argument(name, t, n, d) for (t, n), d in zip(params, declared)]
            for k, (ctype, pname) in enumerate(params):
                if "*" not in ctype and ctype != "callback" and ctype not in headers.callbacks:
                    continue
                null = declared[k]() if ctype == "callback" or ctype in headers.callbacks else None
                answer = call(name, [null if i == k else a for i, a in enumerate(args)])
                calls += 1
                optional = pname in OPTIONAL.get(name, "").split()
                if answer is None:
                    failures.append(f"{name}: {pname} NULL ends the process")
                elif status and not optional:
                    code, argument, text = answer.split(" ", 2)
                    if (int(code), int(argument)) != (-1, k + 1):
                        failures.append(f"{name}: {pname} NULL is {code}, argument {argument} ({text}) instead of ARGUMENT, argument {k + 1}")
                elif status and answer.split()[:2] == ["-1", str(k + 1)]:
                    failures.append(f"{name}: {pname} NULL is ARGUMENT, though it is called optional")
            calls += 1
            zeros = [d() if t == "callback" or t in headers.callbacks else None if "*" in t else 0 for (t, _), d in zip(params, declared)]
            answer = call(name, zeros)
            if answer is None:
                failures.append(f"{name}: all NULL and 0 ends the process")
            elif status and any("*" in t for t, _ in params) and answer.split()[0] == "0":
                failures.append(f"{name}: all NULL and 0 is OK")
        unknown = [f for f in OPTIONAL if f not in headers.functions]
        failures.extend(f"there is no function {f}" for f in unknown)
        failures.extend(f"{f} has no parameter {p}" for f, ps in OPTIONAL.items() if f in headers.functions for p in ps.split() if p not in [n for _, n in parameters(f)])
    print("\n".join(failures + [f"{len(headers.functions)} functions, {calls} calls, {len(failures)} failures"]))
    return bool(failures)


sys.exit(main())

#!/usr/bin/env python3
"""Bad input where a user meets it first: the command. Each case: the exit code, an error that names what, where and what to do, no traceback of
any kind, and no file that was not there before. Models are written here byte by byte; needs no data folder."""
import hashlib
import json
import math
import os
import resource
import struct
import subprocess
import sys
import tempfile

MCOMP = os.path.abspath(sys.argv[1])
failures = []


def check(ok, what):
    print(("ok - " if ok else "not ok - ") + what)
    if not ok:
        failures.append(what)


def refused(code, name, where, *args, limit=None):
    """Exit code, the code's name, and `where` somewhere in the error; the folder is as before. Returns the error object."""
    before = sorted(os.listdir("."))
    r = subprocess.run([MCOMP, *args, "--json"], capture_output=True, text=True, timeout=120, preexec_fn=limit)
    try:
        e = json.loads(r.stdout)["error"]
    except (ValueError, KeyError):
        e = {}
    text = e.get("where", "") + " " + e.get("what", "")
    check(r.returncode == code and e.get("name") == name and where in text and e.get("what"),
          f"{' '.join(args)}: exit {code} {name} naming {where!r} (got {r.returncode} {e or r.stderr[:200]!r})")
    check(sorted(os.listdir(".")) == before, f"{args[0]} of {args[1]} leaves no file")
    return e


def accepted(*args):
    r = subprocess.run([MCOMP, *args, "--json"], capture_output=True, text=True, timeout=120)
    check(r.returncode == 0, f"{' '.join(args)}: exit 0 (got {r.returncode}: {r.stdout[:300]} {r.stderr[:200]!r})")
    return json.loads(r.stdout) if r.stdout.startswith("{") else {}


# ---- ONNX by hand: message fields as (number, value) ----

def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def msg(*fields):
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def tensor(name, dims, values=None, kind=1, raw=None):
    if raw is None:
        raw = struct.pack(f"<{len(values)}{'q' if kind == 7 else 'f'}", *values)
    return msg(*[(1, d) for d in dims], (2, kind), (8, name), (9, raw))


def external(name, dims, location, **more):
    entries = [("location", location), *more.items()]
    return msg(*[(1, d) for d in dims], (2, 1), (8, name), *[(13, msg((1, k), (2, v))) for k, v in entries], (14, 1))


def node(op, name, ins, outs):
    return msg(*[(1, i) for i in ins], *[(2, o) for o in outs], (3, name), (4, op))


def value(name, dims, kind=1):
    shape = msg(*[(1, msg((2, d) if isinstance(d, str) else (1, d))) for d in dims])
    return msg((1, name), (2, msg((1, msg((1, kind), (2, shape))))))


def model(path, nodes, weights, inputs=None, opset=17, ir=8):
    g = msg(*[(1, n) for n in nodes], (2, "g"), *[(5, w) for w in weights], *[(11, i) for i in inputs or [value("x", ["n", 4])]], (12, msg((1, "y"))))
    with open(path, "wb") as f:
        f.write(msg((1, ir), (7, g), (8, msg((1, ""), (2, opset)))))


def npy(path, descr, shape, raw):
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + raw)


MATMUL = node("MatMul", "product", ["x", "w"], ["y"])
W = [0.1 * i for i in range(8)]


def bad_001_empty_and_cut():
    model("good.onnx", [MATMUL], [tensor("w", [4, 2], W)])
    whole = open("good.onnx", "rb").read()
    accepted("inspect", "good.onnx")
    for n in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        with open("cut.onnx", "wb") as f:
            f.write(whole[:n])
        e = refused(2, "FORMAT", "cut.onnx", "inspect", "cut.onnx")
        check("empty" in e.get("what", "") if n == 0 else True, "an empty file is called empty")


def bad_002_unknown_fields():
    model("good.onnx", [MATMUL], [tensor("w", [4, 2], W)])
    whole = open("good.onnx", "rb").read()
    later = varint(500 << 3) + varint(7) + varint(501 << 3 | 2) + b"\x03abc" + varint(502 << 3 | 5) + b"\0" * 4 + varint(503 << 3 | 1) + b"\0" * 8
    with open("later.onnx", "wb") as f:
        f.write(whole + later)
    accepted("inspect", "later.onnx")
    for tail in (b"\x0b", b"\x0c", b"\x0e\0", b"\x0f\0", b"\0\0", varint(1 << 33 | 8) + b"\0", b"\x08" + b"\xff" * 11):
        with open("wire.onnx", "wb") as f:
            f.write(whole + tail)
        e = refused(2, "FORMAT", "wire.onnx", "inspect", "wire.onnx")
        check(any(f"byte {len(whole) + k}" in e.get("what", "") + e.get("where", "") for k in (0, 1)), f"the byte is named: {e}")


def bad_006_data_and_shape():
    for raw in (b"\0" * 31, b"\0" * 33, b""):
        model("short.onnx", [MATMUL], [tensor("w", [4, 2], raw=raw)])
        refused(2, "FORMAT", "w", "inspect", "short.onnx")


def attribute(name, kind, v):
    """kind 2: int, 7: ints, 3: string."""
    fields = [(3, v)] if kind == 2 else [(4, v)] if kind == 3 else [(8, x) for x in v]
    return msg((1, name), *fields, (20, kind))


def with_attributes(op, name, ins, outs, *attributes):
    return node(op, name, ins, outs) + msg(*[(5, a) for a in attributes])


def bad_011_ranks():
    x = value("x", [1, 4, 8])
    cases = [(node("Conv", "culprit", ["x", "w"], ["y"]), [tensor("w", [2, 4, 3, 3], [0.0] * 72)], x),
             (with_attributes("Gemm", "culprit", ["x", "w"], ["y"], attribute("transB", 2, 823)), [tensor("w", [4, 2], W)], value("x", [3, 4])),
             (with_attributes("RNN", "culprit", ["x", "w", "r"], ["y"], attribute("hidden_size", 2, 2)), [tensor("w", [4, 2], W), tensor("r", [1, 2, 2], W[:4])], x),
             (node("Slice", "culprit", ["x", "s", "e"], ["y"]), [tensor("s", [1], [0], 7), tensor("e", [1], [1], 7)], value("x", [])),
             (node("MatMul", "culprit", ["x", "w"], ["y"]), [tensor("w", [], [1.0])], x)]
    for n, weights, given in cases:
        model("rank.onnx", [n], weights, [given])
        r = subprocess.run([MCOMP, "inspect", "rank.onnx", "--json"], capture_output=True, text=True, timeout=60)
        e = json.loads(r.stdout).get("error", {})
        check(r.returncode == 2 and e.get("name") in ("FORMAT", "SHAPE", "RANGE") and e.get("where") == "culprit", f"a rank that cannot be: exit 2 naming the node (got {r.returncode} {e})")


def bad_012_windows():
    image = value("x", [1, 4, 8, 8])
    w = [tensor("w", [4, 4, 3, 3], [0.0] * 144)]
    conv = [attribute(n, 7, v) for n, v in (("strides", [0, 1]), ("dilations", [0, 1]), ("kernel_shape", [0, 3]), ("pads", [-9, 0, 0, 0]), ("strides", [1, -1]))]
    conv += [attribute("group", 2, g) for g in (0, -1, 3)]
    cases = [(with_attributes("Conv", "culprit", ["x", "w"], ["y"], a), w) for a in conv]
    cases += [(with_attributes(op, "culprit", ["x"], ["y"], attribute("blocksize", 2, b)), []) for op in ("DepthToSpace", "SpaceToDepth") for b in (0, -2, 3, 2**62)]
    cases += [(with_attributes("Softmax", "culprit", ["x"], ["y"], attribute("axis", 2, a)), []) for a in (-9, 4, -2**63)]
    cases += [(with_attributes("MaxPool", "culprit", ["x"], ["y"], attribute("kernel_shape", 7, k)), []) for k in ([0, 0], [9, 9], [-1, 2], [2])]
    for n, weights in cases:
        model("window.onnx", [n], weights, [image])
        r = subprocess.run([MCOMP, "inspect", "window.onnx", "--json"], capture_output=True, text=True, timeout=60)
        e = json.loads(r.stdout).get("error", {})
        check(r.returncode == 2 and e.get("name") in ("FORMAT", "SHAPE", "RANGE") and e.get("where") == "culprit", f"{n[-40:]!r}: exit 2 naming the node (got {r.returncode} {e})")


def bad_013_unknown_operators():
    model("odd.onnx", [node("Frob", "f", ["x"], ["a"]), node("Nicate", "g", ["a"], ["y"])], [])
    listed = accepted("inspect", "odd.onnx").get("unsupported", [])
    check({u["op"] for u in listed} == {"Frob", "Nicate"}, "inspect lists every unknown operator")
    npy("x.npy", "<f4", (1, 4), b"\0" * 16)
    e = refused(3, "UNSUPPORTED", "Frob", "run", "odd.onnx", "--data", "x.npy")
    check("Nicate" in e.get("what", ""), "run names them all at once")
    model("old.onnx", [MATMUL], [tensor("w", [4, 2], W)], opset=99)
    refused(3, "UNSUPPORTED", "old.onnx", "inspect", "old.onnx")


def bad_014_external_locations():
    with open("secret.bin", "wb") as f:
        f.write(b"\0" * 32)
    os.mkdir("m")
    os.symlink("../secret.bin", "m/link.bin")
    os.mkfifo("m/fifo")
    for location in ("../secret.bin", "m/../../secret.bin", "/etc/passwd", "link.bin", "fifo", ".", "", "gone.bin"):
        model("m/e.onnx", [MATMUL], [external("w", [4, 2], location)])
        e = refused(2, "PATH", location, "inspect", "m/e.onnx")
        check("folder" in e.get("hint", ""), "the hint says where data may be")


def bad_016_checksums():
    raw = struct.pack("<8f", *W)
    with open("w.bin", "wb") as f:
        f.write(raw)
    model("right.onnx", [MATMUL], [external("w", [4, 2], "w.bin", checksum=hashlib.sha1(raw).hexdigest())])
    model("wrong.onnx", [MATMUL], [external("w", [4, 2], "w.bin", checksum=hashlib.sha1(b"x").hexdigest())])
    model("none.onnx", [MATMUL], [external("w", [4, 2], "w.bin")])
    check(not accepted("inspect", "right.onnx", "--verify").get("warnings"), "verified data is no warning")
    check(not accepted("inspect", "wrong.onnx").get("warnings"), "without --verify nothing is compared")
    e = refused(2, "FORMAT", "w.bin", "inspect", "wrong.onnx", "--verify")
    check(hashlib.sha1(raw).hexdigest() in e.get("what", ""), "the error tells what the checksum is")
    check(any("w.bin" in w["text"] for w in accepted("inspect", "none.onnx", "--verify").get("warnings", [])), "data without a checksum is a warning")
    accepted("inspect", "right.onnx", "--copy", "--verify")
    accepted("convert", "right.onnx", "inside.safetensors", "--copy", "--verify")
    refused(1, "ARGUMENT", "verify", "convert", "inside.safetensors", "back.safetensors", "--verify")


def bad_017_scales():
    for v in (0.0, -1.0, math.nan, math.inf):
        model("q.onnx", [node("QuantizeLinear", "quant", ["x", "s"], ["q"]), node("DequantizeLinear", "deq", ["q", "s"], ["y"])], [tensor("s", [], [v])])
        refused(2, "RANGE", '"s"', "inspect", "q.onnx")


def bad_018_names():
    for name in ("%n%s%s%x", "a\nb", "\x1b[31mred", "n" * 65536, " "):
        model("name.onnx", [node("MatMul", name, [name + "x", "w"], ["y"])], [tensor("w", [4, 2], W)], [value(name + "x", ["n", 4])])
        check(accepted("inspect", "name.onnx").get("inputs", [{}])[0].get("name") == name + "x", "a strange name comes out as it went in")
        r = subprocess.run([MCOMP, "inspect", "name.onnx"], capture_output=True, timeout=60)
        check(r.returncode == 0 and b"\x1b" not in r.stdout + r.stderr, "no terminal code of a file's name reaches the terminal")
        model("name.onnx", [node("MatMul", name, [name + "x", "gone" + name], ["y"])], [], [value(name + "x", ["n", 4])])
        r = subprocess.run([MCOMP, "inspect", "name.onnx"], capture_output=True, timeout=60)
        check(r.returncode == 2 and b"gone" in r.stderr and b"\x1b" not in r.stdout + r.stderr and len(r.stderr) < 4096, "an error escapes and cuts it")
    model("utf.onnx", [node("MatMul", "p", [b"\xff\xfe", "w"], ["y"])], [tensor("w", [4, 2], W)], [value(b"\xff\xfe", ["n", 4])])
    r = subprocess.run([MCOMP, "inspect", "utf.onnx", "--json"], capture_output=True, timeout=60)
    try:
        ok = r.returncode in (0, 2) and isinstance(json.loads(r.stdout.decode()), dict)
    except ValueError:
        ok = False
    check(ok, f"a name that is no UTF-8 still gives JSON (got {r.returncode} {r.stdout[:200]!r})")


def bad_026_weights():
    for v in (math.nan, math.inf):
        model("n.onnx", [MATMUL], [tensor("w", [4, 2], W[:7] + [v])])
        accepted("inspect", "n.onnx")
        refused(2, "DATA", "product", "quantize", "n.onnx", "--scheme", "int8-dynamic", "-o", "n8.onnx")


def bad_034_ids_and_labels():
    model("emb.onnx", [node("Gather", "embedding", ["table", "ids"], ["y"])], [tensor("table", [3, 2], W[:6])], [value("ids", ["n", 2], 7)])
    for bad in (3, -4, -2**31, 2**62):
        npy("ids.npy", "<i8", (3, 2), struct.pack("<6q", 0, 1, 2, bad, 0, 0))
        e = refused(2, "RANGE", "embedding", "run", "emb.onnx", "--data", "ids.npy")
        check("sample" in e.get("where", "") and "element" in e.get("what", ""), f"sample and element are named: {e}")
        e = refused(2, "RANGE", "embedding", "run", "emb.onnx", "--data", "ids.npy", "--batch", "1")
        check("sample 1" in e.get("where", ""), f"the sample is named: {e}")
    model("cls.onnx", [MATMUL], [tensor("w", [4, 2], W)])
    import zipfile
    for bad in (-1, math.nan, 2):
        npy("x.npy", "<f4", (3, 4), b"\0" * 48)
        npy("label.npy", "<f8" if bad != bad else "<i8", (3,), struct.pack("<3d" if bad != bad else "<3q", 0, bad, 1))
        with zipfile.ZipFile("d.npz", "w") as z:
            z.write("x.npy")
            z.write("label.npy")
        r = subprocess.run([MCOMP, "eval", "cls.onnx", "--data", "d.npz", "--json"], capture_output=True, text=True, timeout=60)
        e = json.loads(r.stdout).get("error", {})
        check(r.returncode == 2 and e.get("name") in ("RANGE", "DATA") and "1" in e.get("what", ""), f"label {bad}: exit 2 naming sample 1 (got {r.returncode} {e})")


def bad_035_samples():
    model("cal.onnx", [MATMUL], [tensor("w", [4, 2], W)])
    for bad, code in ((1, 0), (2, 0), (3, 2), (200, 2)):
        x = [0.01 * i for i in range(800)]
        for k in range(bad):
            x[4 * k] = math.nan if k % 2 else math.inf
        npy("x.npy", "<f4", (200, 4), struct.pack("<800f", *x))
        if code:
            e = refused(2, "DATA", f"{bad} of 200", "calibrate", "cal.onnx", "--data", "x.npy", "-o", "no.calib")
        else:
            j = accepted("calibrate", "cal.onnx", "--data", "x.npy", "-o", f"{bad}.calib")
            check(f'"skipped": {bad}' in json.dumps(j), f"the skipped samples are counted: {j.get('coverage')}")


def bad_054_no_space():
    model("big.onnx", [node("Add", "add", ["x", "w"], ["y"])], [tensor("w", [100000, 4], raw=b"\0" * 1600000)])
    small = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500000, 500000))
    refused(5, "NO_SPACE", "out.onnx", "convert", "big.onnx", "out.onnx", limit=small)
    with open("out.onnx", "wb") as f:
        f.write(b"old")
    refused(5, "NO_SPACE", "out.onnx", "convert", "big.onnx", "out.onnx", "-f", limit=small)
    check(open("out.onnx", "rb").read() == b"old", "the old file is as it was")


def bad_055_outputs():
    model("good.onnx", [MATMUL], [tensor("w", [4, 2], W)])
    whole = open("good.onnx", "rb").read()
    os.mkdir("folder.onnx")
    for out in ("folder.onnx", "none/x.onnx", "good.onnx/x.onnx", "a" * 5000 + ".onnx"):
        refused(2, "PATH", out[:100], "convert", "good.onnx", out, "-f")
    accepted("convert", "good.onnx", "good.onnx", "-f")
    accepted("inspect", "good.onnx")
    check(whole and os.path.getsize("good.onnx") > 100, "a model converted over itself is whole")


def bad_057_two_at_once():
    for k, n in (("a", 30000), ("b", 60000)):
        model(f"{k}.onnx", [node("Add", "add", ["x", "w"], ["y"])], [tensor("w", [n, 4], raw=bytes([65 if k == "a" else 66]) * (16 * n))])
        accepted("convert", f"{k}.onnx", f"{k}.whole.onnx")
    whole = [open(f"{k}.whole.onnx", "rb").read() for k in "ab"]
    for _ in range(10):
        both = [subprocess.Popen([MCOMP, "convert", f"{k}.onnx", "out.onnx", "-f", "-q"], stderr=subprocess.PIPE) for k in "ab"]
        codes = [p.wait(timeout=120) for p in both]
        check(codes == [0, 0] and open("out.onnx", "rb").read() in whole, f"two processes, one output: one of the two, whole ({codes})")
        for p in both:
            p.stderr.close()
    check(not [f for f in os.listdir(".") if ".tmp" in f], "no temporary file stays")


def bad_060_special_files():
    os.mkfifo("pipe.onnx")
    for path in ("pipe.onnx", "/dev/zero", "."):
        refused(2, "PATH", path, "inspect", path)
    refused(2, "FORMAT", "/proc/self/status", "inspect", "/proc/self/status")


def main():
    home = os.getcwd()
    for name, test in sorted(globals().items()):
        if name.startswith("bad_"):
            with tempfile.TemporaryDirectory() as tmp:
                os.chdir(tmp)
                test()
                os.chdir(home)
    print(f"{len(failures)} failures")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())

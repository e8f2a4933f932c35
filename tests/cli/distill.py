#!/usr/bin/env python3
"""mcomp distill: a student and its control on arrays and texts, the cache, interruption and resuming, errors."""
import glob
import json
import math
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zipfile

from command import MCOMP, answer, check, exits, failures, npy, run


def arrays(path, n, seed, labels=True, classes=3):
    """Classes by the angle of the first two numbers; some labels are wrong, so that a teacher who knows better has something to say."""
    r = random.Random(seed)
    x = [[r.uniform(-1, 1) for _ in range(6)] for _ in range(n)]
    y = [int((math.atan2(a[0], a[1]) + math.pi) / (2 * math.pi) * classes) % classes for a in x]
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("input.npy", npy("<f4", f"({n}, 6)", struct.pack(f"<{6 * n}f", *sum(x, []))))
        if labels:
            z.writestr("label.npy", npy("<i8", f"({n},)", struct.pack(f"<{n}q", *y)))


def texts(path, n, seed):
    r = random.Random(seed)
    good, bad, other = ["good", "fine", "splendid", "warm"], ["bad", "dull", "grim", "cold"], "the a film day it was very so on".split()
    with open(path, "w") as f:
        f.write("label\ttext\n")
        for _ in range(n):
            k = r.random() < 0.5
            words = [r.choice(other) for _ in range(r.randint(2, 12))] + [r.choice(good if k else bad)]
            r.shuffle(words)
            f.write(f"{'pos' if k else 'neg'}\t{' '.join(words)}\n")


SPEC = ("--student", "mlp:layers=1,hidden=8,dropout=0", "--epochs", "6", "--lr", "0.02")


def on_arrays(d):
    a, b, teacher, out = f"{d}/a.npz", f"{d}/b.npz", f"{d}/teacher.onnx", f"{d}/s.onnx"
    arrays(a, 600, 1)
    arrays(b, 300, 2)
    exits(0, "train", "--build", "mlp:layers=2,hidden=48,dropout=0", "--data", a, "-o", teacher, "--epochs", "40", "--lr", "0.01")
    j = answer(0, "distill", teacher, *SPEC, "--data", a, "--valid", b, "-o", out, "--control-out", f"{d}/c.onnx")
    for k, name in (("teacher", teacher), ("student", out), ("control", f"{d}/c.onnx")):
        m, e = j[k]["metric"], answer(0, "eval", name, "--data", b)["metric"]
        check(m == e, f"{k}: the metric is that of the file: {m} {e}")
        check(m["ci95"][0] <= m["value"] <= m["ci95"][1] and m["n"] == 300, f"{k}: interval and number: {m}")
    e = answer(0, "eval", out, "--data", b, "--against", f"{d}/c.onnx")["difference"]
    check(j["control"]["difference"] == e, "the paired difference to the control is that of eval --against")
    e = answer(0, "eval", out, "--data", b, "--against", teacher)
    check(j["agreement_ratio"] == e["agreement_ratio"] and j["student"]["difference"] == e["difference"], "agreement with the teacher, and difference")
    check(j["student"]["steps"] == j["control"]["steps"] and len(j["student"]["curve"]) == len(j["control"]["curve"]) == 6, "both make the same steps")
    check(j["student"]["bytes"] == os.path.getsize(out) and j["output"] == out, "bytes and output")
    exits(0, "train", "--build", SPEC[1], *SPEC[2:], "--data", a, "--valid", b, "-o", f"{d}/alone.onnx")
    check(open(f"{d}/alone.onnx", "rb").read() == open(f"{d}/c.onnx", "rb").read(), "the control is what mcomp train makes, to the byte")
    check(j["cache"]["computed"] == 600 and glob.glob(f"{d}/.mcomp/*/*.kd"), f"the cache lies beside the output: {j['cache']}")
    j = answer(0, "distill", teacher, *SPEC, "--data", a, "--valid", b, "-o", f"{d}/s2.onnx", "--no-control", "--temperature", "2", "--threads", "1")
    check(j["cache"]["computed"] == 0 and "control" not in j, "the teacher does not run again; no control when it is not wanted")
    check(open(f"{d}/s2.onnx", "rb").read() == open(out, "rb").read(), "from the cache and with one thread: the same bytes")
    j = answer(0, "distill", teacher, *SPEC, "--data", f"{a}@limit=300", "-o", f"{d}/s3.onnx", "--loss", "logits=0.5,mse", "--alpha", "0.1", "--temperature", "4")
    check(j["cache"]["computed"] == 0 and j["student"]["metric"]["n"] < 60, "without --valid a tenth is set apart; other samples in the cache are found")
    exits(0, "distill", teacher, "--student", f"{d}/alone.onnx", "--data", a, "-o", f"{d}/s4.onnx", "--epochs", "1", "--no-cache", "--no-control")


def damaged(d):
    a, b = f"{d}/a.npz", f"{d}/b.npz"
    shard = glob.glob(f"{d}/.mcomp/*/*.kd")[0]
    with open(shard, "r+b") as f:
        f.seek(100)
        f.write(b"\x55\x55\x55\x55")
    j = answer(0, "distill", f"{d}/teacher.onnx", *SPEC, "--data", a, "--valid", b, "-o", f"{d}/s5.onnx", "--no-control")
    check(j["cache"]["damaged"] >= 1 and 1 <= j["cache"]["computed"] < 600, f"a damaged entry is computed again: {j['cache']}")
    check(open(f"{d}/s5.onnx", "rb").read() == open(f"{d}/s.onnx", "rb").read(), "and gives the same student")


def no_labels(d):
    u, b = f"{d}/u.npz", f"{d}/b.npz"
    arrays(u, 500, 5, labels=False)
    more = ("--data", u, "--valid", b, "--alpha", "0", "-o", f"{d}/u.onnx", "--epochs", "40")
    r = exits(2, "distill", f"{d}/teacher.onnx", *SPEC, *more)
    check("control" in r.stderr and not os.path.exists(f"{d}/u.onnx"), f"a control needs labels: {r.stderr.strip()!r}")
    j = answer(0, "distill", f"{d}/teacher.onnx", *SPEC, *more, "--no-control")
    check(j["agreement_ratio"] > 0.7, f"without labels the teacher alone teaches: {j['agreement_ratio']}")


def interrupted(d):
    common = (f"{d}/teacher.onnx", "--student", "mlp:layers=1,hidden=8", "--epochs", "100", "--batch", "4", "--data", f"{d}/a.npz", "--valid", f"{d}/b.npz")
    whole, parts = f"{d}/whole.onnx", f"{d}/parts.onnx"
    exits(0, "distill", *common, "-o", whole, "--control-out", f"{d}/whole.c.onnx", "--progress=none")
    for which, resume in (("student", ()), ("control", ("--resume",))):
        p = subprocess.Popen([MCOMP, "distill", *common, "-o", parts, "--progress=jsonl", "--json", *resume], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for line in p.stderr:
            e = json.loads(line)
            if e.get("run") == which and e.get("step", 0) >= 300:
                break
        p.send_signal(signal.SIGINT)
        out, _ = p.communicate(timeout=60)
        check(p.returncode == 130 and json.loads(out)["error"]["name"] == "CANCELLED", f"Ctrl-C in the {which} is exit 130 (got {p.returncode})")
        check(os.path.exists(parts + (".ckpt" if which == "student" else ".ckpt.control")) and not os.path.exists(parts), "a checkpoint and no model")
    exits(0, "distill", *common, "-o", parts, "--control-out", f"{d}/parts.c.onnx", "--resume", "--progress=none")
    for a, b in ((whole, parts), (f"{d}/whole.c.onnx", f"{d}/parts.c.onnx")):
        check(open(a, "rb").read() == open(b, "rb").read(), "resumed: the bytes of the run without interruption")


def on_texts(d):
    t, v, teacher = f"{d}/t.tsv", f"{d}/v.tsv", f"{d}/tt.onnx"
    texts(t, 400, 1)
    texts(v, 150, 2)
    exits(0, "train", "--build", "text-cnn:hidden=32,channels=32,dropout=0.2", "--data", t, "--tokenizer", "train:wordpiece,200", "--max-length", "24", "--epochs", "10", "--lr", "0.005", "-o", teacher)
    common = ("--data", t, "--valid", v, "--max-length", "24", "--epochs", "8", "--lr", "0.005")
    j = answer(0, "distill", teacher, "--student", "text-cnn:hidden=8,channels=8", *common, "-o", f"{d}/ts.onnx")
    check(j["student"]["metric"]["value"] > 0.85, f"a student of texts: {j['student']['metric']}")
    same = open(f"{d}/ts.tokenizer.json", "rb").read() == open(f"{d}/tt.tokenizer.json", "rb").read()
    check(same, "it uses the teacher's tokenizer")
    e = answer(0, "eval", f"{d}/ts.onnx", "--data", v, "--max-length", "24")["metric"]
    check(e == j["student"]["metric"], "and the file stands alone")
    j = answer(0, "distill", teacher, "--student", "bilstm:hidden=12", *common, "--student-tokenizer", "train:wordpiece,60", "-o", f"{d}/tl.onnx", "--no-control")
    check(j["warnings"] == [] and os.path.getsize(f"{d}/tl.tokenizer.json") < os.path.getsize(f"{d}/tt.tokenizer.json"), "or one of its own")
    e = answer(0, "eval", f"{d}/tl.onnx", "--data", v, "--max-length", "24")["metric"]
    check(e == j["student"]["metric"], "which lies beside it")


def cut_from_the_teacher(d):
    t, v, teacher = f"{d}/t.tsv", f"{d}/v.tsv", f"{d}/te.onnx"
    exits(0, "train", "--build", "encoder:layers=3,hidden=32,heads=4", "--data", t, "--tokenizer", "train:wordpiece,300", "--max-length", "24", "--epochs", "12", "-o", teacher)
    common = ("--data", t, "--valid", v, "--max-length", "24")
    j = answer(0, "distill", teacher, "--student", "teacher", *common, "--epochs", "1", "--lr", "1e-9", "-o", f"{d}/k0.onnx", "--no-control")
    check(j["agreement_ratio"] == 1 and j["student"]["params"] == j["teacher"]["params"], "a student that is the teacher")
    tokens = len(json.load(open(f"{d}/te.tokenizer.json"))["model"]["vocab"])
    j = answer(0, "distill", teacher, "--student", f"teacher:layers=0+2,hidden=16,heads=2,ffn=48,vocab={tokens - 20}", *common, "--epochs", "8", "--lr", "0.003", "-o", f"{d}/k1.onnx")
    check(j["student"]["metric"]["value"] > 0.85 and j["student"]["params"] < j["teacher"]["params"] / 3, f"layers, widths and vocabulary: {j['student']['metric']} {j['student']['params']}")
    vocab = json.load(open(f"{d}/k1.tokenizer.json"))["model"]["vocab"]
    check(len(vocab) == tokens - 20 and sorted(vocab.values()) == list(range(tokens - 20)) and "[CLS]" in vocab, "the tokenizer is smaller, its ids without gaps")
    e = answer(0, "eval", f"{d}/k1.onnx", "--data", v, "--max-length", "24")["metric"]
    check(e == j["student"]["metric"], "and lies beside the student")
    j = answer(0, "distill", teacher, "--student", "teacher:layers=1,hidden=16,heads=2", *common, "--epochs", "6", "--lr", "0.003", "--loss", "logits,hidden=0.1,relation", "-o", f"{d}/k3.onnx")
    check(j["student"]["metric"]["value"] > 0.85 and j["cache"]["computed"] == 400, f"hidden states and relations: {j['student']['metric']}")
    names = [w for w in answer(0, "inspect", f"{d}/k3.onnx")["ops"]]
    check("MatMul" in names and answer(0, "inspect", f"{d}/k3.onnx")["inputs"] == answer(0, "inspect", teacher)["inputs"], "nothing of the losses is left in the student")
    j = answer(0, "distill", teacher, "--student", f"teacher:layers=1,hidden=16,heads=2,vocab={tokens - 20}", *common, "--epochs", "6", "--lr", "0.003", "--loss",
               "logits,hidden=0.1,relation", "-o", f"{d}/k4.onnx")
    check(j["student"]["metric"]["value"] > 0.85 and j["cache"]["samples"] == 400, f"hidden states and relations over a smaller vocabulary: {j}")
    r = exits(2, "distill", teacher, "--student", "teacher:vocab=10", *common, "-o", f"{d}/k2.onnx")
    check("too few" in r.stderr, f"a vocabulary that is too small: {r.stderr.strip()!r}")
    exits(2, "distill", teacher, "--student", "teacher:layers=0+7", *common, "-o", f"{d}/k2.onnx")
    exits(1, "distill", teacher, "--student", "teacher:hiden=8", *common, "-o", f"{d}/k2.onnx")
    r = exits(3, "distill", f"{d}/tt.onnx", "--student", "teacher:layers=0", *common, "-o", f"{d}/k2.onnx")
    check("encoder" in r.stderr and not os.path.exists(f"{d}/k2.onnx"), f"a teacher that is no encoder: {r.stderr.strip()!r}")


def errors(d):
    a, t, x = f"{d}/a.npz", f"{d}/teacher.onnx", f"{d}/x.onnx"
    exits(1, "distill", "--data", a, "-o", x)
    exits(1, "distill", t, "--data", a, "-o", x)
    exits(1, "distill", t, *SPEC, "-o", x)
    exits(1, "distill", t, *SPEC, "--data", a)
    r = exits(1, "distill", t, *SPEC, "--data", a, "-o", x, "--loss", "logit")
    check("logits" in r.stderr, "the nearest loss is named")
    for bad in (("--alpha", "1.5"), ("--temperature", "0"), ("--temperatur", "2"), ("--control-out", x, "--no-control"), ("--student", "mpl")):
        exits(1, "distill", t, *SPEC, "--data", a, "-o", x, *bad)
    r = exits(2, "distill", t, *SPEC, "--data", a, "-o", f"{d}/s.onnx")
    check("-f" in r.stderr, "an output that exists is not replaced")
    arrays(f"{d}/two.npz", 200, 3, classes=2)
    exits(0, "train", "--build", "mlp:layers=1,hidden=8", "--data", f"{d}/two.npz", "-o", f"{d}/two.onnx", "--epochs", "1")
    r = exits(2, "distill", t, "--student", f"{d}/two.onnx", "--data", a, "-o", x)
    check("3" in r.stderr and "2" in r.stderr, f"numbers of classes that differ are named: {r.stderr.strip()!r}")
    open(f"{d}/file", "w").close()
    r = exits(2, "distill", t, *SPEC, "--data", a, "-o", x, "--cache", f"{d}/file")
    check("cache" in r.stderr, f"a cache that is no folder: {r.stderr.strip()!r}")
    exits(2, "distill", t, *SPEC, "--data", a, "-o", x, "--cache", f"{d}/not/there")
    r = exits(2, "distill", t, *SPEC, "--data", a, "-o", x, "--cache", f"{d}/small", "--cache-limit", "500")
    check("500" in r.stderr, f"the limit of the cache: {r.stderr.strip()!r}")
    exits(3, "distill", t, *SPEC, "--data", a, "-o", x, "--objective", "mlm")
    check(not os.path.exists(x), "nothing was written")
    if os.path.exists("/dev/full") and hasattr(os, "geteuid"):
        r = subprocess.run(["sh", "-c", f"ulimit -f 1; trap '' XFSZ; exec '{MCOMP}' distill '{t}' --student mlp --data '{a}' -o '{x}' --cache '{d}/tiny'"], capture_output=True, text=True, timeout=100)
        check(r.returncode == 5 and not glob.glob(f"{d}/tiny/*/*"), f"a full disk is exit 5, and nothing half-written stays (got {r.returncode}: {r.stderr.strip()!r})")


def main():
    start = time.time()
    with tempfile.TemporaryDirectory() as d:
        on_arrays(d)
        damaged(d)
        no_labels(d)
        interrupted(d)
        on_texts(d)
        cut_from_the_teacher(d)
        errors(d)
    print(f"# {time.time() - start:.0f} s")
    sys.exit(bool(failures))


main()

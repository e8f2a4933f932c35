#!/usr/bin/env python3
"""mcomp train: fresh models on arrays and texts, what it prints, files it leaves, interruption and resuming, errors."""
import json
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


def arrays(path, n, seed):
    r = random.Random(seed)
    x = [[r.uniform(-1, 1) for _ in range(6)] for _ in range(n)]
    y = [(a[0] + a[1] > 0.2) + (a[2] > 0) for a in x]
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("input.npy", npy("<f4", f"({n}, 6)", struct.pack(f"<{6 * n}f", *sum(x, []))))
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


def classify(d):
    a, b = f"{d}/a.npz", f"{d}/b.npz"
    arrays(a, 500, 1)
    arrays(b, 300, 2)
    spec = ("--build", "mlp:layers=1,hidden=24,dropout=0")
    j = answer(0, "train", *spec, "--data", a, "-o", f"{d}/m.onnx", "--epochs", "15", "--lr", "0.02")
    m = j.get("best", {}).get("metric", {})
    check(m.get("name") == "accuracy" and m["ci95"][0] <= m["value"] <= m["ci95"][1] and m["n"] > 20 and m["value"] > 0.85, f"best metric: {m}")
    check(len(j["curve"]) == 15 and all({"epoch", "step", "loss", "accuracy"} <= set(c) for c in j["curve"]), "a curve with a point an epoch")
    check(j["samples_per_second"] > 0 and j["peak_bytes"] > 0 and j["output"] == f"{d}/m.onnx" and os.path.exists(f"{d}/m.onnx.ckpt"), "speed, memory, output, checkpoint")
    e = answer(0, "eval", f"{d}/m.onnx", "--data", b)
    check(e["metric"]["value"] > 0.85, f"the written model knows it: {e['metric']}")
    r = exits(2, "train", *spec, "--data", a, "-o", f"{d}/m.onnx")
    check("-f" in r.stderr, "an output that exists is not replaced")
    before = open(f"{d}/m.onnx", "rb").read()
    exits(0, "train", *spec, "--data", a, "-o", f"{d}/again.onnx", "--epochs", "15", "--lr", "0.02", "--threads", "1")
    check(open(f"{d}/again.onnx", "rb").read() == before, "one thread or more: the same bytes")
    j = answer(0, "train", f"{d}/m.onnx", "--data", a, "-o", f"{d}/m2.onnx", "--epochs", "2", "--freeze", "layer.*", "--optimizer", "sgd", "--loss", "bce", "--metric", "loss")
    check(j["best"]["metric"]["name"] == "loss", "a model is trained on, with another loss and metric")


def interrupted(d):
    a, common = f"{d}/a.npz", ("--build", "mlp:layers=1,hidden=24", "--epochs", "400", "--batch", "4", "--checkpoint-every", "50")
    whole, parts = f"{d}/whole.onnx", f"{d}/parts.onnx"
    exits(0, "train", *common, "--data", a, "-o", whole, "--progress=none")
    p = subprocess.Popen([MCOMP, "train", *common, "--data", a, "-o", parts, "--progress=jsonl", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in p.stderr:
        if json.loads(line).get("step", 0) >= 300:
            break
    p.send_signal(signal.SIGINT)
    out, _ = p.communicate(timeout=60)
    check(p.returncode == 130 and json.loads(out)["error"]["name"] == "CANCELLED", f"Ctrl-C is exit 130 (got {p.returncode})")
    check(os.path.exists(parts + ".ckpt") and not os.path.exists(parts), "Ctrl-C leaves a checkpoint and no model")
    exits(0, "train", *common, "--data", a, "-o", parts, "--resume", "--progress=none")
    check(open(whole, "rb").read() == open(parts, "rb").read(), "resumed: the bytes of the run without interruption")
    r = exits(2, "train", *common, "--seed", "9", "--data", a, "-o", f"{d}/parts.onnx", "-f", "--resume")
    check("seed" in r.stderr, "a checkpoint of another set-up is refused")
    exits(0, "train", *common[:2], "--epochs", "1", "--data", a, "-o", f"{d}/fresh.onnx", "--resume")
    with open(parts + ".ckpt", "r+b") as f:
        f.seek(600)
        f.write(b"\xff\x00\xff")
    r = exits(2, "train", *common, "--data", a, "-o", parts, "-f", "--resume")
    check("damaged" in r.stderr, "a damaged checkpoint is named as such")


def on_texts(d):
    t, v = f"{d}/t.tsv", f"{d}/v.tsv"
    texts(t, 400, 1)
    texts(v, 150, 2)
    for kind, more in (("text-cnn:hidden=16,channels=16,dropout=0.2", ("--lr", "0.005")), ("encoder:layers=1,hidden=32,heads=2", ()), ("bilstm:hidden=16", ("--lr", "0.005"))):
        out = f"{d}/{kind.split(':')[0]}.onnx"
        answer(0, "train", "--build", kind, "--data", t, "--tokenizer", "train:wordpiece,200", "--max-length", "24", "--epochs", "12", "-o", out, *more)
        check(os.path.exists(out[:-5] + ".tokenizer.json"), "the tokenizer lies beside the model")
        e = answer(0, "eval", out, "--data", v, "--max-length", "24")
        check(e["metric"]["value"] > 0.9, f"{kind} on other texts: {e['metric']['value']}")
    with open(f"{d}/s.txt", "w") as f:
        f.write("abcdefgh " * 800)
    j = answer(0, "train", "--build", "decoder:layers=1,hidden=32,heads=2,dropout=0", "--objective", "next-token", "--tokenizer", "chars", "--max-length", "32", "--data", f"{d}/s.txt",
               "--epochs", "20", "--lr", "0.01", "-o", f"{d}/lm.onnx")
    m = j["best"]["metric"]
    check(m["name"] == "perplexity" and m["value"] < 1.3, f"a stream is learnt: {m}")
    with open(f"{d}/l.txt", "w") as f:
        r = random.Random(3)
        f.writelines(" ".join(f"{w}{w}" for w in r.choices("abcdefgh", k=r.randint(4, 9))) + "\n" for _ in range(300))
    j = answer(0, "train", "--build", "encoder:layers=1,hidden=32,heads=2,dropout=0", "--objective", "mlm", "--tokenizer", "train:wordpiece,100", "--max-length", "24", "--data", f"{d}/l.txt",
               "--epochs", "2", "-o", f"{d}/mlm.onnx")
    check(j["best"]["metric"]["name"] == "perplexity", "masked language modelling")


def errors(d):
    a = f"{d}/a.npz"
    exits(1, "train", "--data", a, "-o", f"{d}/x.onnx")
    exits(1, "train", "x.onnx", "--build", "mlp", "--data", a, "-o", f"{d}/x.onnx")
    exits(1, "train", "--build", "mlp", "--data", a)
    exits(1, "train", "--build", "mlp", "-o", f"{d}/x.onnx")
    for args, word in ((("--build", "mpl"), "mlp"), (("--build", "mlp:hiden=3"), "hidden"), (("--build", "mlp", "--optimizer", "adan"), "adam"), (("--build", "mlp", "--loss", "cross-entropy"), "cross_entropy"),
                       (("--build", "mlp", "--schedule", "cosin"), "cosine"), (("--build", "mlp", "--metric", "acuracy"), "accuracy"), (("--build", "mlp", "--freeze", "nothing*"), "nothing")):
        r = exits(1, "train", *args, "--data", a, "-o", f"{d}/x.onnx")
        check(word in r.stderr, f"{args[-1]}: the nearest is named: {r.stderr.strip()[-160:]!r}")
    exits(1, "train", "--build", "mlp", "--precision", "f16", "--data", a, "-o", f"{d}/x.onnx")
    exits(2, "train", "--build", "cnn", "--data", a, "-o", f"{d}/x.onnx")
    j = answer(4, "train", "--build", "mlp", "--optimizer", "sgd", "--lr", "999", "--clip-norm", "0", "--schedule", "constant", "--warmup", "0", "--epochs", "30", "--data", a, "-o", f"{d}/div.onnx")
    check(j["error"]["name"] == "DIVERGED" and "step" in j["error"]["what"], f"a training that diverges says where: {j.get('error')}")


def precision(d):
    a = f"{d}/p.npz"
    arrays(a, 200, 3)
    args = ("train", "--build", "mlp", "--epochs", "2", "--data", a)
    os.environ["MCOMP_ISA"] = "avx2"
    r = exits(3, *args, "--precision", "bf16", "-o", f"{d}/none.onnx")
    check("AVX512_BF16" in r.stderr and not os.path.exists(f"{d}/none.onnx"), f"what the CPU lacks is named: {r.stderr.strip()[-200:]!r}")
    del os.environ["MCOMP_ISA"]
    if not answer(0, "doctor")["machine"]["bf16"]:
        print("# this CPU has no BF16")
        return
    full, low = (answer(0, *args, "--precision", p, "-o", f"{d}/{p}.onnx") for p in ("f32", "bf16"))
    check(full["best"]["metric"]["value"] - low["best"]["metric"]["value"] < 0.15, f"bf16 learns as f32 does: {full['best']} {low['best']}")
    with open(f"{d}/f32.onnx", "rb") as x, open(f"{d}/bf16.onnx", "rb") as y:
        check(x.read() != y.read(), "bf16 is another arithmetic")
    exits(0, "eval", f"{d}/bf16.onnx", "--data", a)
    r = exits(2, *args, "--epochs", "3", "--precision", "f32", "--resume", "-f", "-o", f"{d}/bf16.onnx")
    check("precision" in r.stderr, f"a checkpoint of another precision is refused: {r.stderr.strip()[-200:]!r}")


def main():
    start = time.time()
    with tempfile.TemporaryDirectory() as d:
        classify(d)
        interrupted(d)
        on_texts(d)
        errors(d)
        precision(d)
    print(f"# {time.time() - start:.0f} s")
    sys.exit(bool(failures))


main()

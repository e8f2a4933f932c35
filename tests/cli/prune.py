#!/usr/bin/env python3
"""mcomp prune: what it writes and measures, patterns, targets, resuming after Ctrl-C, inspect --groups, errors."""
import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile

from command import MCOMP, answer, check, failures, run


def images(folder, n, seed):
    """IDX images of 12 x 12: class = which quarter is bright."""
    rng = random.Random(seed)
    pixels, labels = bytearray(), bytearray()
    for _ in range(n):
        k = rng.randrange(4)
        labels.append(k)
        for y in range(12):
            for x in range(12):
                bright = (y >= 6) == (k >= 2) and (x >= 6) == (k % 2 == 1)
                pixels.append(rng.randrange(90, 256) if bright else rng.randrange(0, 180))
    a, b = os.path.join(folder, f"i{seed}"), os.path.join(folder, f"l{seed}")
    open(a, "wb").write(struct.pack(">IIII", 0x803, n, 12, 12) + pixels)
    open(b, "wb").write(struct.pack(">II", 0x801, n) + labels)
    return f"idx:{a},{b}"


def measured(j):
    b, a = j["before"], j["after"]
    check(all(k in side for side in (a, b) for k in ("metric", "bytes", "params", "macs", "p50_ms")), "before and after have all their figures")
    check(all(isinstance(x["kept"], int) and 0 <= x["sparsity"] < 1 and x["node"] for x in j["layers"]), "layers say what is left")
    check(os.path.getsize(j["output"]) == a["bytes"], "bytes are those on disk")
    return b, a


def patterns(dir, model, train, valid):
    common = ("--data", train, "--valid", valid, "--scale", "255", "--epochs", "4", "--lr", "3e-3", "-f", "-o", os.path.join(dir, "p.onnx"))
    j = answer(0, "prune", model, *common, "--pattern", "channel", "--sparsity", "0.5")
    b, a = measured(j)
    check(a["macs"] < 0.6 * b["macs"] and a["bytes"] < 0.6 * b["bytes"] and a["params"] < 0.6 * b["params"], "half of the channels are half of the work")
    check(j["equivalence"]["max_abs"] < 1e-4 and a["metric"]["value"] > 0.9, f"the cut model is right ({a['metric']['value']})")
    e = answer(0, "eval", os.path.join(dir, "p.onnx"), "--data", valid, "--scale", "255")
    check(abs(e["metric"]["value"] - a["metric"]["value"]) < 1e-9, "eval of the file gives the same metric")
    for pattern, schedule in (("unstructured", "iterative"), ("4x1", "cubic"), ("1x4", "linear"), ("2:4", "one-shot")):
        j = answer(0, "prune", model, *common, "--pattern", pattern, "--schedule", schedule, "--sparsity", "0.5")
        b, a = measured(j)
        check(abs(j["sparsity"] - 0.5) < 0.02 and a["params"] < 0.7 * b["params"] and a["metric"]["value"] > 0.9, f"{pattern}: half of the weights are zeros")
    j = answer(0, "prune", model, *common, "--pattern", "ffn", "--macs", "0.03", "--criterion", "taylor")
    check(j["after"]["macs"] <= 0.97 * j["before"]["macs"], "--macs removes what it says")
    j = answer(0, "prune", model, "--data", train, "--scale", "255", "--epochs", "2", "-f", "-o", os.path.join(dir, "p.onnx"))
    check(j["before"]["metric"]["n"] == j["after"]["metric"]["n"] < 400, "without --valid the metric is the training's own")


def groups(model):
    j = answer(0, "inspect", model, "--groups")
    kinds = {g["kind"] for g in j["groups"]}
    check(kinds == {"channel", "ffn"} and all(g["units"] > 1 and g["weights"] > 0 and g["name"] for g in j["groups"]), f"inspect --groups: {kinds}")


def interruption(dir, model, train):
    args = ("prune", model, "--data", train, "--scale", "255", "--epochs", "12", "--batch", "8", "--pattern", "channel", "--progress", "jsonl")
    out, whole = os.path.join(dir, "r.onnx"), os.path.join(dir, "whole.onnx")
    run(*args, "-o", whole)
    p = subprocess.Popen([MCOMP, *args, "-o", out], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in p.stderr:
        if '"event":"step"' in line and json.loads(line)["step"] >= 200:
            p.send_signal(signal.SIGINT)
            break
    p.stderr.read()
    check(p.wait(60) == 130 and os.path.exists(out + ".ckpt") and not os.path.exists(out), "Ctrl-C: exit 130, a checkpoint, no half model")
    r = run(*args, "-o", out, "--resume")
    check(r.returncode == 0 and open(out, "rb").read() == open(whole, "rb").read(), "resumed: the file of an uninterrupted run")


def errors(dir, model, train, valid):
    out = os.path.join(dir, "e.onnx")
    for code, word, args in ((1, "channel", ("--pattern", "chanel")), (1, "taylor", ("--criterion", "tailor")), (1, "cubic", ("--schedule", "cubik")),
                             (2, "0.5", ("--sparsity", "50")), (1, "head", ("--pattern", "head")), (3, "channel", ("--latency", "1")),
                             (1, "one of them", ("--sparsity", "0.5", "--macs", "0.5")), (1, "nothing", ("--match", "nothing*")),
                             (1, "fpgm", ("--criterion", "fpgm")), (1, "average", ("--average", "0.9"))):
        j = answer(code, "prune", model, "--data", train, "--scale", "255", "-o", out, *args)
        e = j.get("error", {})
        check(word in e.get("what", "") + e.get("hint", "") + e.get("where", "") and not os.path.exists(out), f"{args}: {e.get('what')!r}, {e.get('hint')!r}")
    j = answer(4, "prune", model, "--data", train, "--valid", valid, "--scale", "255", "--epochs", "1", "--pattern", "channel", "--macs", "0.99", "-o", out)
    check(j["error"]["name"] == "TARGET_MISSED" and os.path.exists(out) and j["after"]["macs"] < 0.2 * j["before"]["macs"], "a missed target: exit 4, the nearest model is written")
    answer(1, "prune", model, "-o", out)
    answer(1, "prune", model, "--data", train)
    answer(2, "prune", model, "--data", train, "--scale", "255", "-o", out)


def main():
    with tempfile.TemporaryDirectory() as dir:
        train, valid, model = images(dir, 400, 1), images(dir, 200, 2), os.path.join(dir, "m.onnx")
        j = answer(0, "train", "--build", "cnn", "--data", train, "--valid", valid, "--scale", "255", "--epochs", "6", "--batch", "32", "-o", model)
        check(j["best"]["metric"]["value"] > 0.9, f"the model learned ({j['best']['metric']['value']})")
        groups(model)
        patterns(dir, model, train, valid)
        interruption(dir, model, train)
        errors(dir, model, train, valid)
    print(f"{len(failures)} failures")
    sys.exit(1 if failures else 0)


main()

#!/usr/bin/env python3
"""mcomp quantize --mode qat|ptq_then_qat: what it writes, measures and refuses, resuming; coverage of a calibration; mcomp sensitivity."""
import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile

from command import MCOMP, answer, check, failures, run


def images(folder, n, seed, contrast=1.0, classes=range(4)):
    """IDX images of 12 x 12: class = which quarter is bright."""
    rng = random.Random(seed)
    pixels, labels = bytearray(), bytearray()
    for _ in range(n):
        k = rng.choice(list(classes))
        labels.append(k)
        for y in range(12):
            for x in range(12):
                bright = (y >= 6) == (k >= 2) and (x >= 6) == (k % 2 == 1)
                pixels.append(int(contrast * (rng.randrange(90, 256) if bright else rng.randrange(0, 180))))
    a, b = os.path.join(folder, f"i{seed}"), os.path.join(folder, f"l{seed}")
    open(a, "wb").write(struct.pack(">IIII", 0x803, n, 12, 12) + pixels)
    open(b, "wb").write(struct.pack(">II", 0x801, n) + labels)
    return f"idx:{a},{b}"


def trains(dir, model, train, test, dim):
    out = os.path.join(dir, "q.onnx")
    bad = ("--range", "minmax", "--calib", dim, "--eval", test, "--scale", "255", "-f", "-o", out)
    p = answer(0, "quantize", model, "--scheme", "int8", "--slower", "keep", *bad)
    q = answer(0, "quantize", model, "--mode", "qat", "--data", train, "--valid", test, "--epochs", "6", "--lr", "3e-3", *bad)
    lost, left = (j["before"]["metric"]["value"] - j["after"]["metric"]["value"] for j in (p, q))
    check(lost > 0.1 and left < 0.5 * lost, f"ranges eight times too small: {lost:.3f} lost, {left:.3f} after training")
    check(q["scheme"] == "int8" and q["mode"] == "qat" and q["output"] == out and os.path.getsize(out) == q["after"]["bytes"] == p["after"]["bytes"], "the file has the form of a calibrated one")
    check(len(q["curve"]) == 6 and q["best"]["metric"]["n"] == 200 and q["qat"]["trained"] and q["qat"]["learned_scales"] > 0, "curve, best and qat")
    e = answer(0, "eval", out, "--data", test, "--scale", "255")
    check(e["metric"]["value"] == q["after"]["metric"]["value"] == q["best"]["metric"]["value"], "what was validated is what the file computes")
    again = answer(0, "quantize", out, "--mode", "qat", "--scales", "fixed", "--data", train, "--scale", "255", "--epochs", "1", "-o", os.path.join(dir, "again.onnx"))
    check(again["qat"]["learned_scales"] == 0 and "float_metric" not in again["qat"] and "metric" in again["after"], "a quantized model goes on training, without --eval by the training's figures")
    q = answer(0, "quantize", model, "--mode", "ptq_then_qat", "--data", train, "--valid", test, "--scale", "255", "--epochs", "1", "-f", "-o", out)
    check(q["qat"]["trained"] == (q["qat"]["calibrated_metric"] < q["qat"]["float_metric"]), "ptq_then_qat trains only what calibration loses")
    r = run("quantize", model, "--mode", "qat", "--data", train, "--scale", "255", "--epochs", "1", "-f", "-o", out)
    check(r.returncode == 0 and "trained" in r.stdout, f"for people: {r.stdout!r}")


def interruption(dir, model, train):
    args = ("quantize", model, "--mode", "qat", "--data", train, "--scale", "255", "--epochs", "12", "--batch", "8", "--progress", "jsonl")
    out, whole = os.path.join(dir, "r.onnx"), os.path.join(dir, "whole.onnx")
    run(*args, "-o", whole)
    p = subprocess.Popen([MCOMP, *args, "-o", out], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in p.stderr:
        if '"event":"step"' in line and json.loads(line)["step"] >= 120:
            p.send_signal(signal.SIGINT)
            break
    p.stderr.read()
    check(p.wait(60) == 130 and os.path.exists(out + ".ckpt") and not os.path.exists(out), "Ctrl-C: exit 130, a checkpoint, no half model")
    r = run(*args, "-o", out, "--resume")
    check(r.returncode == 0 and open(out, "rb").read() == open(whole, "rb").read(), f"resumed: the file of an uninterrupted run {r.stderr[-200:]!r}")


def coverage(dir, model, one, all_classes):
    f = os.path.join(dir, "c.calib")
    for verb in (("calibrate", model, "--data", one, "-o", f), ("quantize", model, "--calib", one, "-o", os.path.join(dir, "c.onnx"))):
        j = answer(0, *verb, "--scale", "255", "-f")
        c = j["coverage"]
        check(c["classes"] == 4 and c["labels_seen"] == 1 and c["unseen"] == ["0", "1", "3"] and 0 <= c["dead_channels_ratio"] <= 1, f"{verb[0]}: coverage {c}")
        w = [w["text"] for w in j["warnings"] if w["code"] == "COVERAGE"]
        check(len(w) == 1 and "1 of 4 classes" in w[0] and "0, 1, 3" in w[0], f"{verb[0]} says which classes were never seen: {w}")
        r = run(*verb, "--scale", "255", "-f")
        check("1 of 4 classes" in r.stderr, f"{verb[0]}: people are told as well")
    j = answer(0, "quantize", model, "--calib", f, "-f", "-o", os.path.join(dir, "c.onnx"))
    check(j["coverage"]["unseen"] == ["0", "1", "3"], "a .calib file remembers it")
    j = answer(0, "calibrate", model, "--data", all_classes, "--scale", "255", "-o", f, "-f")
    check(j["coverage"]["unseen"] == [] and not [w for w in j["warnings"] if w["code"] == "COVERAGE"], "nothing to say about samples of every class")


def sensitivity(dir, model, train, test, dim):
    j = answer(0, "sensitivity", model, "--calib", train, "--eval", test, "--scale", "255", "--limit", "100")
    layers = j["layers"]
    check(len(layers) > 3 and all(x["node"] and x["op"] and x["macs"] > 0 and x["bytes_saved"] > 0 and 0 <= x["agreement_ratio"] <= 1 for x in layers), "each layer has its figures")
    check([x["error"] for x in layers] == sorted((x["error"] for x in layers), reverse=True) and layers[0]["error"] > 0, "the most sensitive one is first")
    check(abs(sum(x["macs"] for x in layers) - j["all"]["macs"]) < 1 and j["keep"] == [] and j["all"]["error"] < 0.02, "one by one the layers are the whole")
    j = answer(0, "sensitivity", model, "--calib", dim, "--range", "minmax", "--eval", test, "--scale", "255")
    check(j["keep"] == [x["node"] for x in j["layers"][:len(j["keep"])]] and j["keep"] and j["kept"]["error"] < j["all"]["error"], f"bad ranges: keep {j['keep']}")
    args = [x for k in j["keep"] for x in ("--keep", k)]
    q = answer(0, "quantize", model, "--scheme", "int8", "--slower", "keep", "--calib", dim, "--range", "minmax", "--eval", test, "--scale", "255", "-f", "-o", os.path.join(dir, "k.onnx"), *args)
    check(abs(q["agreement_ratio"] - j["kept"]["agreement_ratio"]) < 1e-9, "quantize --keep gives what sensitivity promised")
    answer(1, "sensitivity", model)
    r = run("sensitivity", model, "--calib", train, "--scale", "255", "--limit", "20")
    check(r.returncode == 0 and "all of them together" in r.stdout, f"for people: {r.stdout[-200:]!r}")


def errors(dir, model, train):
    out = os.path.join(dir, "e.onnx")
    data = ("--data", train, "--scale", "255")
    for code, word, args in ((1, "ptq_then_qat", ("--mode", "qta", *data)), (1, "--data", ("--mode", "qat")), (1, "epochs", ("--epochs", "3", *data)),
                             (3, "int8", ("--mode", "qat", "--scheme", "int8-dynamic", *data)), (1, "slower", ("--mode", "qat", "--slower", "float", *data)),
                             (1, "scales", ("--mode", "qat", "--scales", "some", *data)), (1, "zeros", ("--zeros", "keep", *data)),
                             (3, "float", ("--mode", "qat", "--keep", "*", *data)), (1, "lr", ("--mode", "qat", "--lr", "1e9", *data))):
        j = answer(code, "quantize", model, "-o", out, *args)
        e = j.get("error", {})
        check(word in e.get("what", "") + e.get("hint", "") + e.get("where", "") and not os.path.exists(out), f"{args[:2]}: {e.get('what')!r}, {e.get('hint')!r}")


def main():
    with tempfile.TemporaryDirectory() as dir:
        train, test, model = images(dir, 400, 1), images(dir, 200, 2), os.path.join(dir, "m.onnx")
        answer(0, "train", "--build", "cnn", "--data", train, "--valid", test, "--scale", "255", "--epochs", "6", "--batch", "32", "-o", model)
        dim = images(dir, 64, 3, contrast=0.125)
        trains(dir, model, train, test, dim)
        sensitivity(dir, model, train, test, dim)
        interruption(dir, model, train)
        coverage(dir, model, images(dir, 40, 4, classes=[2]), train)
        errors(dir, model, train)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

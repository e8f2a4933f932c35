#!/usr/bin/env python3
"""mcomp compress: stages and what is measured of them, killing and resuming, targets, errors. With --slow: more kills."""
import hashlib
import json
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zipfile

from command import MCOMP, answer, check, exits, failures, npy, run

SLOW = "--slow" in sys.argv


def arrays(path, n, seed, features=16):
    """Three classes by the sums of three groups of numbers."""
    r = random.Random(seed)
    x = [[r.uniform(-1, 1) for _ in range(features)] for _ in range(n)]
    y = [max(range(3), key=lambda k: sum(a[k::3])) for a in x]
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("input.npy", npy("<f4", f"({n}, {features})", struct.pack(f"<{features * n}f", *sum(x, []))))
        z.writestr("label.npy", npy("<i8", f"({n},)", struct.pack(f"<{n}q", *y)))


def recipe(d, name, passes, target="", extra=""):
    path = f"{d}/{name}.yaml"
    with open(path, "w") as f:
        f.write(f"version: 1\nmodel: {{teacher: teacher.onnx{extra}}}\ndata:\n  train: {{path: a.npz}}\n  eval: {{path: b.npz}}\n")
        if target:
            f.write(f"target: {{{target}}}\n")
        f.write("report: {cost: {instances: 8, usd_per_hour: 3.06, after_usd_per_hour: 0.752, peak_rps: 60}}\n")
        f.write("passes:\n" + "".join(f"  - {p}\n" for p in passes))
    return path


CHAIN = ["distill: {student: 'mlp:layers=2,hidden=32,dropout=0', losses: [{kind: logits, temperature: 2, alpha: 0.3}], epochs: 12, lr: 0.01, control: true}",
         "prune: {pattern: unstructured, sparsity: 0.6, epochs: 8, lr: 0.005, keep_distilling: true}",
         "finetune: {epochs: 6, lr: 0.002}",
         "quantize: {scheme: int8}"]


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def well_formed(o, d):
    for key in ("schema_version", "command", "mcomp", "machine", "warnings", "argv", "seed", "recipe", "data", "stages", "ratios", "size_ratio", "target", "output", "report", "cost"):
        check(key in o, f"the object has {key}")
    stages = o["stages"]
    check([s["name"] for s in stages] == ["teacher", "distill", "prune", "finetune", "quantize"], "a stage a pass, the teacher first")
    for s in stages:
        lo, hi = s["metric"]["ci95"]
        check(0 <= lo <= s["metric"]["value"] <= hi <= 1 and s["metric"]["n"] == 300, f"{s['name']}: a metric with its interval")
        check(all(s[k] > 0 for k in ("bytes", "params", "macs", "p50_ms", "p90_ms", "peak_rss_bytes")), f"{s['name']}: sizes and times")
        check(s["layers"] and all(0 <= x["sparsity"] <= 1 and x["bytes"] > 0 and x["dtype"] for x in s["layers"]), f"{s['name']}: layers")
        check(s["operators"] and all(x["count"] > 0 for x in s["operators"]), f"{s['name']}: operators")
    for s in stages[1:]:
        check(0 <= s["agreement_ratio"] <= 1 and 0 <= s["difference"]["mcnemar_p"] <= 1, f"{s['name']}: beside the teacher")
        check(s["what"] and "seconds" in s, f"{s['name']}: what was done")
        check(os.path.getsize(os.path.join(d, s["path"])) == s["bytes"], f"{s['name']}: bytes are those on disk")
    by = {s["name"]: s for s in stages}
    check("control" in by["distill"] and by["distill"]["control"]["metric"]["n"] == 300, "the control is measured")
    check([row["epoch"] for row in by["distill"]["curve"]] == list(range(1, 13)), "the curve of the student")
    check(by["quantize"]["scheme"] == "int8" and isinstance(by["quantize"]["kept_float"], list), "scheme and what stayed float")
    pruned = [x for x in by["prune"]["layers"] if x.get("pattern") == "unstructured"]
    check(pruned and all(abs(x["sparsity"] - 0.6) < 0.1 for x in pruned), "the zeros that were asked for")
    kept = {x["node"]: x["sparsity"] for x in by["finetune"]["layers"]}
    check(all(kept[x["node"]] >= x["sparsity"] - 1e-6 for x in pruned), "training on leaves the zeros alone")
    check(any(x["dtype"] == "int8" for x in by["quantize"]["layers"]), "int8 weights after quantizing")
    check(len(o["ratios"]) == 4 and all(r["over"] == "teacher" and r["p50_ratio"] > 0 for r in o["ratios"]), "ratios over the teacher")
    check(by["distill"]["metric"]["value"] > 0.75, f"the student has learned ({by['distill']['metric']['value']})")


def chain(d):
    r, out = recipe(d, "chain", CHAIN, "max_drop: 0.9, max_p50_ms: 1000, batch: 4, threads: 1"), f"{d}/out"
    start = time.time()
    o = answer(0, "compress", r, "-o", out)
    seconds = time.time() - start
    if "stages" not in o:
        return 0, ""
    well_formed(o, out)
    check(o["target"]["met"] is True and o["target"]["max_drop"]["met"] is True and o["target"]["max_p50_ms"]["value"] > 0, "the target is met")
    with open(f"{out}/run.json") as f:
        disk = json.load(f)
    check(disk["stages"] == o["stages"] and disk["target"] == o["target"], "run.json is what --json prints")
    with open(o["report"]) as f:
        page = f.read()
    check("</html>" in page and "mcomp-run" in page, "report.html")
    exits(2, "compress", r, "-o", out)  # nothing is replaced unasked
    first = digest(f"{out}/model.onnx")
    again = answer(0, "compress", r, "-o", out, "--resume")
    check(all(s["reused"] for s in again["stages"][1:]), "finished passes are not made again")
    check(digest(f"{out}/model.onnx") == first, "the same bytes from the store")
    other = answer(0, "compress", recipe(d, "other", CHAIN[:3] + ["quantize: {scheme: int8-dynamic}"]), "-o", out, "-f")
    check([s["reused"] for s in other["stages"][1:]] == [True, True, True, False], "another last pass: the first ones are shared")
    # a damaged file of the store is made anew
    node = os.path.join(out, next(s["path"] for s in o["stages"] if s["name"] == "prune"))
    with open(node, "r+b") as f:
        f.seek(200)
        f.write(b"\xff" * 16)
    mended = answer(0, "compress", r, "-o", out, "--resume")
    check(any(w["code"] == "STORE" for w in mended["warnings"]) and digest(f"{out}/model.onnx") == first, "a damaged pass is seen and made anew")
    return seconds, first


def kills(d, seconds, want, count):
    r = recipe(d, "chain", CHAIN, "max_drop: 0.9, max_p50_ms: 1000, batch: 4, threads: 1")
    rng = random.Random(count)
    out, hits = f"{d}/killed{count}", 0
    for k in range(count):
        p = subprocess.Popen([MCOMP, "compress", r, "-o", out, "--resume", "-q"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.05, 0.45) * max(seconds, 0.5))
        if p.poll() is None:
            hits += 1
            p.send_signal(signal.SIGKILL)
        p.wait()
    check(hits > 0, f"{hits} of {count} runs were killed at work")
    exits(0, "compress", r, "-o", out, "--resume")
    check(digest(f"{out}/model.onnx") == want, f"killed {hits} times and resumed: the same bytes")
    # asked to stop: 130, and what is done is kept
    out = f"{d}/stopped{count}"
    p = subprocess.Popen([MCOMP, "compress", r, "-o", out, "-q"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.15 * max(seconds, 0.5))
    second = run("compress", r, "-o", out, "--resume") if p.poll() is None else None
    p.send_signal(signal.SIGINT)
    code = p.wait()
    check(code in (130, 0), f"interrupted: exit 130 (got {code})")
    if second is not None and code == 130:
        check(second.returncode == 5 and "uses this store" in second.stderr, f"a second run of the store is told so ({second.returncode}: {second.stderr[-200:]!r})")
    exits(0, "compress", r, "-o", out, "--resume")
    check(digest(f"{out}/model.onnx") == want, "interrupted and resumed: the same bytes")


def targets(d):
    out = f"{d}/missed"
    o = answer(4, "compress", recipe(d, "missed", ["quantize: {scheme: int8-dynamic}"], "max_size_bytes: 10, max_drop: 0.9"), "-o", out)
    check(o["error"]["name"] == "TARGET_MISSED" and "max_size_bytes" in o["error"]["what"], "the error says which")
    check(o["target"]["met"] is False and o["target"]["max_size_bytes"]["by"] > 0 and o["target"]["max_drop"]["met"] is True, "by how much, and the others")
    check(os.path.exists(f"{out}/model.onnx") and os.path.exists(f"{out}/run.json"), "the model is written all the same")
    o = answer(4, "compress", recipe(d, "expect", ["quantize: {scheme: int8-dynamic}"], extra=", expect: {metric: accuracy, value: 0.1, tol: 0.01}"), "-o", f"{d}/expect")
    check(o["error"]["name"] == "MISMATCH" and not os.path.exists(f"{d}/expect/model.onnx"), "another accuracy than expected stops the run")


def in_training(d):
    for mode in ("qat", "ptq_then_qat"):
        passes = ["distill: {student: 'mlp:layers=1,hidden=16,dropout=0', epochs: 6, lr: 0.01}", f"quantize: {{scheme: int8, mode: {mode}, epochs: 2, keep_distilling: true}}"]
        o = answer(0, "compress", recipe(d, mode, passes), "-o", f"{d}/{mode}")
        last = o["stages"][-1]
        check(last["scheme"] == "int8" and any(x["dtype"] == "int8" for x in last["layers"]) and last["trained"], f"{mode}: {last.get('trained')}")
        check(mode != "qat" or [row["epoch"] for row in last["curve"]] == [1, 2], f"{mode}: the curve of the training")


def presets(d):
    for k in range(1, 10):
        r = exits(0, "compress", f"{d}/teacher.onnx", f"-{k}", "--data", f"{d}/a.npz", "--show-recipe")
        with open(f"{d}/preset{k}.yaml", "w") as f:
            f.write(r.stdout)
        exits(0, "recipe", "check", f"{d}/preset{k}.yaml")
    o = answer(0, "compress", f"{d}/teacher.onnx", "-5", "--data", f"{d}/a.npz", "-o", f"{d}/five")
    check(o["stages"][-1]["scheme"] == "int8" and o["data"]["eval"]["samples"] == 150, "preset 5: static int8, measured on the last tenth")
    o = answer(0, "compress", f"{d}/teacher.onnx", "-9", "--data", f"{d}/a.npz", "--eval", f"{d}/b.npz", "-o", f"{d}/nine")
    check([s["name"] for s in o["stages"]] == ["teacher", "distill", "prune", "quantize"], "preset 9: all of it")
    exits(1, "compress", f"{d}/teacher.onnx", "-5")
    exits(1, "compress", f"{d}/chain.yaml", "--data", f"{d}/a.npz")
    exits(1, "compress", f"{d}/chain.yaml", "--arch", "bert")


def errors(d):
    exits(2, "compress", f"{d}/nowhere.yaml")
    bad = recipe(d, "bad", ["prune: {sparsty: 0.5}"])
    exits(2, "compress", bad)
    with open(f"{d}/nodata.yaml", "w") as f:
        f.write("version: 1\nmodel: {teacher: teacher.onnx}\ndata: {train: {path: none.npz}, eval: {path: b.npz}}\npasses:\n  - finetune: {epochs: 1}\n")
    exits(2, "compress", f"{d}/nodata.yaml", "-o", f"{d}/nodata")
    r, out = recipe(d, "full", ["finetune: {epochs: 1}"]), f"{d}/full"
    o = answer(5, "compress", r, "-o", out, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)))
    check(o["error"]["name"] == "NO_SPACE", "a full disk is named")
    left = [f for base, _, files in os.walk(out) for f in files]
    check(all(not f.startswith(("model", "run.json", "node.json")) and ".tmp" not in f for f in left), f"nothing half-written ({left})")
    exits(0, "compress", r, "-o", out, "--resume")


def main():
    with tempfile.TemporaryDirectory() as d:
        arrays(f"{d}/a.npz", 1500, 1)
        arrays(f"{d}/b.npz", 300, 2)
        exits(0, "train", "--build", "mlp:layers=2,hidden=64,dropout=0", "--data", f"{d}/a.npz", "-o", f"{d}/teacher.onnx", "--epochs", "12", "--lr", "0.01")
        seconds, first = chain(d)
        if first:
            kills(d, seconds, first, 10 if SLOW else 3)
        targets(d)
        in_training(d)
        presets(d)
        errors(d)
    print(f"{len(failures)} failed")
    return 1 if failures else 0


sys.exit(main())

#!/usr/bin/env python3
"""A run.json with everything in it, for the tests and screenshots of the report. Every figure is made up; they only fit together.

    fixture.py [--cost MCOMP] OUT.json [OTHER.json]

The second is the same recipe with another student; with --cost, both hold what `mcomp cost` says of made-up prices."""
import hashlib
import json
import math
import random
import subprocess
import sys


def metric(value, n=2000):
    half = 1.96 * math.sqrt(value * (1 - value) / n)
    return {"name": "accuracy", "value": round(value, 4), "ci95": [round(value - half, 4), round(value + half, 4)], "n": n}


def difference(value, p):
    return {"value": value, "ci95": [round(value - 0.006, 4), round(value + 0.006, 4)], "mcnemar_p": p}


def curve(rng, epochs, loss, accuracy):
    out = []
    for e in range(1, epochs + 1):
        t = 1 - math.exp(-3 * e / epochs)
        out.append({"epoch": e, "step": e * 250, "loss": round(loss * (1 - 0.8 * t) + 0.02 * rng.random(), 4),
                    "metric": round(accuracy - 0.12 * (1 - t) + 0.004 * (rng.random() - 0.5), 4)})
    return out


def layers(rng, n_blocks, sparse, quantized):
    out = []
    for b in range(n_blocks):
        for name, rows, cols in (("attention.self.query", 192, 192), ("attention.self.key", 192, 192), ("attention.self.value", 192, 192),
                                 ("attention.output.dense", 192, 192), ("intermediate.dense", 768, 192), ("output.dense", 192, 768)):
            ffn = "intermediate" in name or name == "output.dense"
            keep = b == 1 and name == "output.dense"
            zeros = round(0.8 + 0.06 * (rng.random() - 0.5), 3) if sparse and ffn else 0.0
            one = {"node": f"/bert/encoder/layer.{b}/{name}/MatMul", "op": "MatMul", "params": rows * cols, "sparsity": zeros,
                   "bytes": rows * cols * (4 if keep or not quantized else 1), "dtype": "float32" if keep or not quantized else "int8"}
            if zeros:
                one["pattern"] = "4x1"
            out.append(one)
    out.append({"node": "/classifier/Gemm", "op": "Gemm", "params": 192 * 6, "sparsity": 0.0, "bytes": 192 * 6 * 4, "dtype": "float32"})
    return out


def stage(name, what, accuracy, bytes_, params, macs, p50, **more):
    s = {"name": name, "what": what, "path": f"store/{hashlib.sha256(name.encode()).hexdigest()[:12]}.onnx", "metric": metric(accuracy), "bytes": bytes_, "params": params,
         "macs": macs, "p50_ms": p50, "p90_ms": round(p50 * 1.09, 3), "peak_rss_bytes": int(bytes_ * 1.4 + 60e6)}
    s.update(more)
    return s


def run(other=False):
    rng = random.Random(7)
    k = 1.3 if other else 1.0
    recipe = "version: 1\nmodel:\n  teacher: teacher.onnx\ndata:\n  train: {path: \"contracts.tsv.gz@split=train\", text: text, label: label}\ntarget:\n  max_drop: 0.02\n  max_size_bytes: 12000000\n"
    final = int(10.94e6 * k)
    last = 7.42 * k
    before_ops = [{"op": "MatMul", "count": 97, "us": 51800.0}, {"op": "LayerNormalization", "count": 25, "us": 2910.0}, {"op": "Softmax", "count": 12, "us": 2240.0},
                  {"op": "Gelu", "count": 12, "us": 3320.0}, {"op": "Add", "count": 49, "us": 1010.0}, {"op": "Gather", "count": 3, "us": 120.0}]
    after_ops = [{"op": "mcomp.QLinear", "count": 36, "us": 5100.0 * k}, {"op": "LayerNormalization", "count": 13, "us": 610.0}, {"op": "Softmax", "count": 6, "us": 590.0},
                 {"op": "Gelu", "count": 6, "us": 560.0}, {"op": "DequantizeLinear", "count": 2, "us": 180.0}, {"op": "Gather", "count": 3, "us": 60.0}]
    return {
        "schema_version": 1, "command": "compress", "mcomp": "0.1.0", "made_up": "fixture of the tests: no figure in here was measured",
        "machine": {"cpu": "Example CPU @ 2.50GHz", "isa": "avx512_vnni", "bf16": True, "threads": 2, "backends": ["cpu", "onednn"]},
        "warnings": [{"code": "FALLBACK", "node": "/bert/encoder/layer.1/output.dense/MatMul", "text": "stays float: integers cost 0.6 points here"},
                     {"code": "DATA", "node": "", "text": "3 samples are longer than 128 ids and were cut"}],
        "argv": ["mcomp", "compress", "contracts.yaml", "-o", "out dir", "--json"], "seed": 0,
        "recipe": {"path": "contracts.yaml", "sha256": hashlib.sha256(recipe.encode()).hexdigest(), "text": recipe},
        "data": {name: {"path": f"contracts.tsv.gz@split={name}", "samples": n, "sha256": hashlib.sha256(name.encode()).hexdigest()}
                 for name, n in (("train", 16000), ("eval", 2000), ("calib", 256))},
        "stages": [
            stage("teacher", "as given", 0.942, 438_012_000, 109_480_000, 11_200_000_000, 61.4, operators=before_ops),
            stage("distill", "6 layers of 192, from layers 0+2+4+6+8+10; logits and relations", 0.936, int(43.3e6 * k), int(10.8e6 * k), int(0.62e9 * k), round(17.9 * k, 2), agreement_ratio=0.972,
                  difference=difference(-0.006, 0.081), seconds=5230.4, curve=curve(rng, 20, 1.9, 0.936), control={"metric": metric(0.911), "difference": difference(-0.031, 1e-7)}),
            stage("prune", "4x1 blocks, 80 % of the feed-forward weights", 0.934, int(43.3e6 * k), int(8.4e6 * k), int(0.41e9 * k), round(12.3 * k, 2), agreement_ratio=0.969,
                  difference=difference(-0.008, 0.024), seconds=2110.0, curve=curve(rng, 12, 0.9, 0.934), equivalence={"max_abs": 2.1e-6}),
            stage("quantize", "static INT8, trained with quantization", 0.933, final, int(8.4e6 * k), int(0.41e9 * k), round(last, 2), agreement_ratio=0.966,
                  difference=difference(-0.009, 0.012), seconds=640.2, curve=curve(rng, 4, 0.5, 0.933), layers=layers(rng, 6, True, True), operators=after_ops, scheme="int8",
                  kept_float=[{"node": "/bert/encoder/layer.1/output.dense/MatMul", "why": "sensitive: -0.6 points"}, {"node": "/classifier/Gemm", "why": "the last product"}]),
        ],
        "ratios": [{"of": "quantize", "over": "teacher", "p50_ratio": round(61.4 / last, 3), "ci95": [round(60.6 / last, 3), round(62.3 / last, 3)]}],
        "size_ratio": round(438_012_000 / final, 3),
        "target": {"met": not other, "max_drop": {"limit": 0.02, "value": 0.009, "met": True}, "max_size_bytes": {"limit": 12_000_000, "value": final, "met": not other},
                   "max_p50_ms": {"limit": 10.0, "value": round(last, 2), "met": True}},
        "trials": [{"id": i, "choices": {"prune.sparsity": s, "distill.hidden": h}, "met": met, "objective": "p50_ms", "value": v}
                   for i, (s, h, met, v) in enumerate(((0.7, 256, False, 11.9), (0.8, 256, False, 10.4), (0.8, 192, True, 7.42)), 1)],
        "output": "out/model.onnx", "report": "out/report.html",
    }


COST = ["--instances", "8", "--usd-per-hour", "3.06", "--after-usd-per-hour", "0.752", "--peak-rps", "40", "--p50-ms", "61.4", "--after-p50-ms", "7.42", "--engineering-usd", "24000",
        "--training-usd", "300", "--requests-per-day", "1e6", "--accuracy-drop", "0.009", "--max-drop", "0.02"]

if __name__ == "__main__":
    args, cost = sys.argv[1:], None
    if args[0] == "--cost":
        printed = json.loads(subprocess.run([args[1], "cost", *COST, "--json"], capture_output=True, check=True, text=True).stdout)
        cost = {k: v for k, v in printed.items() if k not in ("schema_version", "command", "mcomp", "machine", "warnings")}
        args = args[2:]
    for path, other in zip(args, (False, True)):
        with open(path, "w") as f:
            json.dump(run(other) | ({"cost": cost} if cost else {}), f, indent=1)

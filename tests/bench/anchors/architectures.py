#!/usr/bin/env python3
"""Eight architectures as PyTorch exports them, with random weights: python architectures.py OUT MCOMP [NAME ...]

    sh venv.sh DIR                       before the first time
    DIR/bin/python architectures.py OUT build/examples/mcomp/mcomp [--exporter torchscript|dynamo|both] [--scheme int8] [--seconds 8]

Published sizes, batch 1, fixed seeds; the statistics of BatchNorm come from a pass over random images, so that activations keep
their size. Every file is inspected, run against PyTorch's own outputs, quantized with calibration on other inputs and timed beside
the float file (paired). One row a file: operators that are not supported, largest difference to PyTorch relative to the largest
output, cosine and agreement of the INT8 outputs with the float ones, share of integer MACs, reference kernels in the two plans,
latencies and their ratio (above 1: INT8 is faster); below the table what stayed float and why. Exit status 1 if a file misses
what docs/quantization.md promises: supported, within 1e-4, no reference kernel, INT8 not slower.
"""
import argparse
import collections
import json
import os
import subprocess
import sys
import warnings

import numpy as np
import torch
import torchvision
import transformers

warnings.filterwarnings("ignore")
TOLERANCE, SLOWER = 1e-4, 0.97  # a ratio of equal plans, paired, on a busy machine


class Wrapped(torch.nn.Module):
    """A transformers model as a function of tensors, without cache."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


class Tagger(torch.nn.Module):
    """Words to tags through a two-layer bidirectional LSTM (Huang et al. 2015, sizes of Lample et al. 2016)."""

    def __init__(self, vocab=20000, tags=17):
        super().__init__()
        self.embed = torch.nn.Embedding(vocab, 100)
        self.lstm = torch.nn.LSTM(100, 200, num_layers=2, bidirectional=True, batch_first=True)
        self.out = torch.nn.Linear(400, tags)

    def forward(self, input_ids):
        return self.out(self.lstm(self.embed(input_ids))[0])


def vision(make):
    model = make(weights=None)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    if norms:
        for m in norms:
            m.momentum = None
        model.train()
        with torch.no_grad():
            model(torch.randn(8, 3, 224, 224))
    return model.eval(), lambda: (torch.randn(1, 3, 224, 224),), ["image"], {}


def text(model, vocab, length):
    def sample():
        return torch.randint(5, vocab, (1, length)), torch.ones(1, length, dtype=torch.int64)

    axes = {0: "batch", 1: "length"}
    return Wrapped(model).eval(), sample, ["input_ids", "attention_mask"], {"input_ids": axes, "attention_mask": axes}


def gpt2():
    c = transformers.GPT2Config(use_cache=False)
    return text(transformers.GPT2LMHeadModel(c), c.vocab_size, 64)


def distilbert():
    c = transformers.DistilBertConfig()
    return text(transformers.DistilBertForSequenceClassification(c), c.vocab_size, 128)


def tagger():
    return Tagger().eval(), lambda: (torch.randint(0, 20000, (1, 40)),), ["input_ids"], {"input_ids": {1: "length"}}


ARCHITECTURES = {
    "resnet50": lambda: vision(torchvision.models.resnet50),
    "mobilenet_v3": lambda: vision(torchvision.models.mobilenet_v3_large),
    "efficientnet_b0": lambda: vision(torchvision.models.efficientnet_b0),
    "vit_b_16": lambda: vision(torchvision.models.vit_b_16),
    "gpt2": gpt2,
    "distilbert": distilbert,
    "bilstm_tagger": tagger,
    "convnext_tiny": lambda: vision(torchvision.models.convnext_tiny),
}


def export(name, exporter, out):
    """Writes model, calibration and test inputs, and PyTorch's outputs; keeps what is there."""
    stem = f"{out}/{name}.{exporter}"
    if os.path.exists(f"{stem}.want.npy"):
        return stem
    torch.manual_seed(1)
    model, sample, names, axes = ARCHITECTURES[name]()
    if name == "vit_b_16":
        torch.nn.init.normal_(model.heads.head.weight, std=0.02)  # torchvision starts it at zero: the output would be constant
    first = sample()
    if exporter == "dynamo":
        shapes = {n: {a: torch.export.Dim.DYNAMIC for a in ax} for n, ax in axes.items()} or None
        torch.onnx.export(model, first, f"{stem}.onnx", input_names=names, output_names=["y"], dynamo=True, dynamic_shapes=shapes, external_data=False, verbose=False)
    else:
        torch.onnx.export(model, first, f"{stem}.onnx", input_names=names, output_names=["y"], dynamo=False, dynamic_axes=axes, opset_version=17)
    for kind, count in (("calib", 8), ("test", 8)):
        rows = [sample() for _ in range(count)]
        np.savez(f"{stem}.{kind}.npz", **{n: torch.cat([r[i] for r in rows]).numpy() for i, n in enumerate(names)})
    with torch.no_grad():
        np.save(f"{stem}.want.npy", torch.cat([model(*r) for r in rows]).numpy())
    return stem


def mcomp(program, *args):
    r = subprocess.run([program, *args, "--json"], capture_output=True, text=True)
    try:
        got = json.loads(r.stdout)
    except json.JSONDecodeError:
        raise SystemExit(f"{' '.join(args)}: status {r.returncode}, no JSON\n{r.stderr}")
    return got if r.returncode == 0 else {"error": {"what": f"status {r.returncode}"}} | got


def outputs(program, model, data, folder):
    r = mcomp(program, "run", model, "--data", data, "--out", folder, "-f")
    if "error" in r:
        return None, r["error"]["what"]
    return np.load(r["outputs"][0]["path"]), ""


def reference_kernels(program, model, data):
    """Nodes that the interpreter or the portable reference runs."""
    kernels = mcomp(program, "bench", model, "--data", data, "--runs", "1", "--explain").get("kernels", [])
    return collections.Counter(k["op"] for k in kernels if k["kernel"].startswith("ref") or k["backend"] in ("eval", "ref"))


def measure(program, stem, scheme, seconds):
    model, data, row = f"{stem}.onnx", f"{stem}.test.npz", {"file": os.path.basename(stem)}
    seen = mcomp(program, "inspect", model)
    if "error" in seen:
        return row | {"failed": seen["error"]}
    row["unsupported"] = [u["op"] for u in seen["unsupported"]]
    want = np.load(f"{stem}.want.npy").astype(np.float64)
    float_y, why = outputs(program, model, data, f"{stem}.f32")
    if float_y is None:
        return row | {"failed": why}
    row["error"] = float(np.abs(float_y.reshape(want.shape) - want).max() / np.abs(want).max())
    q = mcomp(program, "quantize", model, "--calib", f"{stem}.calib.npz", "--scheme", scheme, "-o", f"{stem}.int8.onnx", "-f")
    if "error" in q:
        return row | {"failed": q["error"]}
    row["kept"] = collections.Counter((k["op"], k["why"]) for k in q["kept_float"])
    row["warnings"] = [w["text"] for w in q["warnings"]]
    int_y, why = outputs(program, f"{stem}.int8.onnx", data, f"{stem}.i8")
    if int_y is None:
        return row | {"failed": why}
    a, b = (y.reshape(-1, y.shape[-1]).astype(np.float64) for y in (float_y, int_y))
    row["cosine"] = float(np.mean((a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))))
    row["agreement"] = float(np.mean(a.argmax(1) == b.argmax(1)))
    row["ref"] = [reference_kernels(program, m, data) for m in (model, f"{stem}.int8.onnx")]
    t = mcomp(program, "bench", model, f"{stem}.int8.onnx", "--data", data, "--seconds", str(seconds))
    row["f32_ms"], row["int8_ms"] = (m["p50_ms"] for m in t["models"])
    row["integer"] = t["models"][1].get("integer_macs_ratio", 0.0)
    row["ratio"] = t["ratios"][0]["p50_ratio"]
    return row


def misses(row):
    return bool(row.get("failed") or row["unsupported"] or row["error"] > TOLERANCE or any(row["ref"]) or row["ratio"] < SLOWER)


def show(rows):
    print(f"{'':28} {'unsupported':12} {'f32 error':>9} {'cosine':>8} {'agree':>6} {'integer':>7} {'ref':>7} {'f32 ms':>9} {'int8 ms':>9} {'ratio':>6}")
    for r in rows:
        mark = " !" if misses(r) else ""
        if "failed" in r:
            print(f"{r['file']:28} {','.join(r.get('unsupported', [])) or '-':12} {r['failed']}{mark}")
            continue
        ref = "/".join(str(sum(c.values())) for c in r["ref"])
        print(f"{r['file']:28} {','.join(r['unsupported']) or '-':12} {r['error']:9.1e} {r['cosine']:8.5f} {r['agreement']:6.3f} {r['integer']:7.3f} "
              f"{ref:>7} {r['f32_ms']:9.3f} {r['int8_ms']:9.3f} {r['ratio']:6.3f}{mark}")
    for r in rows:
        for (op, why), n in r.get("kept", {}).items():
            print(f"  {r['file']}: {n} {op} float: {why}")
        for label, c in zip(("float plan", "int8 plan"), r.get("ref", [])):
            if c:
                print(f"  {r['file']}: reference kernels in the {label}: {dict(c)}")
        for w in r.get("warnings", []):
            print(f"  {r['file']}: {w}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out")
    p.add_argument("mcomp")
    p.add_argument("names", nargs="*", metavar="NAME", default=[])
    p.add_argument("--exporter", choices=("torchscript", "dynamo", "both"), default="both")
    p.add_argument("--scheme", default="int8")
    p.add_argument("--seconds", type=float, default=8.0)
    p.add_argument("--export-only", action="store_true")
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    rows = []
    for name in a.names or ARCHITECTURES:
        for exporter in ("torchscript", "dynamo") if a.exporter == "both" else (a.exporter,):
            try:
                stem = export(name, exporter, a.out)
            except Exception as e:  # an exporter that cannot do it is a row, not the end
                rows.append({"file": f"{name}.{exporter}", "failed": f"the exporter failed: {type(e).__name__}: {str(e).splitlines()[0][:120]}"})
                continue
            if not a.export_only:
                rows.append(measure(a.mcomp, stem, a.scheme, a.seconds))
                print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    show(rows)
    return 1 if any(misses(r) for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())

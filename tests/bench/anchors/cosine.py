#!/usr/bin/env python3
"""Cosine of mean-pooled embeddings: python cosine.py FLOAT.onnx INT8.onnx TEST.npz
The reference is the float model in ONNX Runtime; the INT8 file runs in libmcomp (the command in $MCOMP) and in ONNX Runtime."""
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime as ort


def by_ort(model, data):
    s = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [i.name for i in s.get_inputs()]
    n = len(data[names[0]])
    return np.concatenate([s.run(None, {k: data[k][i:i + 1] for k in names})[0] for i in range(n)])


def by_mcomp(model, path):
    with tempfile.TemporaryDirectory() as d:
        subprocess.run([os.environ.get("MCOMP", "mcomp"), "run", model, "--data", path, "--out", d, "-q"], check=True)
        return np.load(d + "/" + [f for f in os.listdir(d) if f.endswith(".npy")][0])


def pool(hidden, mask):
    m = mask[:, :, None].astype(np.float64)
    return (hidden * m).sum(1) / m.sum(1)


def cosine(a, b):
    c = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return f"mean {c.mean():.5f}, 5th percentile {np.percentile(c, 5):.5f}, lowest {c.min():.5f}"


def main():
    fp, q, path = sys.argv[1:4]
    data = np.load(path)
    mask = data["attention_mask"]
    ref = pool(by_ort(fp, data), mask)
    ours, theirs = pool(by_mcomp(q, path), mask), pool(by_ort(q, data), mask)
    print(f"{len(mask)} clauses, cosine to FP32")
    print("libmcomp     ", cosine(ours, ref))
    print("ONNX Runtime ", cosine(theirs, ref))
    print("libmcomp against ONNX Runtime on the same file:", cosine(ours, theirs))


if __name__ == "__main__":
    main()

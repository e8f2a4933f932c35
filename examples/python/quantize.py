#!/usr/bin/env python3
"""Quantizes a model and says what that cost and brought: quantize.py MODEL DATA OUT (DATA as in docs/data.md)."""
import sys

import mcomp
import numpy as np


def main(model, data, out):
    graph = mcomp.Graph.load(model)
    samples = mcomp.Dataset(graph, data)
    calibrator = mcomp.Calibrator(graph)
    calibrator.feed(samples)
    quantizer = mcomp.Quantizer()
    small = quantizer.apply(graph, calibrator, samples)
    small.save(out, overwrite=True)
    first, second = mcomp.Session(graph).exec(), mcomp.Session(out).exec()
    worst = 0.0
    for sample, _ in samples:
        a, b = first.run(sample), second.run(sample)
        worst = max(worst, *(float(np.abs(a[k].astype(float) - b[k]).max(initial=0)) for k in a))
    sample = samples[0][0]
    for name, runner in (("before", first), ("after", second)):
        print(f"{name}: {runner.bench(sample, seconds=0.5).p50_ms:.3f} ms")
    print(f"scheme {quantizer.scheme}, {sum(n.quantized for n in quantizer.nodes)} nodes quantized, largest difference {worst:.3g}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:4])
    except mcomp.Error as e:
        sys.exit(str(e))

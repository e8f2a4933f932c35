"""Models from mcomp.build in ONNX Runtime: every kind loads there and gives the same outputs.

  PYTHONPATH=bindings/python LD_LIBRARY_PATH=build/lib python tests/bench/anchors/builders.py

Needs numpy and onnxruntime. Ends with status 1 if an output differs by more than 1e-4 relative to the largest."""
import sys
import tempfile

import numpy as np
import onnxruntime

import mcomp

SPECS = ["encoder:layers=2,hidden=64", "text-cnn:hidden=32,channels=16", "lstm:hidden=32,layers=2", "bilstm:hidden=32", "decoder:layers=2,hidden=64", "mlp",
         "cnn:channels=8", "resnet:layers=2,channels=8", "ds-cnn:channels=16"]


def main():
    rng, bad = np.random.default_rng(1), 0
    for spec in SPECS:
        text = spec.split(":")[0] in ("encoder", "text-cnn", "lstm", "bilstm", "decoder")
        g = mcomp.build(spec, classes=7, vocab=200, length=40, image=(3, 32, 32), seed=5)
        inputs = {"input": rng.standard_normal((4, 3, 32, 32)).astype(np.float32)}
        if text:
            ids = rng.integers(1, 200, (4, 33))
            mask = (np.arange(33) < np.array([[33], [20], [7], [1]])).astype(np.int64)
            inputs = {"input_ids": ids * mask, "attention_mask": mask}
            inputs = {p.name: inputs[p.name] for p in g.inputs}
        with tempfile.TemporaryDirectory() as d:
            g.save(f"{d}/m.onnx")
            theirs = onnxruntime.InferenceSession(f"{d}/m.onnx", providers=["CPUExecutionProvider"]).run(["logits"], inputs)[0]
            ours = mcomp.Session(f"{d}/m.onnx").run(inputs)["logits"]
        worst = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
        bad += not (ours.shape == theirs.shape and worst < 1e-4)
        print(f"{spec:32} {str(ours.shape):16} {g.info.parameters:9} parameters, largest difference {worst:.1e}")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()

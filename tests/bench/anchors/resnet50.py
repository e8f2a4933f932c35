#!/usr/bin/env python3
"""A ResNet-50-shaped graph with random weights (He initialisation, BatchNorm already folded): for speed only, its answers mean nothing.

    python resnet50.py OUT_DIR      writes resnet50.onnx (batch free, 224 x 224) and images.npz (16 random inputs)"""
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)
nodes, weights = [], []


def conv(x, cin, cout, k, stride, relu=True):
    i = len(nodes)
    w = rng.normal(0, np.sqrt(2.0 / (cin * k * k)), (cout, cin, k, k)).astype(np.float32) * (1.0 if relu else 0.3)
    weights.append(numpy_helper.from_array(w, f"w{i}"))
    weights.append(numpy_helper.from_array(rng.normal(0, 0.02, cout).astype(np.float32), f"b{i}"))
    p = k // 2
    nodes.append(helper.make_node("Conv", [x, f"w{i}", f"b{i}"], [f"c{i}"], name=f"conv{i}", kernel_shape=[k, k], strides=[stride] * 2, pads=[p] * 4))
    return act(f"c{i}") if relu else f"c{i}"


def act(x):
    nodes.append(helper.make_node("Relu", [x], [x + "r"], name=x + "_relu"))
    return x + "r"


def bottleneck(x, cin, mid, cout, stride):
    y = conv(x, cin, mid, 1, 1)
    y = conv(y, mid, mid, 3, stride)
    y = conv(y, mid, cout, 1, 1, relu=False)
    if cin != cout or stride != 1:
        x = conv(x, cin, cout, 1, stride, relu=False)
    nodes.append(helper.make_node("Add", [y, x], [y + "a"], name=y + "_add"))
    return act(y + "a")


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    x = conv("input", 3, 64, 7, 2)
    nodes.append(helper.make_node("MaxPool", [x], ["pool"], name="maxpool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))
    x, cin = "pool", 64
    for mid, cout, blocks, stride in ((64, 256, 3, 1), (128, 512, 4, 2), (256, 1024, 6, 2), (512, 2048, 3, 2)):
        for b in range(blocks):
            x = bottleneck(x, cin, mid, cout, stride if b == 0 else 1)
            cin = cout
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["gap"], name="gap"))
    nodes.append(helper.make_node("Flatten", ["gap"], ["flat"], name="flatten"))
    weights.append(numpy_helper.from_array(rng.normal(0, 0.02, (1000, 2048)).astype(np.float32), "fw"))
    weights.append(numpy_helper.from_array(np.zeros(1000, np.float32), "fb"))
    nodes.append(helper.make_node("Gemm", ["flat", "fw", "fb"], ["logits"], name="fc", transB=1))
    graph = helper.make_graph(nodes, "resnet50_random", [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 224, 224])],
                              [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1000])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    onnx.checker.check_model(model)
    onnx.save(model, f"{out}/resnet50.onnx")
    np.savez(f"{out}/images.npz", input=rng.normal(0, 1, (16, 3, 224, 224)).astype(np.float32))


if __name__ == "__main__":
    main()

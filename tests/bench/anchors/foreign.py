#!/usr/bin/env python3
"""Quantized models as others write them: python foreign.py OUT DATA [MCOMP]

Makes float models (random ResNet and transformer encoder, and the models of DATA), has ONNX Runtime's quantizers write each in
every form they know (QDQ, QOperator, dynamic, weights in 4 bits), and keeps beside each form its inputs and ONNX Runtime's own
outputs as an ONNX test directory. With MCOMP (the program) every form is run and compared, and the share of integer MACs printed.
"""
import json
import logging
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.quantization.shape_inference import quant_pre_process

logging.disable(logging.WARNING)
ort.set_default_logger_severity(4)
rng = np.random.default_rng(7)


class Net:
    """A graph under construction."""

    def __init__(self):
        self.nodes, self.inits, self.n = [], [], 0

    def const(self, a):
        self.n += 1
        self.inits.append(nh.from_array(np.asarray(a), f"c{self.n}"))
        return f"c{self.n}"

    def op(self, kind, *inputs, **attrs):
        self.n += 1
        self.nodes.append(h.make_node(kind, list(inputs), [f"v{self.n}"], name=f"{kind}_{self.n}", **attrs))
        return f"v{self.n}"

    def weight(self, *shape):
        fan = int(np.prod(shape[1:])) if len(shape) > 2 else shape[0]
        return self.const((rng.standard_normal(shape) * np.sqrt(2.0 / fan)).astype(np.float32))

    def bias(self, n):
        return self.const((rng.standard_normal(n) * 0.1).astype(np.float32))

    def save(self, path, shape, y, dims):
        self.nodes[-1].output[0] = "y"
        g = h.make_graph(self.nodes, "net", [h.make_tensor_value_info("x", T.FLOAT, shape)], [h.make_tensor_value_info("y", T.FLOAT, dims)], self.inits)
        m = h.make_model(g, opset_imports=[h.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(m)
        onnx.save(m, path)


def resnet(path):
    n = Net()
    conv = lambda x, i, o, k, s: n.op("Conv", x, n.weight(o, i, k, k), n.bias(o), kernel_shape=[k, k], strides=[s, s], pads=[k // 2] * 4)
    x = n.op("MaxPool", n.op("Relu", conv("x", 3, 16, 7, 2)), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    c = 16
    for o, s in ((16, 1), (32, 2), (64, 2)):
        skip = x if o == c else conv(x, c, o, 1, s)
        y = n.op("Relu", conv(x, c, o, 3, s))
        x = n.op("Relu", n.op("Add", conv(y, o, o, 3, 1), skip))
        c = o
    x = n.op("Flatten", n.op("GlobalAveragePool", x))
    y = n.op("Gemm", x, n.weight(c, 10), n.bias(10))
    n.save(path, ["n", 3, 64, 64], y, ["n", 10])


def encoder(path, d=64, heads=4, layers=2, ffn=256):
    n = Net()
    norm = lambda x: n.op("LayerNormalization", x, n.const(np.ones(d, np.float32)), n.const(np.zeros(d, np.float32)), axis=-1)
    lin = lambda x, i, o: n.op("Add", n.op("MatMul", x, n.weight(i, o)), n.bias(o))
    split = n.const(np.array([0, 0, heads, d // heads]))
    x = "x"
    for _ in range(layers):
        q, k, v = (n.op("Transpose", n.op("Reshape", lin(x, d, d), split), perm=[0, 2, 1, 3]) for _ in range(3))
        s = n.op("MatMul", n.op("Div", q, n.const(np.float32(np.sqrt(d / heads)))), n.op("Transpose", k, perm=[0, 1, 3, 2]))
        a = n.op("Transpose", n.op("MatMul", n.op("Softmax", s, axis=-1), v), perm=[0, 2, 1, 3])
        x = norm(n.op("Add", x, lin(n.op("Reshape", a, n.const(np.array([0, 0, d]))), d, d)))
        f = lin(x, d, ffn)
        f = n.op("Mul", n.op("Mul", f, n.const(np.float32(0.5))), n.op("Add", n.op("Erf", n.op("Div", f, n.const(np.float32(2**0.5)))), n.const(np.float32(1))))
        x = norm(n.op("Add", x, lin(f, ffn, d)))
    n.save(path, ["n", "len", d], x, ["n", "len", d])


def mlp(path):
    n = Net()
    x = n.op("Sigmoid", n.op("Gemm", "x", n.weight(64, 128), n.bias(128)))
    x = n.op("LeakyRelu", n.op("Gemm", x, n.weight(128, 128), n.bias(128)), alpha=0.1)
    y = n.op("Softmax", n.op("Gemm", x, n.weight(128, 16), n.bias(16)), axis=-1)
    n.save(path, ["n", 64], y, ["n", 16])


def convs(path):
    """What convolutional nets have beside plain convolutions: depthwise, concat, average pools, hard swish, resize."""
    n = Net()
    conv = lambda x, i, o, k, g=1: n.op("Conv", x, n.weight(o, i // g, k, k), n.bias(o), kernel_shape=[k, k], pads=[k // 2] * 4, group=g)
    a = n.op("Clip", conv("x", 3, 16, 3), n.const(np.float32(0)), n.const(np.float32(6)))
    b = n.op("HardSwish", conv(a, 16, 16, 3, 16))
    c = n.op("AveragePool", n.op("Concat", a, b, axis=1), kernel_shape=[2, 2], strides=[2, 2])
    d = n.op("Relu", conv(c, 32, 24, 1))
    e = n.op("Mul", d, n.op("Sigmoid", conv(n.op("GlobalAveragePool", d), 24, 24, 1)))
    f = n.op("Resize", e, "", n.const(np.array([1, 1, 2, 2], np.float32)), mode="nearest")
    y = n.op("ReduceMean", n.op("LeakyRelu", conv(f, 24, 8, 3), alpha=0.1), axes=[2, 3], keepdims=0)
    n.save(path, ["n", 3, 32, 32], y, ["n", 8])


def samples(model, count):
    """Inputs that the model can take: small integers for ids, ones for masks, images for the rest; free axes are 1 and 24."""
    m = onnx.load(model)
    given = {i.name for i in m.graph.initializer}
    out = []
    for k in range(count):
        feed = {}
        for v in m.graph.input:
            if v.name in given:
                continue
            t = v.type.tensor_type
            dims = [d.dim_value or (1 if a == 0 else 24) for a, d in enumerate(t.shape.dim)]
            dtype = h.tensor_dtype_to_np_dtype(t.elem_type)
            if "silero" in model and len(dims) == 2:
                dims[1] = 576
            r = np.random.default_rng(100 * k + len(feed))
            if v.name == "sr":
                feed[v.name] = np.array(16000, dtype)
            elif np.issubdtype(dtype, np.integer):
                feed[v.name] = np.ones(dims, dtype) if "mask" in v.name else r.integers(0, 2 if "type" in v.name else 64, dims).astype(dtype)
            else:
                feed[v.name] = r.uniform(0, 255, dims).astype(dtype) if "mnist" in model or "resnet8" in model else r.standard_normal(dims).astype(dtype)
        out.append(feed)
    return out


class Reader(CalibrationDataReader):
    def __init__(self, rows):
        self.rows = iter(rows)

    def get_next(self):
        return next(self.rows, None)


U8, S8 = QuantType.QUInt8, QuantType.QInt8
STATIC = {  # format, activations, weights, per channel, options
    "qdq_u8s8": (QuantFormat.QDQ, U8, S8, False, {}),
    "qdq_u8s8_channel": (QuantFormat.QDQ, U8, S8, True, {}),
    "qdq_s8s8": (QuantFormat.QDQ, S8, S8, True, {"ActivationSymmetric": True}),
    "qdq_u8u8": (QuantFormat.QDQ, U8, U8, False, {}),
    "qop_u8s8": (QuantFormat.QOperator, U8, S8, False, {}),
    "qop_u8s8_channel": (QuantFormat.QOperator, U8, S8, True, {}),
    "qop_s8s8": (QuantFormat.QOperator, S8, S8, False, {"ActivationSymmetric": True}),
    "qop_u8u8": (QuantFormat.QOperator, U8, U8, False, {}),
}
DYNAMIC = {"dyn_s8": (S8, False), "dyn_s8_channel": (S8, True), "dyn_u8": (U8, False)}


def nbits(src, dst, bits, fmt):
    q = MatMulNBitsQuantizer(onnx.load(src), bits=bits, block_size=32, is_symmetric=bits == 4, quant_format=fmt)
    q.process()
    onnx.save(q.model.model, dst)


def forms(name, src, folder):
    """(form, path) of everything the quantizers make of src."""
    pre = os.path.join(folder, "float.onnx")
    quant_pre_process(src, pre, skip_symbolic_shape=True)
    tried = [("float", None, lambda dst: None)]
    for form, (fmt, act, w, channel, extra) in STATIC.items():
        tried.append((form, fmt, lambda dst, a=(fmt, act, w, channel, extra): quantize_static(
            pre, dst, Reader(samples(src, 8)), quant_format=a[0], activation_type=a[1], weight_type=a[2], per_channel=a[3], extra_options=a[4])))
    for form, (w, channel) in DYNAMIC.items():
        tried.append((form, None, lambda dst, a=(w, channel): quantize_dynamic(pre, dst, weight_type=a[0], per_channel=a[1], extra_options={"MatMulConstBOnly": True})))
    if any(n.op_type == "MatMul" for n in onnx.load(src).graph.node):
        tried.append(("nbits4", None, lambda dst: nbits(pre, dst, 4, QuantFormat.QOperator)))
        tried.append(("nbits4_qdq", None, lambda dst: nbits(pre, dst, 4, QuantFormat.QDQ)))
        tried.append(("nbits8", None, lambda dst: nbits(pre, dst, 8, QuantFormat.QOperator)))
    for form, _, make in tried:
        dst = os.path.join(folder, form + ".onnx")
        try:
            make(dst)
            ort.InferenceSession(dst, providers=["CPUExecutionProvider"])
        except Exception as e:  # the quantizer cannot, or its result does not load there either
            print(f"{name} {form}: not made: {str(e).splitlines()[0][:90]}")
            continue
        yield form, dst


def keep_goldens(path, src, folder):
    """What the file says: ONNX Runtime without its optimizer, whose fused kernels round elsewhere (up to 3 % of the range of a small
    transformer from its own unfused result)."""
    literal = ort.SessionOptions()
    literal.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    s = ort.InferenceSession(path, literal, providers=["CPUExecutionProvider"])
    for k, feed in enumerate(samples(src, 2)):
        d = os.path.join(folder, f"test_data_set_{k}")
        os.makedirs(d, exist_ok=True)
        for i, (name, a) in enumerate(feed.items()):
            onnx.save_tensor(nh.from_array(a, name), os.path.join(d, f"input_{i}.pb"))
        for i, (o, a) in enumerate(zip(s.get_outputs(), s.run(None, feed))):
            onnx.save_tensor(nh.from_array(a, o.name), os.path.join(d, f"output_{i}.pb"))


def check(mcomp, name, form, path, data):
    """How far we are from ONNX Runtime, in parts of the outputs' range, and how much runs on integers."""
    out = path[:-5] + ".out"
    run = lambda *a: json.loads(subprocess.run([mcomp, *a, "--json", "-q"], capture_output=True, text=True).stdout)
    worst, error, ratio = 0.0, None, None
    os.makedirs(out, exist_ok=True)
    for k in range(2):
        r = run("run", path, "--onnx-test", f"{data}/test_data_set_{k}")
        error = error or (r.get("error") if r.get("error", {}).get("name") != "MISMATCH" else None)
        for i, o in enumerate(r.get("outputs", [])):
            want = nh.to_array(onnx.load_tensor(f"{data}/test_data_set_{k}/output_{i}.pb"))
            worst = max(worst, o["max_abs"] / max(1e-9, float(np.ptp(want))))
    b = run("bench", path, "--runs", "1", "--data", f"onnx-test:{data}/test_data_set_0")
    ratio = (b.get("models") or [{}])[0].get("integer_macs_ratio")
    where = f"{error['name']}: {error['where']}: {error['what']}"[:150] if error else ""
    print(f"{name:14} {form:18} off {worst:8.2e}  integer {ratio if ratio is not None else float('nan'):5.3f} {where}", flush=True)
    return not error


def main():
    out, data = sys.argv[1:3]
    mcomp = sys.argv[3] if len(sys.argv) > 3 else None
    only = sys.argv[4:]
    made = {"resnet": resnet, "encoder": encoder, "mlp": mlp, "convs": convs}
    given = ["mnist8", "resnet8_cifar", "ultraface_rfb320_simplified", "bert_toy_optimized", "magika_v3_3", "silero_vad_16k_op15"]
    for name in list(made) + given:
        folder = os.path.join(out, name)
        if only and name not in only:
            continue
        os.makedirs(folder, exist_ok=True)
        src = os.path.join(folder, "source.onnx") if name in made else os.path.join(data, "models", name + ".onnx")
        if name in made:
            made[name](src)
        again = os.path.exists(os.path.join(folder, "made"))  # then only run
        made_now = ((p[:-5], os.path.join(folder, p)) for p in sorted(os.listdir(folder)) if p.endswith(".onnx") and os.path.isdir(os.path.join(folder, p[:-5])))
        for form, path in made_now if again else forms(name, src, folder):
            if not again:
                keep_goldens(path, src, path[:-5])
            if mcomp:
                check(mcomp, name, form, path, path[:-5])
        open(os.path.join(folder, "made"), "w").close()


if __name__ == "__main__":
    main()

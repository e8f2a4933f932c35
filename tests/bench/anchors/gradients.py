"""Gradients of whole models in libmcomp and in PyTorch's autograd, on the same ONNX files.

  PYTHONPATH=bindings/python LD_LIBRARY_PATH=build/lib python gradients.py [--seed N] [SPEC...]

Needs torch, onnx and numpy (a throw-away virtual environment). Each model is made by the library's builder and saved; the file gets a
cross entropy and ONNX's Gradient operator by every float initializer and is run by a session in float32. PyTorch runs the same
nodes by the small interpreter below, in float32 and in float64. A line a model: the largest error of a gradient against PyTorch in
double, in units of that gradient's largest element, of libmcomp and of PyTorch in float32. Status 1 above 1e-4."""
import argparse
import pathlib
import sys
import tempfile

import mcomp
import numpy
import onnx
import torch
from mcomp import _ffi
from mcomp._records import options
from mcomp.context import context_of

SPECS = ["encoder:layers=4,hidden=64,heads=4", "text-cnn:hidden=32,channels=24", "lstm:layers=2,hidden=32", "bilstm:hidden=32",
         "decoder:layers=4,hidden=64,heads=4", "mlp:layers=3,hidden=64", "cnn:channels=8", "resnet:channels=8", "ds-cnn:channels=16"]
TRAINING = "ai.onnx.preview.training"
functional = torch.nn.functional


def build(spec, seed, path):
    o = options(_ffi.mcomp_build_options, {"seed": seed, "classes": 5, "vocab": 200, "length": 48})
    o.image[0], o.image[1], o.image[2] = 1, 16, 16
    mcomp.Graph._made(context_of(None), "mcomp_graph_build", (spec.encode(), o)).save(path)


def pads(node_pads, rank):
    """ONNX's begins and ends to the argument of torch's pad: last axis first."""
    return [p for axis in reversed(range(rank)) for p in (node_pads[axis], node_pads[rank + axis])] if node_pads else [0] * 2 * rank


def lstm(a, x, w, r, b=None, lengths=None, h0=None, c0=None):
    """Gates in ONNX's order i, o, f, c; steps beyond a row's length change nothing and give 0."""
    steps, batch, _ = x.shape
    directions, hidden = w.shape[0], r.shape[2]
    lengths = torch.full((batch,), steps) if lengths is None else lengths
    ys, hs, cs = [], [], []
    for d in range(directions):
        h = x.new_zeros(batch, hidden) if h0 is None else h0[d]
        c = x.new_zeros(batch, hidden) if c0 is None else c0[d]
        bias = b[d, :4 * hidden] + b[d, 4 * hidden:] if b is not None else 0
        y = [None] * steps
        for t in reversed(range(steps)) if d == 1 else range(steps):
            i, o, f, g = (x[t] @ w[d].T + h @ r[d].T + bias).chunk(4, 1)
            live = (t < lengths)[:, None]
            fresh = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            new = torch.sigmoid(o) * torch.tanh(fresh)
            h, c = torch.where(live, new, h), torch.where(live, fresh, c)
            y[t] = torch.where(live, new, torch.zeros_like(new))
        ys.append(torch.stack(y))
        hs.append(h)
        cs.append(c)
    return torch.stack(ys, 1), torch.stack(hs), torch.stack(cs)


def conv(a, x, w, b=None):
    rank = x.dim() - 2
    of = [functional.conv1d, functional.conv2d][rank - 1]
    return of(functional.pad(x, pads(a.get("pads"), rank)), w, b, a.get("strides", [1] * rank), 0, a.get("dilations", [1] * rank), a.get("group", 1))


def batch_norm(a, x, scale, bias, mean, var):
    return functional.batch_norm(x, mean.clone(), var.clone(), scale, bias, bool(a.get("training_mode", 0)), 0.1, a.get("epsilon", 1e-5))


def slices(a, x, starts, ends, axes=None, steps=None):
    at = [slice(None)] * x.dim()
    for k, axis in enumerate(axes.tolist() if axes is not None else range(len(starts))):
        at[axis] = slice(int(starts[k]), int(ends[k]), int(steps[k]) if steps is not None else 1)
    return x[tuple(at)]


def unsqueeze(a, x, axes):
    for axis in sorted(axes.tolist()):
        x = x.unsqueeze(axis)
    return x


def gather(a, x, i):
    axis = a.get("axis", 0)
    return x.index_select(axis, i.reshape(-1)).reshape(*x.shape[:axis], *i.shape, *x.shape[axis + 1:])


def reshape(a, x, shape):
    return x.reshape([x.shape[k] if d == 0 else d for k, d in enumerate(shape.tolist())])


OPS = {
    "Add": lambda a, x, y: x + y, "Sub": lambda a, x, y: x - y, "Mul": lambda a, x, y: x * y, "Div": lambda a, x, y: x / y,
    "Max": lambda a, x, y: torch.maximum(x, y), "Equal": lambda a, x, y: x == y, "Not": lambda a, x: ~x, "MatMul": lambda a, x, y: x @ y,
    "Relu": lambda a, x: torch.relu(x), "Gelu": lambda a, x: functional.gelu(x), "Dropout": lambda a, x, *_: x,
    "Softmax": lambda a, x: torch.softmax(x, a.get("axis", -1)), "Concat": lambda a, *x: torch.cat(x, a["axis"]),
    "Transpose": lambda a, x: x.permute(a["perm"]), "Flatten": lambda a, x: x.flatten(1),
    "Cast": lambda a, x: x.to({1: OPS["float"], 6: torch.int32, 7: torch.int64, 9: torch.bool}[a["to"]]),
    "ReduceSum": lambda a, x, axes: x.sum(axes.tolist(), keepdim=bool(a.get("keepdims", 1))),
    "ReduceMax": lambda a, x, axes: x.amax(axes.tolist(), keepdim=bool(a.get("keepdims", 1))),
    "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True), "LSTM": lstm, "Conv": conv, "BatchNormalization": batch_norm,
    "MaxPool": lambda a, x: functional.max_pool2d(x, a["kernel_shape"], a["strides"]), "Unsqueeze": unsqueeze, "Slice": slices,
    "Shape": lambda a, x: torch.tensor(x.shape[a.get("start", 0):a.get("end")]), "Gather": gather, "Reshape": reshape,
    "LayerNormalization": lambda a, x, w, b=None: functional.layer_norm(x, x.shape[-1:], w, b, a.get("epsilon", 1e-5)),
    "SoftmaxCrossEntropyLoss": lambda a, x, t: functional.cross_entropy(x, t),
}


def by_torch(model, inputs, wanted, dtype):
    OPS["float"] = dtype
    def tensor(a):
        a = numpy.array(a)
        return torch.tensor(a, dtype=dtype if a.dtype == numpy.float32 else None)
    values = {t.name: tensor(onnx.numpy_helper.to_array(t)) for t in model.graph.initializer} | {k: tensor(v) for k, v in inputs.items()} | {"": None}
    for name in wanted:
        values[name].requires_grad_(True)
    for n in model.graph.node:
        a = {x.name: onnx.helper.get_attribute_value(x) for x in n.attribute}
        out = OPS[n.op_type](a, *[values[i] for i in n.input])
        values.update(zip(n.output, out if isinstance(out, tuple) else (out,)))
    values["loss"].backward()
    return {name: values[name].grad.double().numpy() for name in wanted if values[name].grad is not None}


def by_library(model, inputs, wanted):
    m = onnx.ModelProto()
    m.CopyFrom(model)
    m.opset_import.append(onnx.helper.make_opsetid(TRAINING, 1))
    grads = [f"d {name}" for name in wanted]
    m.graph.node.append(onnx.helper.make_node("Gradient", wanted, grads, domain=TRAINING, xs=wanted, y="loss"))
    shapes = {t.name: list(t.dims) for t in m.graph.initializer}
    del m.graph.output[:]
    m.graph.output.extend(onnx.helper.make_tensor_value_info(g, onnx.TensorProto.FLOAT, shapes[w]) for g, w in zip(grads, wanted))
    out = mcomp.Session(mcomp.Graph.loads(m.SerializeToString())).run(inputs)
    return {w: out[g] for g, w in zip(grads, wanted)}


def with_loss(model):
    """Logits of rank 2, cross entropy as the only output, batch statistics."""
    g = model.graph
    logits = g.output[0].name
    if len(g.output[0].type.tensor_type.shape.dim) == 3:
        classes = g.output[0].type.tensor_type.shape.dim[2].dim_value
        g.initializer.append(onnx.numpy_helper.from_array(numpy.array([-1, classes]), "rows"))
        g.node.append(onnx.helper.make_node("Reshape", [logits, "rows"], ["logits in rows"]))
        logits = "logits in rows"
    g.node.append(onnx.helper.make_node("SoftmaxCrossEntropyLoss", [logits, "labels"], ["loss"]))
    g.input.append(onnx.helper.make_tensor_value_info("labels", onnx.TensorProto.INT64, ["rows"]))
    moments = set()
    for n in g.node:
        if n.op_type == "BatchNormalization":
            n.attribute.append(onnx.helper.make_attribute("training_mode", 1))
            moments |= set(n.input[3:5])
    for o in model.opset_import:
        o.version = max(o.version, 15)
    return [t.name for t in g.initializer if t.data_type == onnx.TensorProto.FLOAT and t.dims and t.name not in moments]


def feed(model, seed):
    rng, out, rows = numpy.random.default_rng(seed), {}, 8
    for i in model.graph.input:
        shape = [d.dim_value or (8, 30)[k] for k, d in enumerate(i.type.tensor_type.shape.dim)]
        if i.name == "labels":
            out[i.name] = rng.integers(0, 5, 240 if any(n.output[0] == "logits in rows" for n in model.graph.node) else rows)
        elif i.name == "attention_mask":
            out[i.name] = (numpy.arange(shape[1])[None] < rng.integers(10, 31, (shape[0], 1))).astype(numpy.int64)
        elif i.type.tensor_type.elem_type == onnx.TensorProto.INT64:
            out[i.name] = rng.integers(1, 200, shape)
        else:
            out[i.name] = rng.standard_normal(shape, numpy.float32)
    return out


def error(got, want):
    """Largest over the gradients that are not 0, or next to it, in exact arithmetic: a scale in front of another normalization has only
    the epsilon's, a bias none."""
    biggest = max(numpy.abs(w).max() for w in want.values())
    return max(numpy.abs(got[k] - w).max() / numpy.abs(w).max() for k, w in want.items() if numpy.abs(w).max() > 1e-4 * biggest)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("specs", nargs="*", default=SPECS)
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    worst = 0.0
    print(f"{'model':40} {'gradients':>9} {'libmcomp f32':>13} {'PyTorch f32':>12}   (against PyTorch f64)")
    for spec in args.specs:
        with tempfile.TemporaryDirectory() as d:
            path = pathlib.Path(d) / "model.onnx"
            build(spec, args.seed, path)
            model = onnx.load(path)
        wanted = with_loss(model)
        inputs = feed(model, args.seed)
        exact, single = by_torch(model, inputs, wanted, torch.float64), by_torch(model, inputs, wanted, torch.float32)
        ours = error(by_library(model, inputs, list(exact)), exact)
        worst = max(worst, ours)
        print(f"{spec:40} {len(exact):9} {ours:13.2e} {error(single, exact):12.2e}")
    return int(worst > 1e-4)


if __name__ == "__main__":
    sys.exit(main())

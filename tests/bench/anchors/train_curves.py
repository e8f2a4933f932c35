"""Loss curves of libmcomp and PyTorch on the same model file, batches and order: 200 steps, FP32, dropout off.

  python train_curves.py --mcomp build/examples/mcomp/mcomp [--work DIR] [--steps 200] [--only encoder,cnn,lstm] [--optimizers adamw,sgd]

Needs torch, onnx and numpy (a throw-away virtual environment). The head is initialised in the exported file. The rule: at every step
|ours - theirs| <= 1e-3 max(1, theirs). Ends with status 1 where it does not hold."""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch


class Encoder(torch.nn.Module):
    def __init__(self, vocab=500, hidden=64, heads=4, layers=2, classes=5):
        super().__init__()
        self.embed = torch.nn.Embedding(vocab, hidden)
        self.position = torch.nn.Embedding(64, hidden)
        self.heads = heads
        self.blocks = torch.nn.ModuleList(torch.nn.ModuleDict({
            "norm1": torch.nn.LayerNorm(hidden), "qkv": torch.nn.Linear(hidden, 3 * hidden), "out": torch.nn.Linear(hidden, hidden),
            "norm2": torch.nn.LayerNorm(hidden), "up": torch.nn.Linear(hidden, 4 * hidden), "down": torch.nn.Linear(4 * hidden, hidden)})
            for _ in range(layers))
        self.head = torch.nn.Linear(hidden, classes)

    def forward(self, ids):
        n, s = ids.shape
        x = self.embed(ids) + self.position(torch.arange(s))
        for b in self.blocks:
            q, k, v = b["qkv"](b["norm1"](x)).reshape(n, s, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            a = torch.softmax(q @ k.transpose(-1, -2) / (q.shape[-1] ** 0.5), -1) @ v
            x = x + b["out"](a.transpose(1, 2).reshape(n, s, -1))
            x = x + b["down"](torch.nn.functional.gelu(b["up"](b["norm2"](x))))
        return self.head(x.mean(1))


class Cnn(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.Conv2d(16, 32, 3, stride=2, padding=1, groups=2)
        self.f, self.g = torch.nn.Linear(32 * 49, 64), torch.nn.Linear(64, 10)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.a(x)), 2)
        x = torch.relu(self.b(x))
        return self.g(torch.relu(self.f(x.flatten(1))))


class Lstm(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(300, 32)
        self.cell, self.head = torch.nn.LSTM(32, 48, batch_first=True, bidirectional=True), torch.nn.Linear(96, 4)

    def forward(self, ids):
        return self.head(self.cell(self.embed(ids))[0].mean(1))


def data(kind, n, seed):
    g = numpy.random.default_rng(seed)
    if kind == "cnn":
        x = g.standard_normal((n, 1, 28, 28)).astype("float32")
        return {"input": x}, (x.sum((1, 2, 3)) > 0).astype("int64") * 3 + (x[:, 0, :14].sum((1, 2)) > 0)
    ids = g.integers(0, 300, (n, 24)).astype("int64")
    return {"input": ids}, ids[:, :8].sum(1) % 4


def theirs(model, x, y, optimizer, lr, batch, steps):
    torch.set_num_threads(2)
    decay = [p for p in model.parameters() if p.dim() >= 2]
    rest = [p for p in model.parameters() if p.dim() < 2]
    if optimizer == "adamw":
        o = torch.optim.AdamW([{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}], lr=lr)
    else:
        o = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    losses = []
    for s in range(steps):
        at = s * batch % len(y)
        loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(x[at:at + batch])), torch.from_numpy(y[at:at + batch]))
        o.zero_grad()
        loss.backward()
        o.step()
        losses.append(loss.item())
    return losses


def ours(mcomp, onnx, npz, optimizer, lr, batch, steps, work):
    r = subprocess.run([mcomp, "train", onnx, "--data", npz, "--valid", npz + "@limit=64", "-o", str(work / "out.onnx"), "-f", "--optimizer", optimizer, "--lr",
                        str(lr), "--batch", str(batch), "--steps", str(steps), "--epochs", "1000", "--no-shuffle", "--schedule", "constant", "--warmup",
                        "0", "--clip-norm", "0", "--threads", "2", "--progress=jsonl"], capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"mcomp train: {r.returncode}\n{r.stderr[-2000:]}")
    return [e["loss"] for e in map(json.loads, r.stderr.splitlines()) if e.get("event") == "step"]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--mcomp", required=True)
    p.add_argument("--work", default=tempfile.mkdtemp())
    p.add_argument("--steps", type=int, default=200)
    p.add_argument("--only", default="encoder,cnn,lstm")
    p.add_argument("--optimizers", default="adamw,sgd")
    a = p.parse_args()
    work, bad, batch = pathlib.Path(a.work), 0, 16
    for kind in a.only.split(","):
        x, y = data(kind, 1600, 3)
        npz = str(work / f"{kind}.npz")
        numpy.savez(npz, label=y, **x)
        for optimizer in a.optimizers.split(","):
            torch.manual_seed(1)
            model = {"encoder": Encoder, "cnn": Cnn, "lstm": Lstm}[kind]()
            onnx = str(work / f"{kind}.onnx")
            torch.onnx.export(model, (torch.from_numpy(x["input"][:2]),), onnx, input_names=["input"], output_names=["logits"],
                              dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}}, dynamo=False, training=torch.onnx.TrainingMode.PRESERVE)
            lr = 1e-4 if optimizer == "adamw" else 0.01
            t = theirs(model, x["input"], y, optimizer, lr, batch, a.steps)
            o = ours(a.mcomp, onnx, npz, optimizer, lr, batch, a.steps, work)
            worst = max(abs(u - v) / max(1.0, v) for u, v in zip(o, t)) if len(o) == len(t) else float("inf")
            bad += not worst <= 1e-3
            print(f"{kind:8} {optimizer:6} {len(o)} steps, loss {t[0]:.4f} -> {t[-1]:.4f} (ours {o[-1]:.4f}), worst difference {worst:.2e}"
                  f" {'ok' if worst <= 1e-3 else 'MISSED'}", flush=True)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()

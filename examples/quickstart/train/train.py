#!/usr/bin/env python3
"""Trains and exports the quick start's model: a byte-level text CNN that tells a Debian package's section from its name and
one-line description. Needs PyTorch and onnx (Debian: python3-torch, pip: onnx); not needed to use libmcomp.

    sh ../data.sh packages.tsv && python3 train.py packages.tsv ../sections.onnx

The choice of epochs is fixed beforehand; the test rows are looked at once, at the end, and printed beside a linear baseline
(multinomial logistic regression on hashed byte 1- to 4-grams, the same training rows)."""
import json
import math
import sys
import zlib

import torch
import torch.nn as nn
import torch.nn.functional as F

LENGTH, PAD = 96, 256


def read(path):
    rows = {"train": [], "test": [], "calib": []}
    with open(path, "rb") as f:
        next(f)
        for line in f:
            split, label, text = line.rstrip(b"\n").split(b"\t")
            rows[split.decode()].append((text, label.decode()))
    return rows


def encode(rows, labels):
    x = torch.full((len(rows), LENGTH), PAD, dtype=torch.long)
    y = torch.empty(len(rows), dtype=torch.long)
    for i, (text, label) in enumerate(rows):
        b = list(text[:LENGTH])
        x[i, : len(b)] = torch.tensor(b)
        y[i] = labels.index(label)
    return x, y


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.embed = nn.Embedding(257, 64)
        self.conv1 = nn.Conv1d(64, 192, 7, padding=3)
        self.conv2 = nn.Conv1d(192, 256, 5, padding=2)
        self.conv3 = nn.Conv1d(256, 256, 3, padding=1)
        self.head = nn.Linear(256, classes)
        self.drop = nn.Dropout(0.3)

    def forward(self, ids):
        x = self.embed(ids).transpose(1, 2)
        x = F.max_pool1d(F.relu(self.conv1(x)), 2)
        x = F.max_pool1d(F.relu(self.conv2(self.drop(x))), 2)
        x = F.relu(self.conv3(self.drop(x)))
        x = F.adaptive_max_pool1d(x, 1).flatten(1)
        return self.head(self.drop(x))


def batches(n, size, generator):
    order = torch.randperm(n, generator=generator)
    return [order[i : i + size] for i in range(0, n, size)]


def train(net, x, y, epochs, lr, size=256):
    g = torch.Generator().manual_seed(1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=0.01)
    steps = epochs * math.ceil(len(x) / size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    for epoch in range(epochs):
        net.train()
        total = 0.0
        for b in batches(len(x), size, g):
            loss = F.cross_entropy(net(x[b]), y[b], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(b)
        print(f"epoch {epoch + 1}: loss {total / len(x):.4f}", flush=True)
    net.eval()


def accuracy(net, x, y):
    with torch.no_grad():
        return sum((net(x[i : i + 512]).argmax(1) == y[i : i + 512]).sum().item() for i in range(0, len(x), 512)) / len(x)


def baseline(rows, labels, y_train, y_test, buckets=1 << 18):
    """Logistic regression on hashed byte n-grams, as an EmbeddingBag with one weight row a bucket."""

    def grams(text):
        t = b"^" + text[:LENGTH].lower() + b"$"
        return list({zlib.crc32(t[i : i + n]) % buckets for n in (1, 2, 3, 4) for i in range(len(t) - n + 1)})

    def bag(ids, which):
        flat, offsets = [], []
        for i in which:
            offsets.append(len(flat))
            flat += ids[i]
        return torch.tensor(flat), torch.tensor(offsets)

    train_ids = [grams(t) for t, _ in rows["train"]]
    test_ids = [grams(t) for t, _ in rows["test"]]
    w = nn.EmbeddingBag(buckets, len(labels), mode="mean", sparse=False)
    nn.init.zeros_(w.weight)
    optimizer = torch.optim.Adam(w.parameters(), lr=0.3)
    g = torch.Generator().manual_seed(2)
    for _ in range(6):
        for b in batches(len(train_ids), 1024, g):
            loss = F.cross_entropy(w(*bag(train_ids, b.tolist())), y_train[b])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return (w(*bag(test_ids, range(len(test_ids)))).argmax(1) == y_test).float().mean().item()


def main():
    path, out = sys.argv[1], sys.argv[2]
    epochs = int(sys.argv[3]) if len(sys.argv) > 3 else 14
    torch.manual_seed(0)
    rows = read(path)
    labels = sorted({label for _, label in rows["train"]})
    x, y = encode(rows["train"], labels)
    xt, yt = encode(rows["test"], labels)
    xv, yv = encode(rows["calib"], labels)
    net = Net(len(labels))
    print(f"{len(x)} training rows, {len(labels)} sections, {sum(p.numel() for p in net.parameters())} parameters")
    train(net, x, y, epochs, 2e-3)
    print(f"validation accuracy (calib rows): network {accuracy(net, xv, yv):.4f} of {len(xv)}", flush=True)
    print(f"test accuracy: network {accuracy(net, xt, yt):.4f} of {len(xt)}", flush=True)
    torch.onnx.export(net, xt[:1], out, input_names=["input_ids"], output_names=["logits"], opset_version=13,
                      dynamic_axes={"input_ids": {0: "batch"}, "logits": {0: "batch"}})
    import onnx
    model = onnx.load(out)
    onnx.helper.set_model_props(model, {"mcomp.labels": json.dumps(labels)})
    model.producer_name, model.producer_version = "libmcomp quick start", ""
    onnx.save(model, out)
    print(f"test accuracy: linear baseline {baseline(rows, labels, y, yt):.4f}", flush=True)


if __name__ == "__main__":
    main()

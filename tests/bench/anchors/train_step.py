#!/usr/bin/env python3
"""PyTorch's time for the training steps of bench_train_step: forward, backward and AdamW, FP32, random weights.

    python train_step.py [minilm|encoder|cnn|all] [--threads 2] [--rounds 20] [--compile] [--bf16]

Prints the least and the median milliseconds of forward + backward (gradients freed between steps, as set_to_none does) and of
the whole step with AdamW (fused where this build has it), and the memory that model and steps added to the process: peak of its resident
set, less what it was before the model. With several shapes only the first one's is right. Attention is scaled_dot_product_attention."""
import argparse
import resource
import time

import torch
import torch.nn.functional as F
from torch import nn


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x):
        b, s, w = x.shape
        q, k, v = self.qkv(x).view(b, s, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, s, w)
        x = self.norm1(x + self.out(y))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class Encoder(nn.Module):
    def __init__(self, layers, length, width, heads, vocabulary):
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.places = nn.Parameter(torch.randn(length, width))
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.head = nn.Linear(width, 2)

    def forward(self, ids):
        x = self.norm(self.words(ids) + self.places)
        for layer in self.layers:
            x = layer(x)
        return self.head(x[:, 0])


def cnn():
    return nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10))


def build(name):
    if name == "minilm":
        return Encoder(6, 128, 384, 12, 30522), torch.randint(30522, (16, 128)), torch.randint(2, (16,))
    if name == "encoder":
        return Encoder(4, 128, 128, 4, 4096), torch.randint(4096, (32, 128)), torch.randint(2, (32,))
    return cnn(), torch.randn(64, 1, 28, 28), torch.randint(10, (64,))


def optimizer(model):
    try:
        return torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    except (RuntimeError, TypeError):
        return torch.optim.AdamW(model.parameters(), lr=1e-4, foreach=True)


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def measure(step, rounds):
    for _ in range(4):
        step()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - start))
    times.sort()
    return f"{times[0]:.2f} ms (least), {times[len(times) // 2]:.2f} (median)"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("shape", nargs="?", default="all")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=20)
    p.add_argument("--compile", action="store_true")
    p.add_argument("--channels-last", action="store_true", help="the layout that oneDNN prefers for convolutions")
    p.add_argument("--bf16", action="store_true")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    for name in ["minilm", "encoder", "cnn"] if a.shape == "all" else [a.shape]:
        before = peak_mb()
        model, x, labels = build(name)
        if name == "cnn" and a.channels_last:
            model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
        best = optimizer(model)
        run = torch.compile(model) if a.compile else model

        def gradients():
            best.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=a.bf16):
                loss = F.cross_entropy(run(x), labels)
            loss.backward()

        def step():
            gradients()
            best.step()

        print(f"{name}, torch {torch.__version__}, {a.threads} thread(s){', compiled' if a.compile else ''}{', bf16' if a.bf16 else ''}: "
              f"forward + backward {measure(gradients, a.rounds)}; with AdamW {measure(step, a.rounds)}; {peak_mb() - before:.0f} MB added", flush=True)


if __name__ == "__main__":
    main()

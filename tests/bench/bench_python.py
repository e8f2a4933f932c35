#!/usr/bin/env python3
"""Overhead of a run from Python above the C call, tiny model: LD_LIBRARY_PATH=BUILD/lib python3 tests/bench/bench_python.py"""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/bindings/python"))
import conftest  # noqa: E402
import mcomp  # noqa: E402
import numpy as np  # noqa: E402

e = mcomp.Session(conftest.tiny(mcomp.Context(threads=1))).exec()
x = [np.ones((1, 8), np.float32) for _ in range(2)]
bound = e.bind(x[0])


def once(f, n=20000):
    start = time.perf_counter()
    for i in range(n):
        f(i)
    return (time.perf_counter() - start) / n * 1e6


rounds = [[once(f) for f in (lambda i: e.run({"x": x[0]}), lambda i: e.run({"x": x[i & 1]}), lambda i: bound.run())] + [e.bench(x[0], runs=20000, warmup=1).p50_ms * 1e3]
          for _ in range(5)]
for name, us in zip(("run", "run, another array each time", "bound run", "C call through ctypes"), np.median(rounds, axis=0)):
    print(f"{name}: {us:.2f} us")

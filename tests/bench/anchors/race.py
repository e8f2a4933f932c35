#!/usr/bin/env python3
"""Races engines on the same inputs: each in a process of its own, in turn (A B A B ...), so that idle worker threads of one never
slow another; medians of the rounds, ratios of medians.

    python race.py --inputs X.npz --threads 2 --rounds 5 --seconds 3 NAME=ENGINE:MODEL ...

ENGINE is ort (ONNX Runtime, all graph optimisations) or mcomp (the command in $MCOMP, default `mcomp`). The first NAME is the
reference of the ratios."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time


WORKER = """
import sys, time, json, numpy as np, onnxruntime as ort
model, path, threads, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
o = ort.SessionOptions(); o.intra_op_num_threads = threads; o.inter_op_num_threads = 1
o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
s = ort.InferenceSession(model, o, providers=["CPUExecutionProvider"])
d = np.load(path); names = [i.name for i in s.get_inputs()]
feed = {n: d[n][:1] for n in names}
for _ in range(10): s.run(None, feed)
t = []; end = time.perf_counter() + seconds
while time.perf_counter() < end:
    a = time.perf_counter(); s.run(None, feed); t.append((time.perf_counter() - a) * 1e3)
t.sort(); print(json.dumps({"p50": t[len(t) // 2], "min": t[0], "runs": len(t)}))
"""


def once(engine, model, inputs, threads, seconds):
    if engine == "ort":
        out = subprocess.run([sys.executable, "-c", WORKER, model, inputs, str(threads), str(seconds)], capture_output=True, text=True, check=True)
        return json.loads(out.stdout)["p50"], None
    out = subprocess.run([os.environ.get("MCOMP", "mcomp"), "bench", model, "--data", inputs + "@limit=1", "--threads", str(threads), "--seconds", str(seconds), "--json"],
                         capture_output=True, text=True)
    j = json.loads(out.stdout)
    if "error" in j:
        sys.exit(f"{model}: {j['error']}")
    return j["models"][0]["p50_ms"], j


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--inputs", required=True)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=3.0)
    p.add_argument("--pause", type=float, default=0.3)
    p.add_argument("entry", nargs="+")
    a = p.parse_args()
    entries = [(e.split("=", 1)[0], *e.split("=", 1)[1].split(":", 1)) for e in a.entry]
    times, last = {e[0]: [] for e in entries}, {}
    for r in range(a.rounds):
        for name, engine, model in entries if r % 2 == 0 else reversed(entries):
            ms, j = once(engine, model, a.inputs, a.threads, a.seconds)
            times[name].append(ms)
            if j:
                last[name] = j
            time.sleep(a.pause)
    base = statistics.median(times[entries[0][0]])
    for name, engine, model in entries:
        m = statistics.median(times[name])
        extra = ""
        if name in last:
            w, mod = last[name]["witness"], last[name]["models"][0]
            extra = f"  integer MACs {mod.get('integer_macs_ratio', 0):.3f}  isa {last[name]['machine']['isa']}  witness f32 {w['f32_gmacs_per_core_after']:.0f} int8 {w['int8_gmacs_per_core_after']:.0f} GMAC/s/core"
        print(f"{name:24} {m:9.3f} ms  ({min(times[name]):.3f}..{max(times[name]):.3f})  {base / m:6.2f}x of {entries[0][0]}{extra}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The quick start's result table from run.json (mcomp quantize --json), bench.json (mcomp bench --json) and the stored baseline."""
import json
import sys

run, bench, base = (json.load(open(p)) for p in sys.argv[1:4])
rows = []
for name, part, timed in (("original", run["before"], bench["models"][0]), ("int8", run["after"], bench["models"][1])):
    m = part["metric"]
    rows.append((name, f"{100 * m['value']:.2f} % ({100 * m['ci95'][0]:.2f}..{100 * m['ci95'][1]:.2f})", f"{part['bytes'] / 1e6:.3f} MB", f"{timed['p50_ms']:.3f} ms"))
ratio = bench["ratios"][0]
print(f"\n{'':10} {'accuracy (95 % interval)':28} {'size':10} {'p50, batch 1'}")
for r in rows:
    print(f"{r[0]:10} {r[1]:28} {r[2]:10} {r[3]}")
ci = ratio.get("ci95", [ratio["p50_ratio"]] * 2)
print(f"\n{run['before']['bytes'] / run['after']['bytes']:.2f}x smaller, {ratio['p50_ratio']:.2f}x faster (95 % interval {ci[0]:.2f}..{ci[1]:.2f}), "
      f"same answer on {100 * run['agreement_ratio']:.2f} % of {run['before']['metric']['n']} test rows")
print(f"linear baseline (hashed byte 1- to 4-grams, same training rows): {100 * base['accuracy']:.2f} % of {base['n']} test rows when the model was trained")
m = run["machine"]
print(f"{m['cpu']}, {m['isa']}, {m['threads']} threads, backends {' '.join(m['backends'])}; scheme {run['scheme']}")

#!/usr/bin/env python3
"""The command line contract: exit codes, exactly one JSON object on stdout, keys, files replaced only when asked. Needs the data folder."""
import gzip
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import zipfile

MCOMP = sys.argv[1]
DATA = os.environ.get("MCOMP_TEST_DATA")
failures = []


def run(*args, env=None, stdout=subprocess.PIPE):
    e = dict(os.environ, **(env or {}))
    return subprocess.run([MCOMP, *args], stdout=stdout, stderr=subprocess.PIPE, text=True, env=e, timeout=300)


def check(ok, what):
    print(("ok - " if ok else "not ok - ") + what)
    if not ok:
        failures.append(what)


def exits(code, *args, **kw):
    r = run(*args, **kw)
    check(r.returncode == code, f"exit {code}: {' '.join(os.path.basename(a) for a in args)} (got {r.returncode}: {r.stderr.strip()[:200]!r})")
    return r


def finite(x):
    if isinstance(x, float):
        return math.isfinite(x)
    if isinstance(x, dict):
        return all(finite(v) for v in x.values())
    return all(finite(v) for v in x) if isinstance(x, list) else True


def answer(code, *args, keys=()):
    r = exits(code, *args, "--json")
    try:
        j = json.loads(r.stdout)
    except ValueError:
        check(False, f"one JSON object: {' '.join(args)}: {r.stdout[:100]!r}")
        return {}
    check(j.get("schema_version") == 1 and j["machine"]["isa"] in ("ref", "avx2", "avx512", "avx512_vnni") and isinstance(j["warnings"], list), "common keys")
    check(all(k in j for k in keys), f"keys {keys} in {sorted(j)}")
    check(finite(j), "numbers are finite")
    check(("error" in j) == (code != 0), "error object if and only if it failed")
    return j


def npz(path, **arrays):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, (descr, shape, raw) in arrays.items():
            head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
            z.writestr(name + ".npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + raw)


def usage():
    exits(1)
    exits(0, "--help")
    exits(0, "inspect", "--help")
    r = exits(1, "inspct", "x")
    check('"inspect"' in r.stderr, "unknown verbs name the nearest")
    r = exits(1, "inspect", "x.onnx", "--jsn")
    check("--json" in r.stderr, "unknown options name the nearest")
    for verb in ("diagnose", "monitor", "serve"):
        exits(3, verb, "x")
    j = answer(1, "bench", keys=("error",))
    check(j.get("error", {}).get("name") == "ARGUMENT", "usage errors are objects too")
    exits(1, "inspect", "a", "b")
    exits(1, "doctor", "--threads", "-1")
    exits(1, "doctor", "--threads", "1000000")
    answer(0, "doctor", keys=("cpu", "tiers", "plugins"))
    r = exits(0, "doctor", env={"MCOMP_ISA": "ref"})
    check("isa      ref" in r.stdout, "MCOMP_ISA caps the tier")
    exits(2, "inspect", "/nonexistent.onnx")
    exits(2, "inspect", "/dev/zero")
    if os.path.exists("/dev/full"):
        with open("/dev/full", "w") as full:
            exits(5, "doctor", stdout=full)


def on_models(tmp):
    m = f"{DATA}/models/mnist8.onnx"
    idx = f"idx:{DATA}/datasets/train-images-idx3-ubyte.gz,{DATA}/datasets/train-labels-idx1-ubyte.gz"
    j = answer(0, "inspect", m, keys=("model", "inputs", "outputs", "ops", "unsupported", "groups"))
    check(j["ops"] == {"Conv": 2, "Relu": 2, "MaxPool": 2, "Reshape": 1, "Gemm": 1}, "operators are counted as in the file")
    check(j["model"]["bytes"] == os.path.getsize(m) and j["inputs"][0]["shape"] == [1, 1, 28, 28], "size and shape")
    raw = struct.pack("<784f", *[float((i * 7) % 256) for i in range(784)])
    npz(f"{tmp}/x.npz", Input3=("<f4", "(2, 1, 28, 28)", raw + raw))
    j = answer(0, "run", m, "--data", f"{tmp}/x.npz", "--out", f"{tmp}/out", keys=("samples", "outputs", "total_ms"))
    check(j["samples"] == 2 and j["outputs"][0]["shape"] == [2, 10] and os.path.exists(j["outputs"][0]["path"]), "two samples joined on axis 0")
    exits(2, "run", m, "--data", f"{tmp}/x.npz", "--out", f"{tmp}/out")
    exits(0, "run", m, "--data", f"{tmp}/x.npz", "--out", f"{tmp}/out", "-f")
    exits(2, "run", m, "--data", f"{tmp}/none.npz")
    j = answer(0, "eval", m, "--data", idx + "@limit=200", keys=("metric", "per_class"))
    check(j["metric"]["value"] > 0.97 and j["metric"]["n"] == 200 and len(j["metric"]["ci95"]) == 2, "accuracy of mnist8")
    exits(1, "eval", m, "--data", idx + "@limit=5", "--metric", "acuracy")
    exits(1, "quantize", m, "--scheme", "int8")
    exits(3, "quantize", m, "--scheme", "w4", "-o", f"{tmp}/w4.onnx")
    exits(1, "quantize", m, "--calib", idx + "@limit=16", "--keep", "nothing_like_this", "-o", f"{tmp}/k.onnx")
    check(not os.path.exists(f"{tmp}/k.onnx"), "nothing is written on a usage error")
    q = f"{tmp}/q.onnx"
    j = answer(0, "quantize", m, "--calib", idx + "@limit=64", "--eval", idx + "@skip=50000,limit=300", "-o", q,
               keys=("before", "after", "agreement_ratio", "scheme", "kept_float", "output"))
    check(all(k in j["after"] for k in ("metric", "bytes", "p50_ms")) and j["after"]["bytes"] == os.path.getsize(q), "before and after are complete")
    check(j["after"]["metric"]["value"] >= j["before"]["metric"]["value"] - 0.01, "int8 of mnist8 keeps its accuracy")
    exits(2, "quantize", m, "--calib", idx + "@limit=16", "-o", q)
    check(os.path.getsize(q) == j["after"]["bytes"], "an existing output is not touched without -f")
    for part in ("a", "b"):
        answer(0, "calibrate", m, "--data", idx + ("@limit=8" if part == "a" else "@skip=8,limit=8"), "-o", f"{tmp}/{part}.calib",
               keys=("samples", "tensors", "coverage", "peak_rss_bytes"))
    j = answer(0, "calibrate", "--merge", "-o", f"{tmp}/ab.calib", f"{tmp}/a.calib", f"{tmp}/b.calib", keys=("samples",))
    check(j.get("samples") == 16, "merged sketches count all samples")
    exits(0, "quantize", m, "--calib", f"{tmp}/ab.calib", "-o", f"{tmp}/q2.onnx")
    j = answer(0, "bench", m, q, "--runs", "20", keys=("models", "ratios", "kernels", "witness"))
    check(all(k in j["models"][0] for k in ("path", "bytes", "p50_ms", "p90_ms", "p99_ms", "per_second", "peak_rss_bytes", "load_ms", "first_ms", "integer_macs_ratio")),
          f"bench reports {sorted(j['models'][0])}")
    check(j["ratios"][0]["of"] == q and j["ratios"][0]["over"] == m, "the ratio is of the second over the first")
    answer(5, "bench", m, "--backend", "cuda")
    j = answer(0, "convert", m, f"{tmp}/c.onnx", "--opset", "17", keys=("output", "changed"))
    check(answer(0, "inspect", f"{tmp}/c.onnx")["model"]["opset"]["ai.onnx"] == 17, "convert raised the opset")


def read_f32(path):
    """Shape and values of a float32 .npy."""
    raw = open(path, "rb").read()
    n = struct.unpack("<H", raw[8:10])[0]
    shape = eval(raw[10:10 + n].decode().split("'shape': ")[1].split("}")[0].rstrip(", \n"))
    return shape, struct.unpack(f"<{(len(raw) - 10 - n) // 4}f", raw[10 + n:])


def auc(rows, labels):
    """Mean over the classes of one against the rest by softmax probability, pair by pair."""
    p = []
    for r in rows:
        e = [math.exp(v - max(r)) for v in r]
        p.append([v / sum(e) for v in e])
    each = []
    for k in range(len(p[0])):
        pos, neg = [v[k] for v, y in zip(p, labels) if y == k], [v[k] for v, y in zip(p, labels) if y != k]
        each += [sum((a > b) + 0.5 * (a == b) for a in pos for b in neg) / (len(pos) * len(neg))] if pos and neg else []
    return sum(each) / len(each)


def measured(tmp):
    """Numbers that a script can recompute, and calibrations that do not fit the model."""
    m = f"{DATA}/models/mnist8.onnx"
    idx = f"idx:{DATA}/datasets/train-images-idx3-ubyte.gz,{DATA}/datasets/train-labels-idx1-ubyte.gz@limit=60"
    rows = list(zip(*[iter(read_f32(answer(0, "run", m, "--data", idx, "--out", f"{tmp}/auc")["outputs"][0]["path"])[1])] * 10))
    with gzip.open(idx.split(",")[1].split("@")[0]) as f:
        truth = list(f.read(68)[8:])
    labels = [(y + 1) % 10 if i % 4 == 0 else y for i, y in enumerate(truth)]  # some wrong, or every metric is 1
    npz(f"{tmp}/wrong.npz", Input3=("<f4", "(60, 1, 28, 28)", b"".join(struct.pack("<784f", *im) for im in images(60))), label=("<i8", "(60,)", struct.pack("<60q", *labels)))
    j = answer(0, "eval", m, "--data", f"{tmp}/wrong.npz", "--metric", "auc", keys=("metric",))
    check(abs(j["metric"]["value"] - auc(rows, labels)) < 1e-5, f"auc of ten classes is that of the pairs ({j['metric']}, {auc(rows, labels)})")
    whole = f"{tmp}/whole.calib"
    answer(0, "calibrate", m, "--data", idx, "-o", whole)
    for part, which in (("p", "limit=25"), ("q", "skip=25,limit=35")):
        answer(0, "calibrate", m, "--data", idx.replace("limit=60", which), "-o", f"{tmp}/{part}.calib")
    answer(0, "calibrate", "--merge", "-o", f"{tmp}/pq.calib", f"{tmp}/q.calib", f"{tmp}/p.calib")
    files = []
    for c, threads in ((whole, "1"), (f"{tmp}/pq.calib", "2")):
        answer(0, "quantize", m, "--calib", c, "--threads", threads, "-o", f"{tmp}/same.onnx", "-f")
        files.append(open(f"{tmp}/same.onnx", "rb").read())
    check(files[0] == files[1], "two merged calibrations and two threads give the bytes of one pass and one thread")
    bert = f"{DATA}/models/bert_toy_optimized.onnx"
    answer(2, "quantize", bert, "--calib", whole, "-o", f"{tmp}/foreign.onnx")
    check(not os.path.exists(f"{tmp}/foreign.onnx"), "a calibration of another model writes nothing")
    answer(0, "bench", bert, "--shape", "input_ids=2,16", "--runs", "3")  # the other inputs share the axes


def safetensors(tmp):
    """Both ways: tensors are listed, weights of an ONNX model go out and are the same bytes, sets of shards, and what needs an architecture."""
    silero = f"{DATA}/models/silero_vad_16k.safetensors"
    j = answer(0, "inspect", silero, keys=("model", "tensors", "metadata", "inputs", "outputs", "ops", "unsupported", "groups"))
    check(j["model"]["format"] == "safetensors" and j["model"]["bytes"] == os.path.getsize(silero), "format and bytes")
    with open(silero, "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    head.pop("__metadata__", None)
    check({t["name"]: t["shape"] for t in j["tensors"]} == {k: v["shape"] for k, v in head.items()}, "every tensor is listed")
    r = exits(1, "convert", silero, f"{tmp}/x.onnx")
    check("--arch bert" in r.stderr, "a file without an architecture says what to do")
    exits(2, "convert", silero, f"{tmp}/x.onnx", "--arch", "bert")  # no config.json
    exits(1, "convert", silero, f"{tmp}/x.onnx", "--arch", "brt")
    exits(1, "inspect", f"{DATA}/models/mnist8.onnx", "--arch", "bert")
    check(not os.path.exists(f"{tmp}/x.onnx"), "nothing is written")
    w = f"{tmp}/w.safetensors"
    answer(0, "convert", f"{DATA}/models/mnist8.onnx", w, keys=("output", "changed"))
    exits(2, "convert", f"{DATA}/models/mnist8.onnx", w)  # there is one
    j = answer(0, "convert", w, f"{tmp}/set.safetensors", "--shard-bytes", "8000", keys=("output",))
    check(j["output"] == f"{tmp}/set.safetensors.index.json" and len([f for f in os.listdir(tmp) if "-of-" in f]) > 1, "shards and an index")
    answer(0, "convert", j["output"], f"{tmp}/one.safetensors")
    check(open(w, "rb").read() == open(f"{tmp}/one.safetensors", "rb").read(), "a set of shards is the file again")
    exits(1, "convert", f"{DATA}/models/mnist8.onnx", f"{tmp}/y.safetensors", "--opset", "13")


def tokenizers(tmp):
    """Where the vocabulary comes from: --tokenizer, or STEM.tokenizer.json beside the model, which every verb that writes a model leaves there."""
    bert = f"{DATA}/models/bert_toy_optimized.onnx"
    vocab, text, out = f"{tmp}/vocab.txt", f"{tmp}/t.tsv", f"{tmp}/tok/model.onnx"
    os.mkdir(f"{tmp}/tok")
    with open(vocab, "w") as f:
        f.write("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ncat\n##s\nsat\n")
    with open(text, "w") as f:
        f.write("text\tlabel\nThe cats sat\t0\nthe cat\t1\n")
    exits(1, "run", bert, "--data", text)  # no tokenizer
    exits(2, "run", bert, "--data", text, "--tokenizer", f"{tmp}/none.json")
    exits(1, "run", bert, "--data", text, "--tokenizer", "wordpiece")
    with open(f"{tmp}/unigram.json", "w") as f:
        f.write('{"model":{"type":"Unigram","vocab":[]}}')
    check("Unigram" in exits(3, "run", bert, "--data", text, "--tokenizer", f"{tmp}/unigram.json").stderr, "the part that is not supported is named")
    common = ["--data", text, "--max-length", "8", "--output", "seq_relationship_score"]
    j = answer(0, "quantize", bert, *common[:4], "--tokenizer", vocab, "--scheme", "int8-dynamic", "-o", out, keys=("tokenizer", "output"))
    saved = f"{tmp}/tok/model.tokenizer.json"
    check(j.get("tokenizer") == saved and os.path.exists(saved), "the tokenizer lies beside the model")
    exits(0, "run", out, "--data", text, "--max-length", "8", "--out", f"{tmp}/a")
    exits(0, "run", out, "--data", text, "--max-length", "8", "--tokenizer", vocab, "--out", f"{tmp}/b")
    same = [open(f"{tmp}/{d}/seq_relationship_score.npy", "rb").read() for d in "ab"]
    check(same[0] == same[1], "what was saved gives the same ids as what was given")
    answer(0, "eval", out, *common, "--against", bert, keys=("metric", "agreement_ratio"))  # the second model has none: the first one's is used
    r = exits(0, "eval", out, *common, "--tokenizer", "train:wordpiece,60")
    check("tokenizer of its own" in r.stderr, "a vocabulary made from evaluation data is not taken over the model's own")
    answer(0, "quantize", out, "--scheme", "int8-dynamic", "-o", f"{tmp}/tok/other.onnx", keys=("tokenizer",))  # no texts read, and still carried on
    check(os.path.exists(f"{tmp}/tok/other.tokenizer.json"), "a model that is made from another takes its tokenizer along")
    os.remove(f"{tmp}/tok/other.onnx")
    exits(2, "quantize", out, "--scheme", "int8-dynamic", "-o", f"{tmp}/tok/other.onnx")  # a file in the way
    check(not os.path.exists(f"{tmp}/tok/other.onnx"), "no model without its tokenizer")
    exits(0, "quantize", out, "--scheme", "int8-dynamic", "-o", f"{tmp}/tok/other.onnx", "-f")


def class_names(tmp):
    """Names of classes are numbered bytewise, kept in the model, and the same for data that have only some of them."""
    rows, out = ["red apple\tfruit", "green pear\tfruit", "fast car\tvehicle", "old bus\tvehicle", "big dog\tanimal", "small cat\tanimal"] * 10, f"{tmp}/names.onnx"
    for name, some in (("all", rows), ("some", [r for r in rows if "vehicle" in r]), ("odd", ["a\tplanet"])):
        with open(f"{tmp}/{name}.tsv", "w") as f:
            f.write("text\tlabel\n" + "\n".join(some) + "\n")
    train = ["train", "--build", "text-cnn", "--data", f"{tmp}/all.tsv", "--tokenizer", "bytes", "--max-length", "16", "--epochs", "6", "--lr", "0.01", "-o", out]
    exits(2, *train, "--valid", f"{tmp}/odd.tsv")
    answer(0, *train, "--valid", f"{tmp}/some.tsv", keys=("best",))
    with open(out, "rb") as f:
        check(b'["animal","fruit","vehicle"]' in f.read(), "the names are in the model")
    j = answer(0, "eval", out, "--data", f"{tmp}/some.tsv", "--max-length", "16", keys=("metric", "per_class"))
    check(j["metric"]["value"] > 0.9, f"one class alone keeps its number: {j['metric']}")


def streams(tmp):
    """A language model on one stream: trained, with its characters beside it, and measured on the next id of every position."""
    text, out = f"{tmp}/s.txt", f"{tmp}/lm.onnx"
    with open(text, "w") as f:
        f.write("the cat sat on the mat.\nthe mat was flat.\n" * 40)
    common = ["--data", text, "--objective", "next-token", "--max-length", "16"]
    j = answer(0, "train", "--build", "decoder:layers=1,hidden=16,heads=2", *common, "--tokenizer", "chars", "--epochs", "2", "--batch", "8", "-o", out, keys=("tokenizer", "best"))
    check(j.get("tokenizer") == f"{tmp}/lm.tokenizer.json", "the characters lie beside the model")
    m = answer(0, "eval", out, *common, keys=("metric",)).get("metric", {})
    windows = (len(open(text).read()) - 1) // 16
    check(m.get("name") == "perplexity" and 1 < m.get("value", 0) < 30 and m.get("n") == windows * 16, f"perplexity of every position: {m}")
    exits(1, "eval", out, *common[:2], "--objective", "next-tokens")
    exits(2, "eval", out, *common[:4], "--max-length", "100000")


def recurrent(tmp):
    """State that is carried, from zeros, from --set, and through a file in which an input was fixed."""
    frames = 12
    x = struct.pack(f"<{frames * 576}f", *[((i * 37) % 101 - 50) / 100.0 for i in range(frames * 576)])
    npz(f"{tmp}/frames.npz", input=("<f4", (frames, 576), x))
    model = f"{DATA}/models/silero_vad_16k_op15.onnx"

    def speech(m, *more):
        j = answer(0, "run", m, "--data", f"{tmp}/frames.npz", "--carry", "stateN=state", "--out", f"{tmp}/speech", "-f", *more, keys=("outputs", "samples"))
        return read_f32([o["path"] for o in j["outputs"] if o["name"] == "output"][0])[1]

    zeros = speech(model, "--set", "sr=16000")
    check(len(set(zeros)) > frames // 2 and speech(model, "--set", "sr=16000", "--set", "state=0") == zeros, "carried state begins at zero unless it is set")
    check(speech(model, "--set", "sr=16000", "--set", "state=0.5") != zeros, "--set gives a carried input its first value")
    fixed = f"{tmp}/fixed.onnx"
    answer(0, "convert", model, fixed, "--set", "sr=16000")
    check(speech(fixed) == zeros and speech(fixed, "--set", "sr=16000") == zeros, "a file with a fixed input takes the same --set")
    r = exits(1, "run", fixed, "--data", f"{tmp}/frames.npz", "--carry", "stateN=state", "--set", "sr=8000")
    check("16000" in r.stderr, "another value is refused and the fixed one named")


def images(n):
    with gzip.open(f"{DATA}/datasets/train-images-idx3-ubyte.gz") as f:
        f.read(16)
        return [f.read(784) for _ in range(n)]


def main():
    usage()
    if DATA:
        with tempfile.TemporaryDirectory() as tmp:
            on_models(tmp)
            measured(tmp)
            safetensors(tmp)
            tokenizers(tmp)
            streams(tmp)
            recurrent(tmp)
            class_names(tmp)
    elif os.environ.get("CI") == "true":
        check(False, "no test data under CI")
    else:
        print("SKIPPED: no test data; configure with -Dtest_data=FOLDER")
    return 1 if failures else 0


sys.exit(main())

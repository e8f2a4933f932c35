"""Training from Python: steps on arrays, whole trainings, checkpoints, progress, what goes wrong."""
import numpy as np
import pytest

import mcomp


def samples(n, seed=0):
    x = np.random.default_rng(seed).uniform(-1, 1, (n, 6)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] > 0.2).astype(np.int64) + (x[:, 2] > 0)


def model(seed=0):
    return mcomp.build("mlp:layers=1,hidden=16,dropout=0", features=6, classes=3, seed=seed)


def test_steps_lower_the_loss_and_do_not_touch_the_graph():
    g = model()
    x, y = samples(64)
    before = mcomp.Session(g).run({"input": x})["logits"].copy()
    t = mcomp.Trainer(g, lr=0.05)
    losses = [t.step({"input": x}, y) for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0] and t.info.steps == 30 and t.info.parameters == 6 * 16 + 16 + 16 * 3 + 3
    assert np.array_equal(mcomp.Session(g).run({"input": x})["logits"], before)
    logits = mcomp.Session(t.graph()).run({"input": x})["logits"]
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    assert abs(t.step(x, y) + np.log(p[np.arange(64), y]).mean()) < 1e-5


def test_fit_reports_and_gives_the_best_model(tmp_path):
    g, seen = model(), []
    x, y = samples(400)
    data = mcomp.Dataset.from_arrays(g, x, labels=y)
    t = mcomp.Trainer(g, lr=0.03, epochs=8, progress=lambda e: seen.append(e))
    r = t.fit(data)
    kinds = [e.kind for e in seen]
    assert kinds[0] == "plan" and seen[0].peak_bytes > 0 and kinds.count("validation") == 8 and kinds.count("step") == r.steps
    assert r.best_metric == max(e.metric for e in seen if e.kind == "validation") > 0.85 and r.best_lo < r.best_metric < r.best_hi <= 1 and r.best_n > 20
    assert {e.metric_name for e in seen if e.kind == "validation"} == {"accuracy"}
    t.graph().save(tmp_path / "best.onnx")
    test_x, test_y = samples(300, 1)
    assert (mcomp.Session(tmp_path / "best.onnx").run({"input": test_x})["logits"].argmax(1) == test_y).mean() > 0.85


def test_stop_and_resume_give_the_same_weights(tmp_path):
    g = model()
    x, y = samples(200)
    fields = dict(lr=0.02, epochs=3, batch=16)

    def weights(t):
        return mcomp.Session(t.graph()).run({"input": x})["logits"]

    whole = mcomp.Trainer(g, **fields)
    whole.fit(mcomp.Dataset.from_arrays(g, x, labels=y))
    path = tmp_path / "t.ckpt"
    stopped = mcomp.Trainer(g, checkpoint=str(path), progress=lambda e: e.kind == "step" and e.step == 17, **fields)
    with pytest.raises(mcomp.CancelledError):
        stopped.fit(mcomp.Dataset.from_arrays(g, x, labels=y))
    assert path.exists()
    resumed = mcomp.Trainer(g, checkpoint=str(path), resume=True, **fields)
    resumed.fit(mcomp.Dataset.from_arrays(g, x, labels=y))
    assert np.array_equal(weights(whole), weights(resumed))


def test_save_and_load(tmp_path):
    g = model()
    x, y = samples(32)
    a, b = mcomp.Trainer(g), mcomp.Trainer(g)
    for _ in range(3):
        a.step(x, y)
    a.save(tmp_path / "a.ckpt")
    b.load(tmp_path / "a.ckpt")
    assert a.step(x, y) == b.step(x, y)
    (tmp_path / "bad.ckpt").write_bytes((tmp_path / "a.ckpt").read_bytes()[:-100])
    with pytest.raises(mcomp.FormatError):
        b.load(tmp_path / "bad.ckpt")
    with pytest.raises(mcomp.DataError):
        mcomp.Trainer(g, seed=3).load(tmp_path / "a.ckpt")


def test_what_a_progress_function_raises_comes_out():
    g = model()
    x, y = samples(100)

    def boom(event):
        raise KeyError("boom")

    with pytest.raises(KeyError, match="boom"):
        mcomp.Trainer(g, progress=boom).fit(mcomp.Dataset.from_arrays(g, x, labels=y))


def test_errors():
    g = model()
    x, y = samples(8)
    with pytest.raises(mcomp.ArgumentError, match="did you mean adam"):
        mcomp.Trainer(g, optimizer="adamv")
    with pytest.raises(mcomp.ArgumentError):
        mcomp.Trainer(g, learning_rate=1)
    with pytest.raises(mcomp.ArgumentError):
        mcomp.Trainer(g).fit([x])
    x[3, 2] = np.nan
    with pytest.raises(mcomp.DivergedError) as e:
        mcomp.Trainer(g).step(x, y)
    assert "step 1" in str(e.value)
    with pytest.raises(mcomp.ArgumentError, match="encoder"):
        mcomp.build("encodr")

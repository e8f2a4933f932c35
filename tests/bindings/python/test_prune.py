"""Pruning from Python: units cut out, elements zeroed, targets, what goes wrong."""
import numpy as np
import pytest

import mcomp


def samples(n, seed=0):
    x = np.random.default_rng(seed).uniform(-1, 1, (n, 6)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] > 0.2).astype(np.int64) + (x[:, 2] > 0)


def model():
    return mcomp.build("mlp:layers=2,hidden=32,dropout=0", features=6, classes=3, seed=1)


def test_neurons_are_cut_and_the_model_learns(tmp_path):
    g, seen = model(), []
    x, y = samples(400)
    data = mcomp.Dataset.from_arrays(g, x, labels=y)
    p = mcomp.Pruner(g, pattern="ffn", sparsity=0.5)
    assert {s.kind for s in p.sites} == {"ffn"} and all(s.pieces == s.kept == 32 and s.sparsity == 0 for s in p.sites)
    r = p.run(data, lr=0.02, epochs=10, progress=seen.append)
    assert r.sparsity == 0.5 and all(s.kept == 16 for s in p.sites) and seen[0].kind == "plan"
    assert r.equivalence_samples == 8 and r.equivalence_max_abs < 1e-5 and r.params_after < 0.6 * r.params_before
    assert r.training.best_metric > 0.85 > r.before_metric
    p.graph().save(tmp_path / "small.onnx")
    test_x, test_y = samples(300, 1)
    assert (mcomp.Session(tmp_path / "small.onnx").run({"input": test_x})["logits"].argmax(1) == test_y).mean() > 0.8


def test_without_training():
    p = mcomp.Pruner(model(), pattern="4x1", sparsity=0.75)
    r = p.run()
    assert r.training is None and r.before_metric is None and r.sparsity == 0.75 and r.params_after < r.params_before
    with pytest.raises(mcomp.ArgumentError, match="prunes once"):
        p.run()


def test_a_missed_target_leaves_the_nearest_model():
    g = model()
    x, y = samples(50)
    p = mcomp.Pruner(g, pattern="ffn", macs=0.999)
    with pytest.raises(mcomp.TargetMissedError):
        p.run(valid=mcomp.Dataset.from_arrays(g, x, labels=y))
    assert p.graph().info.parameters < g.info.parameters


@pytest.mark.parametrize("fields, error", [({"pattern": "3x1"}, mcomp.ArgumentError), ({"sparsity": 2.0}, mcomp.RangeError),
                                           ({"pattern": "head"}, mcomp.ArgumentError), ({"sparsty": 0.5}, mcomp.ArgumentError)])
def test_bad_options(fields, error):
    with pytest.raises(error):
        mcomp.Pruner(model(), **fields)


def test_graph_before_run():
    with pytest.raises(mcomp.ArgumentError, match="run"):
        mcomp.Pruner(model()).graph()

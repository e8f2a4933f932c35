"""Calibrators and quantizers."""
import mcomp
import numpy as np
import pytest
from conftest import expected, tiny

X = np.random.default_rng(3).standard_normal((64, 8)).astype(np.float32)


def fed(graph, x=X):
    c = mcomp.Calibrator(graph)
    c.feed(mcomp.Dataset.from_arrays(graph, x))
    return c


def test_the_ways_to_feed_agree(graph):
    whole = fed(graph).ranges()
    one, many = mcomp.Calibrator(graph), mcomp.Calibrator(graph)
    for row in X:
        one.feed({"x": row})
    many.feed(((row, i % 3) for i, row in enumerate(X)))
    assert one.ranges() == many.ranges() == whole and whole["x"] == (X.min(), X.max())
    assert one.info.samples == 64 and many.info.labels_seen == 3
    with pytest.raises(mcomp.ShapeError):
        one.feed(X[:, :3])
    for rule in ("average", "percentile", "kl", "mse"):
        assert set(one.ranges(rule)) == set(whole)
    with pytest.raises(mcomp.ArgumentError):
        one.ranges("no rule")


def test_samples_that_are_not_finite_are_counted(graph):
    c = fed(graph)
    c.feed(np.full((1, 8), np.nan, np.float32))
    assert (c.info.samples, c.info.skipped) == (65, 1)


def test_save_load_merge(ctx, graph, tmp_path):
    a, b, whole = fed(graph, X[:32]), fed(graph, X[32:]), fed(graph)
    a.save(tmp_path / "a.calib")
    b.save(tmp_path / "b.calib")
    with pytest.raises(mcomp.PathError):
        b.save(tmp_path / "b.calib")
    b.save(tmp_path / "b.calib", overwrite=True)
    with mcomp.Calibrator.load(tmp_path / "a.calib", context=ctx) as m:
        m.merge(mcomp.Calibrator.load(tmp_path / "b.calib", context=ctx))
        assert m.ranges() == whole.ranges() and m.info.samples == 64
        with pytest.raises(mcomp.ArgumentError, match="without a model"):
            m.feed(X[0])
    c = mcomp.Calibrator.load(tmp_path / "a.calib", graph)
    c.feed(iter(X[32:]))
    assert c.ranges() == whole.ranges()
    other = tiny(ctx, 8, 5)
    with pytest.raises(mcomp.DataError):
        fed(other).merge(a)
    with pytest.raises(mcomp.ArgumentError):
        a.merge("b.calib")
    with pytest.raises(mcomp.BusyError):
        a.merge(a)


def big(ctx):
    return tiny(ctx, 8, 64)


@pytest.mark.parametrize("scheme", ["int8", "int8-dynamic"])
def test_quantize(ctx, scheme, tmp_path):
    g = big(ctx)
    q = mcomp.Quantizer(scheme=scheme, context=ctx)
    assert q.nodes == []
    with q.apply(g, fed(g)) as small:
        assert q.scheme == scheme
        assert [(n.op, n.quantized, n.scheme) for n in q.nodes] == [("MatMul", True, scheme)]
        small.save(tmp_path / "q.onnx")
        y, exact = mcomp.Session(mcomp.Graph.load(tmp_path / "q.onnx", context=ctx)).run(X)["y"], expected(g, X)
        assert 0 < np.abs(y - exact).max() < 0.05 * np.abs(exact).max()
    assert small.closed


def test_rules_and_options(ctx):
    g = big(ctx)
    q = mcomp.Quantizer(scheme="int8", range="minmax", qdq="tensorrt", context=ctx)
    q.keep_float("MatMul_*")
    q.apply(g, fed(g))
    assert [n.quantized for n in q.nodes] == [False] and q.nodes[0].why
    q.set_rule("Nothing*", "precision", "float")
    with pytest.raises(mcomp.ArgumentError, match="Nothing"):
        q.apply(g, fed(g))
    with pytest.raises(mcomp.ArgumentError, match="did you mean scheme"):
        mcomp.Quantizer(scheem="int8", context=ctx)
    with pytest.raises(mcomp.ArgumentError, match="'openvino'"):
        mcomp.Quantizer(qdq="nobody", context=ctx)
    with pytest.raises(mcomp.Error):
        mcomp.Quantizer(scheme="int7", context=ctx)
    with pytest.raises(mcomp.ArgumentError, match="calibration"):
        mcomp.Quantizer(scheme="int8", context=ctx).apply(g)
    with pytest.raises(mcomp.ArgumentError, match="must be a Calibrator"):
        mcomp.Quantizer(context=ctx).apply(g, X)


def test_in_one_call(ctx, tmp_path):
    g = big(ctx)
    g.save(tmp_path / "m.onnx")
    np.savez(tmp_path / "d.npz", x=X)
    for calib in (None, fed(g), mcomp.Dataset.from_arrays(g, X), list(X), tmp_path / "d.npz"):
        q = mcomp.quantize(tmp_path / "m.onnx", calib, context=ctx)
        assert any(op in q.ops for op in ("QuantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "MatMul"))
    assert "DequantizeLinear" in mcomp.quantize(g, list(X), scheme="int8").ops


def test_use_after_close(ctx, graph, tmp_path):
    c, q = fed(graph), mcomp.Quantizer(context=ctx)
    c.close()
    q.close()
    for use in (lambda: c.info, lambda: c.ranges(), lambda: c.feed(X[0]), lambda: c.save(tmp_path / "c"), lambda: fed(graph).merge(c), lambda: q.apply(graph), lambda: q.nodes,
                lambda: q.scheme, lambda: q.keep_float("*"), lambda: mcomp.Quantizer(context=ctx).apply(graph, c)):
        with pytest.raises(mcomp.ClosedError):
            use()


def test_quantization_aware_training():
    g = mcomp.build("mlp:layers=2,hidden=32,dropout=0", features=6, classes=3, seed=1)
    x = np.random.default_rng(0).uniform(-1, 1, (400, 6)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] > 0.2).astype(np.int64) + (x[:, 2] > 0)
    data = mcomp.Dataset.from_arrays(g, x, labels=y)
    t = mcomp.Trainer(g, lr=0.02, epochs=10)
    t.fit(data, data)
    good, seen = t.graph(), []
    small = mcomp.Calibrator(good)
    small.feed(mcomp.Dataset.from_arrays(good, x / 8))  # ranges eight times too small
    q = mcomp.Quantizer(scheme="int8")
    r = q.train(good, data, data, calibrator=small, lr=0.02, epochs=12, progress=seen.append)
    assert r.weights == 3 and r.learned_scales == 6 and r.masked == 0 and not r.kept_calibrated and seen
    assert r.calibrated_metric < r.float_metric and r.training.best_metric > r.calibrated_metric
    again = q.train(r.graph, data, data, scales="fixed", epochs=1)
    assert again.float_metric is None and again.learned_scales == 0
    enough = mcomp.Calibrator(good)
    enough.feed(data)
    assert small.unseen == [] == enough.unseen and enough.info.classes == 3
    one = mcomp.Calibrator(good)
    one.feed((row, 1) for row in x[y == 1])
    assert one.unseen == [0, 2]
    r = q.train(good, data, data, calibrator=enough, mode="ptq_then_qat", epochs=1)
    assert (r.training is None) == (r.calibrated_metric >= r.float_metric)
    with pytest.raises(mcomp.ArgumentError):
        q.train(good, data, mode="qta", calibrator=small)
    with pytest.raises(mcomp.UnsupportedError):
        mcomp.Quantizer(scheme="int8-dynamic").train(good, data, calibrator=small)

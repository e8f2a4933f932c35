"""Datasets: files, arrays, sequences, functions; what callbacks raise."""
import gc
import weakref

import mcomp
import numpy as np
import pytest
from conftest import tiny

X = np.arange(40, dtype=np.float32).reshape(5, 8)


def rows(d):
    return np.concatenate([sample["x"] for sample, _ in d])


def test_from_arrays(graph):
    d = mcomp.Dataset.from_arrays(graph, {"x": X}, labels=[3, 1, 2, 0, 1])
    assert len(d) == 5 and d[0][0]["x"].shape == (1, 8)
    np.testing.assert_array_equal(rows(d), X)
    assert [label for _, label in d] == [3, 1, 2, 0, 1] and d.has_labels
    assert d[-1][1] == 1
    for i in (5, -6):
        with pytest.raises(IndexError):
            d[i]
    d[0][0]["x"][:] = 9  # a copy
    np.testing.assert_array_equal(rows(d), X)
    np.testing.assert_array_equal(rows(mcomp.Dataset.from_arrays(graph, X[:, None])), X)  # samples on an axis of their own
    np.testing.assert_array_equal(rows(mcomp.Dataset.from_arrays(graph, X.T.copy().T)), X)  # not contiguous
    np.testing.assert_array_equal(rows(mcomp.Dataset.from_arrays(graph, X.astype(np.int16))), X)  # every value survives
    assert mcomp.Dataset.from_arrays(graph, X)[0][1] is None


def test_arrays_are_not_copied(graph):
    x = X.copy()
    d = mcomp.Dataset.from_arrays(graph, x)
    x[4, 0] = 77
    assert d[4][0]["x"][0, 0] == 77
    ref = weakref.ref(x)
    del x
    gc.collect()
    assert ref() is not None and d[4][0]["x"][0, 0] == 77  # the dataset keeps it
    d.close()
    gc.collect()
    assert ref() is None


@pytest.mark.parametrize("arrays, error, text", [
    ({"z": X}, mcomp.ArgumentError, "no such input"), ({}, mcomp.ArgumentError, "is missing"), (X[0], mcomp.ShapeError, "shape"),
    (X + 0.1j, mcomp.DtypeError, "complex"), (np.array([[0, 1, 2, 3, 4, 5, 6, 2**25 + 1]]), mcomp.DtypeError, r"\[0, 7\] is 33554433")])
def test_arrays_that_do_not_fit(graph, arrays, error, text):
    with pytest.raises(error, match=text):
        mcomp.Dataset.from_arrays(graph, arrays)


def test_two_inputs(ctx):
    g = mcomp.Graph("two", context=ctx)
    g.add_input("a", "float32", ["n", 2])
    g.add_input("k", "float32", [])
    g.add_input("f", "float32", [3, 2])
    g.add_node("Mul", ["a", "k"], "ak")
    g.add_node("Identity", "f", "y")
    g.add_output("ak")
    g.add_output("y")
    g.finish()
    d = mcomp.Dataset.from_arrays(g, {"a": X[:, :2], "k": np.float32(2), "f": np.ones((3, 2), np.float32)})
    assert len(d) == 5 and d[4][0]["k"].shape == () and d[4][0]["f"].shape == (3, 2)
    d = mcomp.Dataset.from_arrays(g, {"a": X[:1, :2], "k": np.arange(4, dtype=np.float32), "f": np.ones((3, 2), np.float32)})
    assert len(d) == 4 and [s["k"].item() for s, _ in d] == [0, 1, 2, 3]  # one row is repeated
    with pytest.raises(mcomp.ShapeError, match="different numbers"):
        mcomp.Dataset.from_arrays(g, {"a": X[:, :2], "k": np.arange(4, dtype=np.float32), "f": np.ones((3, 2), np.float32)})
    with pytest.raises(mcomp.ShapeError, match="labels"):
        mcomp.Dataset.from_arrays(g, {"a": X[:, :2], "k": np.float32(2), "f": np.ones((3, 2), np.float32)}, labels=[1])


def test_from_function_sequence_and_iterable(graph):
    d = mcomp.Dataset.from_function(graph, 5, lambda i: {"x": X[i:i + 1]})
    np.testing.assert_array_equal(rows(d), X)
    d = mcomp.Dataset.from_function(graph, 5, lambda i: (X[i], i))  # the leading axis is added
    assert [label for _, label in d] == list(range(5))
    d = mcomp.Dataset.from_sequence(graph, list(X))
    np.testing.assert_array_equal(rows(d), X)
    d = mcomp.Dataset.from_iterable(graph, (row for row in X))
    np.testing.assert_array_equal(rows(d), X)
    np.testing.assert_array_equal(rows(d), X)
    with pytest.raises(mcomp.ArgumentError):
        mcomp.Dataset.from_function(graph, 0, lambda i: X[i])
    with pytest.raises(mcomp.ArgumentError):
        mcomp.Dataset.from_function(graph, 3, "no function")


class Mine(Exception):
    pass


def test_what_a_callback_raises_reaches_the_caller(graph):
    def fetch(i):
        if i == 3:
            raise Mine(f"sample {i}")
        return X[i]

    d = mcomp.Dataset.from_function(graph, 5, fetch)
    with pytest.raises(Mine, match="sample 3"):
        d[3]
    np.testing.assert_array_equal(d[2][0]["x"], X[2:3])  # and nothing is broken
    c = mcomp.Calibrator(graph)
    for _ in range(3):
        with pytest.raises(Mine):
            c.feed(d)
    with pytest.raises(Mine):
        mcomp.Quantizer(context=graph.context).apply(graph, fed(graph), d)
    d = mcomp.Dataset.from_function(graph, 5, lambda i: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        c.feed(d)
    assert len(mcomp.Dataset.from_arrays(graph, X)) == 5


def fed(graph):
    c = mcomp.Calibrator(graph)
    c.feed(mcomp.Dataset.from_arrays(graph, X))
    return c


@pytest.mark.parametrize("sample, error", [(X[0, :7], mcomp.ShapeError), (X[:2, None], mcomp.ShapeError), (X[0] + 0.1j, mcomp.DtypeError), ({"y": X[0]}, mcomp.ArgumentError),
                                           (None, mcomp.Error), ("text", mcomp.Error), ((X[0], "label"), mcomp.ArgumentError)])
def test_callbacks_that_give_nonsense(graph, sample, error):
    d = mcomp.Dataset.from_function(graph, 2, lambda i: sample)
    with pytest.raises(error):
        d[0]
    with pytest.raises(error):
        mcomp.Calibrator(graph).feed(d)


def test_a_callback_cannot_enter_its_own_dataset(graph):
    d = mcomp.Dataset.from_function(graph, 2, lambda i: d[1][0])
    with pytest.raises(mcomp.BusyError):
        d[0]


def test_callbacks_live_as_long_as_c_needs_them(ctx):
    d = mcomp.Dataset.from_function(tiny(ctx), 50, lambda i: X[i % 5])
    gc.collect()
    junk = [bytearray(1000) for _ in range(1000)]
    assert len(junk) == 1000 and rows(d).shape == (50, 8)


def test_files(graph, tmp_path):
    np.savez(tmp_path / "a.npz", x=X, label=np.arange(5), extra=X)
    with mcomp.Dataset(graph, tmp_path / "a.npz") as d:
        np.testing.assert_array_equal(rows(d), X)
        assert [label for _, label in d] == list(range(5)) and any("extra" in w for w in d.warnings)
    d = mcomp.Dataset(graph, f"{tmp_path}/a.npz@skip=1,limit=2")
    np.testing.assert_array_equal(rows(d), X[1:3])
    d = mcomp.Dataset(graph, f"{tmp_path}/a.npz", every=2, labels="[\"a\",\"b\",\"c\",\"d\",\"e\"]")
    np.testing.assert_array_equal(rows(d), X[::2])
    assert d.label_names == ["a", "b", "c", "d", "e"]
    with pytest.raises(mcomp.DataError):
        d.expected(0)
    with pytest.raises(mcomp.ArgumentError, match="did you mean limit"):
        mcomp.Dataset(graph, "a.npz", limits=2)
    with pytest.raises(mcomp.PathError):
        mcomp.Dataset(graph, f"{tmp_path}/none.npz")


def test_use_after_close(graph):
    d = mcomp.Dataset.from_arrays(graph, X)
    d.close()
    for use in (lambda: len(d), lambda: d[0], lambda: d.warnings, lambda: list(d), lambda: mcomp.Calibrator(graph).feed(d)):
        with pytest.raises(mcomp.ClosedError):
            use()

"""Running: results, layouts, types, threads, lifetimes, bench, explain."""
import gc
import sys
import threading
import time

import mcomp
import numpy as np
import pytest
from conftest import expected, passthrough, tiny
from mcomp import dtypes

R = np.random.default_rng(5)
X = R.standard_normal((6, 8)).astype(np.float32)


@pytest.fixture()
def exec_(graph):
    return mcomp.Session(graph).exec()


def test_ways_to_give_inputs(graph, exec_):
    want = expected(graph, X)
    for inputs in ({"x": X}, X, [X], (X,), X.tolist(), {"x": X.tolist()}):
        np.testing.assert_allclose(exec_.run(inputs)["y"], want, rtol=1e-5)
    np.testing.assert_allclose(exec_.session.run(X)["y"], want, rtol=1e-5)
    assert exec_.session.input_names == ["x"] and exec_.session.output_names == ["y"]
    for n in (1, 3, 6, 2):  # other shapes
        np.testing.assert_allclose(exec_.run(X[:n])["y"], want[:n], rtol=1e-5)
    assert exec_.session.plans >= 1


@pytest.mark.parametrize("inputs, error, text", [
    ({"x": X.astype(np.float64)}, mcomp.DtypeError, r"astype\('float32'\)"), ({"x": X[:, :7]}, mcomp.ShapeError, "x"), ({"X": X}, mcomp.ArgumentError, "did you mean x|there are x"),
    ({}, mcomp.ArgumentError, "is missing"), ({"x": X, "z": X}, mcomp.ArgumentError, "z"), ({"x": "text"}, mcomp.DtypeError, ""),
    ({"x": np.zeros((1,) * 9, np.float32)}, mcomp.LimitError, "9 axes"), ({"x": None}, mcomp.Error, ""), ({"x": np.array(["a"])}, mcomp.DtypeError, "")])
def test_inputs_that_do_not_fit(graph, exec_, inputs, error, text):
    with pytest.raises(error, match=text):
        exec_.run(inputs)
    np.testing.assert_allclose(exec_.run(X)["y"], expected(graph, X), rtol=1e-5)


def test_layouts(graph, exec_):
    want = expected(graph, X)
    wide = np.zeros((12, 16), np.float32)
    wide[::2, ::2] = X
    for x in (np.asfortranarray(X), wide[::2, ::2], X[::-1][::-1], X.astype(">f4"), np.broadcast_to(X[0], (6, 8)), X[:, ::-1][:, ::-1]):
        np.testing.assert_allclose(exec_.run({"x": x})["y"], expected(graph, np.asarray(x, np.float32)), rtol=1e-5)
    x = X.copy()
    x.flags.writeable = False
    np.testing.assert_allclose(exec_.run({"x": x})["y"], want, rtol=1e-5)
    assert exec_.run(np.zeros((0, 8), np.float32))["y"].shape == (0, 4)


def test_contiguous_inputs_are_not_copied(exec_):
    """The address that C gets is the array's own; for another layout it is not."""
    slot = exec_._inputs[0]
    exec_.run({"x": X})
    assert slot.address == X.ctypes.data == mcomp._lib.quick.mcomp_tensor_data(slot.raw.pointer)
    exec_.run({"x": X[2:4]})  # a part of it, still contiguous
    assert slot.address == X.ctypes.data + 2 * 8 * 4
    f = np.asfortranarray(X)
    exec_.run({"x": f})
    assert slot.address != f.ctypes.data
    before = sys.getrefcount(X)
    exec_.run({"x": X})
    assert sys.getrefcount(X) == before  # nothing holds it afterwards


def test_outputs_are_the_callers_own(graph, exec_):
    first = exec_.run(X)["y"]
    kept = first.copy()
    for n in (1, 6, 600):
        exec_.run(np.ones((n, 8), np.float32))
    np.testing.assert_array_equal(first, kept)
    exec_.close()
    gc.collect()
    np.testing.assert_array_equal(first, kept)
    assert first.flags.owndata and first.flags.writeable


def test_outputs_fed_back(ctx):
    g = mcomp.Graph("step", context=ctx)
    g.add_input("s", "float32", [4])
    g.add_constant("one", np.ones(4, np.float32))
    g.add_node("Add", ["s", "one"], "t")
    g.add_output("t")
    e = mcomp.Session(g.finish()).exec()
    s = np.zeros(4, np.float32)
    for _ in range(10):
        s = e.run({"s": s})["t"]
    np.testing.assert_array_equal(s, 10)


NUMPY = ["float32", "float64", "float16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"]


@pytest.mark.parametrize("dtype", NUMPY)
def test_types(ctx, dtype):
    a = np.array([0, 1, 1, 0, 1], dtype)
    y = mcomp.Session(passthrough(ctx, dtype)).run(a)["y"]
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, a)
    g = mcomp.Graph("c", context=ctx)
    g.add_constant("c", a)
    g.add_node("Identity", "c", "y")
    g.add_output("y")
    np.testing.assert_array_equal(mcomp.Session(g.finish()).run({})["y"], a)


def test_bfloat16(ctx):
    f = np.concatenate([R.standard_normal(100).astype(np.float32) * 1e3, [0, -0.0, np.inf, -np.inf, 1, 3.3895314e38]]).astype(np.float32)
    bits = mcomp.to_bfloat16(f)
    assert bits.dtype == mcomp.bfloat16
    back = mcomp.from_bfloat16(bits)
    assert back.dtype == np.float32 and np.all(np.abs(back[:100] - f[:100]) <= np.abs(f[:100]) / 256)
    assert np.isnan(mcomp.from_bfloat16(mcomp.to_bfloat16(np.float32([np.nan])))[0])
    np.testing.assert_array_equal(mcomp.from_bfloat16(mcomp.to_bfloat16(back)), back)
    g = passthrough(ctx, "bfloat16")
    y = mcomp.Session(g).run(bits)["y"]
    assert y.dtype == mcomp.bfloat16 and y.tobytes() == bits.tobytes()
    with pytest.raises(mcomp.DtypeError):
        mcomp.Session(g).run(f)
    g = mcomp.Graph("cast", context=ctx)  # the library's own rounding
    g.add_input("x", "float32", ["n"])
    g.add_node("Cast", "x", "y", to=16)
    g.add_output("y")
    assert mcomp.Session(g.finish()).run(f)["y"].tobytes() == bits.tobytes()
    assert mcomp.to_bfloat16(np.float32(1)).shape == () and mcomp.from_bfloat16(mcomp.to_bfloat16(1.5)) == 1.5


@pytest.mark.parametrize("name, dtype, values", [("int4", np.int8, [-8, 7, 0, -1, 3]), ("uint4", np.uint8, [15, 0, 7]), ("int2", np.int8, [-2, 1, 0, -1, 1]), ("uint2", np.uint8, [3, 0, 1, 2, 3])])
def test_integers_below_a_byte(ctx, name, dtype, values):
    a = np.array(values, dtype)
    code = dtypes.dtype_code(name)
    np.testing.assert_array_equal(dtypes.unpack(dtypes.pack(a, code), code, a.shape), a)
    with pytest.raises(mcomp.RangeError):
        dtypes.pack(np.array([16], np.uint8), code)
    g = mcomp.Graph("c", context=ctx)
    g.add_constant("c", a, name)
    g.add_node("Cast", "c", "y", to=1)
    g.add_output("y")
    np.testing.assert_array_equal(mcomp.Session(g.finish()).run({})["y"], a)


def test_scalars_and_passed_through_inputs(ctx):
    assert mcomp.Session(passthrough(ctx, "float32", shape=())).run({"x": np.float32(3)})["y"].shape == ()
    assert mcomp.Session(passthrough(ctx, "float32", shape=())).run({"x": 3.0})["y"] == 3


def test_bound(graph, exec_):
    x = X.copy()
    b = exec_.bind({"x": x})
    assert b.inputs["x"] is x
    y = b.run()["y"]
    np.testing.assert_allclose(y, expected(graph, X), rtol=1e-5)
    x[:] = 1
    assert b.run()["y"] is y  # the same array, new values
    np.testing.assert_allclose(y, expected(graph, x), rtol=1e-5)
    exec_.run({"x": X[:2]})  # another run in between does not disturb it
    np.testing.assert_allclose(b.run()["y"], expected(graph, x), rtol=1e-5)
    c = exec_.bind({"x": np.asfortranarray(X)})
    c.inputs["x"][:] = 2  # a copy was made: it is what is read
    np.testing.assert_allclose(c.run()["y"], expected(graph, c.inputs["x"]), rtol=1e-5)
    del x, y
    gc.collect()
    np.testing.assert_allclose(b.run()["y"], expected(graph, np.ones((6, 8), np.float32)), rtol=1e-5)
    exec_.close()
    with pytest.raises(mcomp.ClosedError):
        b.run()


def test_sizes_known_at_run_time_only(ctx):
    e = mcomp.Session(passthrough(ctx, "float32", "NonZero", (4,))).exec()
    b = e.bind(np.ones(4, np.float32))
    for values, want in (([0, 1, 0, 2], [[1, 3]]), ([0, 0, 0, 0], [[]]), ([1, 1, 1, 1], [[0, 1, 2, 3]])):
        np.testing.assert_array_equal(e.run(np.float32(values))["y"], np.array(want, np.int64))
        b.inputs["x"][:] = values
        np.testing.assert_array_equal(b.run()["y"], np.array(want, np.int64))


def test_explain_profile_bench(graph):
    e = mcomp.Session(graph, profile=True).exec()
    r = e.bench(X, seconds=0.02)
    assert r.runs >= 1 and 0 < r.p50_ms <= r.p90_ms <= r.p99_ms and r.per_second > 0
    assert e.bench(X, runs=7, warmup=0).runs == 7
    kernels = e.explain()
    assert kernels and kernels[0].backend and kernels[0].kernel and sum(k.macs for k in kernels) == 192 and kernels[0].time_us > 0
    assert e.plan.n_steps == len(kernels) and e.plan.macs == 192
    with pytest.raises(mcomp.ArgumentError, match="did you mean profile"):
        mcomp.Session(graph, profil=True)


def test_threads_with_an_exec_each(graph):
    session, failures = mcomp.Session(graph), []

    def work(seed):
        try:
            r, e = np.random.default_rng(seed), session.exec()
            for k in range(300):
                x = r.standard_normal((1 + k % 5, 8)).astype(np.float32)
                y = e.run({"x": x})["y"] if k % 2 else session.run({"x": x})["y"]
                np.testing.assert_allclose(y, expected(graph, x), rtol=1e-4, atol=1e-5)
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not failures, failures[0]


def test_one_exec_in_two_threads_is_busy_not_wrong(ctx):
    g = tiny(ctx, 512, 512)
    e = mcomp.Session(g).exec()
    x = R.standard_normal((256, 512)).astype(np.float32)
    want, busy, wrong = e.run(x)["y"], [], []

    def work():
        for _ in range(15):
            try:
                if not np.array_equal(e.run({"x": x})["y"], want):
                    wrong.append(1)
            except mcomp.BusyError:
                busy.append(1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not wrong and busy


def test_closing_in_any_order_and_while_running(ctx):
    g = tiny(ctx, 512, 512)
    s = mcomp.Session(g)
    e = s.exec()
    x = R.standard_normal((256, 512)).astype(np.float32)
    want = e.run(x)["y"]
    g.close()
    s.close()
    np.testing.assert_array_equal(e.run(x)["y"], want)  # an exec keeps what it needs
    with pytest.raises(mcomp.ClosedError):
        s.exec()
    with pytest.raises(mcomp.ClosedError):
        s.run(x)
    out = []
    t = threading.Thread(target=lambda: [out.append(e.run(x)["y"]) for _ in range(5)] if not e.closed else None)
    threading.excepthook, old = lambda a: None if issubclass(a.exc_type, mcomp.ClosedError) else old(a), threading.excepthook
    try:
        t.start()
        while not out and t.is_alive():
            pass
        e.close()  # the call that is running finishes; the next one raises
        t.join()
    finally:
        threading.excepthook = old
    assert all(np.array_equal(y, want) for y in out)
    for use in (lambda: e.run(x), lambda: e.bind(x), lambda: e.explain(), lambda: e.plan, lambda: e.bench(x, runs=1)):
        with pytest.raises(mcomp.ClosedError):
            use()


def test_cycles_are_collected_children_first(script):
    r = script("""
import gc, sys
import numpy as np
import mcomp
gc.disable()
for k in range(20):
    ctx = mcomp.Context(threads=1)
    g = mcomp.Graph("g", context=ctx)
    g.add_input("x", "float32", [2]); g.add_node("Relu", "x", "y"); g.add_output("y"); g.finish()
    s = mcomp.Session(g)
    s.run(np.ones(2, np.float32))
    e = s.exec()
    ctx.loop = [e, s, g, ctx]
    ctx.loop.append(ctx.loop)
    del ctx, g, s, e
    gc.collect()
left = mcomp.Session.__mro__ and mcomp.Graph("alive")  # and some are alive at exit
s = None
print("good")
""")
    assert r.returncode == 0 and r.stdout == "good\n" and not r.stderr, r.stderr


def test_handles_are_not_copied(graph):
    import copy
    import pickle
    for f in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            f(mcomp.Session(graph))


def test_the_interpreter_lock_is_released_during_a_run(ctx):
    """Another thread of Python counts while one long run is in C. It could not, were the lock held: the switch interval is made longer than the run."""
    n = 1536
    g = mcomp.Graph("long", context=ctx)
    g.add_input("x", "float32", [n, n])
    for i in range(6):
        g.add_node("MatMul", [f"m{i}" if i else "x", "x"], f"m{i + 1}")
    g.add_output("m6")
    e = mcomp.Session(g.finish()).exec()
    bound = e.bind(np.full((n, n), 1 / n, np.float32))
    bound._call()
    marks, stop = [], threading.Event()

    def count():
        while not stop.is_set():
            marks.append(time.perf_counter_ns())
            time.sleep(0.0005)

    old = sys.getswitchinterval()
    sys.setswitchinterval(60)
    other = threading.Thread(target=count)
    try:
        other.start()
        start = time.perf_counter_ns()
        took = bound._call()
        end = time.perf_counter_ns()
    finally:
        sys.setswitchinterval(old)
        stop.set()
        other.join()
    inside = [m for m in marks if start + took // 4 < m < end - took // 4]
    assert took > 10_000_000 and len(inside) >= 3, (took, len(inside))

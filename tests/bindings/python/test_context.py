"""Contexts: options, callbacks, cancelling, errors."""
import pickle
import threading
import time

import mcomp
import numpy as np
import pytest
from conftest import tiny


def test_options_are_the_fields_of_the_struct():
    assert mcomp.Context(threads=2).threads == 2
    with pytest.raises(mcomp.ArgumentError, match="did you mean threads") as e:
        mcomp.Context(thread=2)
    assert e.value.where == "thread" and e.value.code == -1 and e.value.name == "ARGUMENT"
    with pytest.raises(mcomp.ArgumentError, match="no such option"):
        mcomp.Context(size=4)
    with pytest.raises(mcomp.ArgumentError):
        mcomp.Context(reserved=1)


@pytest.mark.parametrize("fields, error", [
    (dict(threads=2**40), mcomp.RangeError), (dict(threads=-1), mcomp.RangeError), (dict(threads="2"), mcomp.ArgumentError),
    (dict(threads=1.5), mcomp.ArgumentError), (dict(backend=3), mcomp.ArgumentError), (dict(backend="a\0b"), mcomp.ArgumentError),
    (dict(max_model_bytes=-1), mcomp.RangeError), (dict(log=3), mcomp.ArgumentError), (dict(progress_payload=None), mcomp.ArgumentError),
    (dict(alloc=len), mcomp.ArgumentError)])
def test_bad_options_are_errors_before_c_sees_them(fields, error):
    with pytest.raises(error):
        mcomp.Context(**fields)


def test_error_of_the_library(ctx, tmp_path):
    path = tmp_path / "none.onnx"
    with pytest.raises(mcomp.PathError) as e:
        mcomp.Graph.load(path, context=ctx)
    e = e.value
    assert isinstance(e, mcomp.InputError) and isinstance(e, mcomp.Error)
    assert (e.code, e.name, e.exit_code, e.call) == (-3, "PATH", 2, "mcomp_graph_load")
    assert "none.onnx" in e.where + e.message and e.message in str(e)
    again = pickle.loads(pickle.dumps(e))
    assert type(again) is type(e) and again.where == e.where and str(again) == str(e)


def test_errors_are_of_the_thread_that_failed(ctx, tmp_path):
    seen = []

    def fail(i):
        for k in range(50):
            try:
                mcomp.Graph.load(tmp_path / f"{i}-{k}.onnx", context=ctx)
            except mcomp.PathError as e:
                seen.append(f"{i}-{k}.onnx" in e.where + e.message)

    threads = [threading.Thread(target=fail, args=(i,)) for i in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(seen) == 200 and all(seen)


def test_limits_reach_the_library(graph, tmp_path):
    graph.save(tmp_path / "m.onnx")
    with mcomp.Context(max_nodes=1) as small, pytest.raises(mcomp.LimitError):
        mcomp.Graph.load(tmp_path / "m.onnx", context=small)


def calibration(ctx, n=20):
    g = tiny(ctx)
    return mcomp.Calibrator(g), mcomp.Dataset.from_arrays(g, np.ones((n, 8), np.float32))


def test_progress_is_told_and_can_cancel():
    told = []
    with mcomp.Context(threads=1, progress=lambda stage, fraction: told.append((stage, fraction))) as ctx:
        c, d = calibration(ctx)
        c.feed(d)
        assert told[0] == ("calibrate", 0.0) and told[-1] == ("calibrate", 1.0)
    with mcomp.Context(threads=1, progress=lambda stage, fraction: fraction > 0.4) as ctx:
        c, d = calibration(ctx)
        with pytest.raises(mcomp.CancelledError):
            c.feed(d)
        assert 0 < c.info.samples < 20


class Mine(Exception):
    pass


def test_what_progress_raises_reaches_the_caller():
    def progress(stage, fraction):
        raise Mine("from progress")

    with mcomp.Context(threads=1, progress=progress) as ctx:
        c, d = calibration(ctx)
        for _ in range(2):
            with pytest.raises(Mine, match="from progress"):
                c.feed(d)
        with pytest.raises(mcomp.PathError):  # nothing is left over for the next call
            mcomp.Graph.load("none.onnx", context=ctx)


def test_log_is_told_and_what_it_raises_reaches_the_caller():
    lines = []
    with mcomp.Context(threads=1, log=lambda level, text: lines.append((level, text))) as ctx:
        g = tiny(ctx)
        d = mcomp.Dataset.from_arrays(g, np.random.default_rng(1).standard_normal((20, 8), np.float32))
        c = mcomp.Calibrator(g)
        c.feed(d)
        mcomp.Quantizer(context=ctx).apply(g, c, d)
    assert lines and all(level in (0, 1, 2, 3) and text for level, text in lines)

    def log(level, text):
        raise Mine(text)

    with mcomp.Context(threads=1, log=log) as ctx:
        g = tiny(ctx)
        d = mcomp.Dataset.from_arrays(g, np.random.default_rng(1).standard_normal((20, 8), np.float32))
        c = mcomp.Calibrator(g)
        with pytest.raises(Mine):
            c.feed(d)
            mcomp.Quantizer(context=ctx).apply(g, c, d)


def test_cancel_from_another_thread():
    with mcomp.Context(threads=1) as ctx:
        g = tiny(ctx)
        ctx.cancel()
        with pytest.raises(mcomp.CancelledError):
            mcomp.Session(g).run({"x": np.ones((1, 8), np.float32)})
        ctx.cancel_clear()
        d = mcomp.Dataset.from_function(g, 10**6, lambda i: np.ones(8, np.float32))
        c = mcomp.Calibrator(g)
        timer = threading.Timer(0.05, ctx.cancel)
        timer.start()
        start = time.monotonic()
        with pytest.raises(mcomp.CancelledError):
            c.feed(d)
        assert time.monotonic() - start < 5
        timer.join()


def test_backends_and_machine(ctx):
    names = {b.name: b for b in ctx.backends}
    assert names["cpu"].usable is True
    with pytest.raises((mcomp.PathError, mcomp.NoBackendError)):
        ctx.load_backend("/none.so")
    m = mcomp.machine_info()
    assert m.cpus >= 1 and m.isa in ("ref", "avx2", "avx512", "avx512_vnni") and m.memory_bytes > 0 and isinstance(m.bf16, bool)


def test_allocator_hook(script):
    """In a process of its own: the hook is for ever."""
    r = script("""
import ctypes, numpy as np, mcomp
libc = ctypes.CDLL(None)
libc.aligned_alloc.restype = ctypes.c_void_p; libc.aligned_alloc.argtypes = [ctypes.c_size_t] * 2
libc.free.argtypes = [ctypes.c_void_p]
count = [0, 0]
@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64)
def alloc(payload, n, align):
    count[0] += 1
    align = max(align, 16)
    return libc.aligned_alloc(align, (n + align - 1) // align * align)
@ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64)
def release(payload, p, n, align):
    count[1] += 1
    libc.free(p)
left = []
for _ in range(2):
    ctx = mcomp.Context(threads=1, alloc=alloc, release=release)
    g = mcomp.Graph("g", context=ctx)
    g.close(); ctx.close()
    left.append(count[0] - count[1])
assert count[1] > 0 and left[0] == left[1], (count, left)  # the table of operators is made once and stays
try:
    mcomp.Context(alloc=release, release=alloc)
except mcomp.ArgumentError as e:
    assert "allocator" in e.message
else:
    raise AssertionError
print("good")
""")
    assert r.returncode == 0 and r.stdout == "good\n", r.stderr


def test_closing():
    ctx = mcomp.Context(threads=1)
    g = tiny(ctx)
    ctx.close()
    ctx.close()
    assert ctx.closed
    for use in (lambda: ctx.threads, lambda: ctx.backends, ctx.cancel, lambda: mcomp.Graph("g", context=ctx), ctx.__enter__):
        with pytest.raises(mcomp.ClosedError):
            use()
    assert g.info.n_nodes == 3  # what was made from it lives on
    with pytest.raises(mcomp.ArgumentError):
        mcomp.Graph("g", context="ctx")


def test_default_context_comes_back_after_closing():
    a = mcomp.default_context()
    assert mcomp.default_context() is a
    a.close()
    assert mcomp.default_context() is not a and mcomp.default_context().threads >= 1

"""What the tests of the Python binding share: the package from the source tree on the library of the build folder."""
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "bindings/python"))

import mcomp  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402


@pytest.fixture(scope="session")
def ctx():
    return mcomp.Context(threads=1)


def tiny(ctx, features=8, classes=4):
    """relu(x @ w + b) with a free batch axis."""
    r = np.random.default_rng(7)
    g = mcomp.Graph("tiny", context=ctx)
    g.w, g.b = r.standard_normal((features, classes), np.float32), r.standard_normal(classes, np.float32)
    g.add_input("x", "float32", ["batch", features])
    g.add_constant("w", g.w)
    g.add_constant("b", g.b)
    g.add_node("MatMul", ["x", "w"], "m")
    g.add_node("Add", ["m", "b"], "s")
    g.add_node("Relu", "s", "y")
    g.add_output("y")
    return g.finish()


@pytest.fixture()
def graph(ctx):
    return tiny(ctx)


def expected(graph, x):
    return np.maximum(x @ graph.w + graph.b, 0)


def passthrough(ctx, dtype, op="Identity", shape=("n",)):
    """One operator, one input."""
    g = mcomp.Graph("one", context=ctx)
    g.add_input("x", dtype, shape)
    g.add_node(op, "x", "y")
    g.add_output("y")
    return g.finish()


def run_script(text, *arguments, env=None, timeout=120):
    """A fresh interpreter with the package on its path."""
    import subprocess
    e = dict(os.environ, PYTHONPATH=str(ROOT / "bindings/python"), PYTHONDONTWRITEBYTECODE="1", **(env or {}))
    return subprocess.run([sys.executable, "-c", text, *map(str, arguments)], capture_output=True, text=True, env=e, timeout=timeout)


@pytest.fixture()
def script():
    return run_script

"""The wheel in a clean environment, and memory over many runs."""
import os
import pathlib
import subprocess
import sys

import mcomp
import numpy as np
import pytest
from conftest import ROOT, tiny


def test_memory_does_not_grow(ctx):
    e = mcomp.Session(tiny(ctx)).exec()
    x = [np.ones((1, 8), np.float32) for _ in range(2)]

    def rss():
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    for i in range(2000):
        e.run({"x": x[i & 1]})
    before = rss()
    for i in range(100000):
        e.run({"x": x[i & 1]})
    assert rss() - before <= 1 << 20


def test_wheel_in_a_clean_environment(tmp_path):
    build = os.environ.get("MCOMP_TEST_BUILD")
    if not build:
        pytest.skip("MCOMP_TEST_BUILD names no build folder")
    for module in ("setuptools", "wheel", "pip", "venv"):
        if subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True).returncode:
            assert os.environ.get("CI") != "true", f"{module} is missing"
            pytest.skip(f"{module} is not installed")
    env = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "PYTHONPATH")} | {"PYTHON": sys.executable}
    r = subprocess.run(["sh", ROOT / "bindings/python/build_wheel.sh", build, tmp_path], env=env, capture_output=True, text=True)
    assert r.returncode == 0 and "py3-none-linux_x86_64.whl" in r.stdout, r.stderr
    wheel = next(tmp_path.glob("mcomp-*.whl"))
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", tmp_path / "v"], check=True, env=env)
    python = tmp_path / "v/bin/python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", wheel], check=True, env=env, cwd=tmp_path)
    text = "import mcomp, sys; assert mcomp.library_path.startswith(sys.prefix), mcomp.library_path; print(mcomp.version(), mcomp.Context().threads > 0)"
    r = subprocess.run([python, "-c", text], capture_output=True, text=True, env=env, cwd=tmp_path)
    assert r.stdout == f"{mcomp.__version__} True\n", r.stderr

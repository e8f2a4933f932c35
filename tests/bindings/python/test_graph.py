"""Graphs: building, looking, saving, loading, editing."""
import mcomp
import numpy as np
import pytest
from conftest import expected, tiny


def test_build_look_save_load_run(ctx, graph, tmp_path):
    path = tmp_path / "m.onnx"
    graph.set_metadata("author", "Zoë")
    graph.save(path)
    with mcomp.Graph.load(path, context=ctx) as g, mcomp.Graph.loads(path.read_bytes(), context=ctx) as h:
        for m in (g, h):
            assert [p.name for p in m.inputs] == ["x"] and m.inputs[0].dtype == "float32" and m.inputs[0].shape == ("batch", 8)
            assert m.outputs[0].shape == ("batch", 4) and m.outputs[0].numpy_dtype == np.float32
            assert m.info.n_nodes == 3 and m.info.parameters == 36 and m.info.macs == 32
            assert m.ops == {"MatMul": 1, "Add": 1, "Relu": 1} and [n.op for n in m.nodes] == ["MatMul", "Add", "Relu"]
            assert m.metadata == {"author": "Zoë"} and m.opsets[""] >= 7 and m.unsupported == []
        assert g.info.file_bytes == path.stat().st_size
        x = np.random.default_rng(1).standard_normal((3, 8), np.float32)
        np.testing.assert_allclose(mcomp.Session(g).run({"x": x})["y"], expected(graph, x), rtol=1e-5)


def test_save_options(ctx, tmp_path):
    path, graph = tmp_path / "m.onnx", tiny(ctx, 64, 64)
    graph.save(str(path))
    with pytest.raises(mcomp.PathError):
        graph.save(path)
    first = path.read_bytes()
    graph.save(path, overwrite=True, data="inside", opset=0)
    assert path.read_bytes() == first
    graph.save(path, overwrite=True, data="beside")
    assert list(tmp_path.glob("m.*.data"))
    with pytest.raises(mcomp.ArgumentError, match="did you mean overwrite"):
        graph.save(path, overwite=True)
    with pytest.raises(mcomp.ArgumentError, match="'beside'"):
        graph.save(path, data="outside")
    with pytest.raises(mcomp.ArgumentError, match="NUL"):
        graph.save("a\0b")


def test_attributes_of_all_kinds(ctx):
    g = mcomp.Graph("a", context=ctx)
    g.add_input("x", np.float32, (2, 3))
    g.add_node("Transpose", ["x"], ["t"], perm=[1, 0])
    g.add_node("LeakyRelu", "t", "l", alpha=0.5)
    g.add_node("Softmax", "l", "s", axis=np.int64(0))
    g.add_node("Gelu", "s", "y", name="last", attributes={"approximate": "tanh"})
    g.add_output("y")
    g.finish()
    assert g.nodes[-1].name == "last" and g.outputs[0].shape == (3, 2)
    y = mcomp.Session(g).run(np.ones((2, 3), np.float32))["y"]
    assert y.shape == (3, 2)
    with pytest.raises(mcomp.UnsupportedError):
        g.add_node("Relu", "y", "z", floats=[0.5])
    with pytest.raises(mcomp.RangeError):
        g.add_node("Relu", "y", "z2", big=2**70)


def test_building_errors_name_the_thing(ctx):
    g = mcomp.Graph("a", context=ctx)
    g.add_input("x", "float32", [2])
    with pytest.raises(mcomp.ArgumentError, match="x"):
        g.add_input("x", "float32", [2])
    with pytest.raises(mcomp.ArgumentError) as e:
        g.add_node("Relu", "nowhere", "y")
    assert e.value.where == "nowhere"
    with pytest.raises(mcomp.DtypeError):
        g.add_input("z", "float33", [2])
    with pytest.raises(mcomp.LimitError):
        g.add_input("z", "float32", [1] * 9)
    with pytest.raises(mcomp.RangeError):
        g.add_input("z", "float32", [2**63])
    g.add_constant("w", np.ones((3, 3), np.float32))
    g.add_node("MatMul", ["x", "w"], "r", name="wrong")
    g.add_output("r")
    with pytest.raises(mcomp.ShapeError, match="wrong"):
        g.finish()


def test_unsupported_operators_are_listed(ctx):
    g = mcomp.Graph("u", context=ctx)
    g.add_input("x", "float32", [2])
    g.add_node("NoSuchOperator", "x", "y", name="odd")
    g.add_output("y")
    g.finish()
    assert [(u.node, u.op) for u in g.unsupported] == [("odd", "NoSuchOperator")] and g.unsupported[0].why
    assert g.nodes[0].supported is False
    with pytest.raises(mcomp.UnsupportedError, match="NoSuchOperator"):
        mcomp.Session(g)


def test_expose_clone_and_fix(ctx, graph):
    x = np.ones((1, 8), np.float32)
    with graph.clone() as c:
        c.expose("m")
        assert [p.name for p in c.outputs] == ["y", "m"] and len(graph.outputs) == 1
        np.testing.assert_allclose(mcomp.Session(c).run(x)["m"], x @ graph.w, rtol=1e-5)
        with pytest.raises(mcomp.ArgumentError):
            c.expose("nowhere")
    with graph.clone() as c:
        c.fix_input("x", x)
        assert c.inputs == []
        np.testing.assert_allclose(mcomp.Session(c).run({})["y"], expected(graph, x), rtol=1e-5)
        with pytest.raises(mcomp.ArgumentError):
            c.fix_input("x", x)
    with graph.clone() as c, pytest.raises(mcomp.DtypeError):
        c.fix_input("x", np.ones((1, 8), np.int32))


def test_broken_files(ctx, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"\xff" * 100)
    with pytest.raises(mcomp.FormatError) as e:
        mcomp.Graph.load(tmp_path / "bad.onnx", context=ctx)
    assert "bad.onnx" in str(e.value)
    with pytest.raises(mcomp.Error):
        mcomp.Graph.loads(b"\0", context=ctx)
    with pytest.raises(mcomp.ArgumentError):
        mcomp.Graph.load(7, context=ctx)
    with pytest.raises(mcomp.PathError):
        mcomp.Graph.load(b"none", context=ctx)


def test_use_after_close(graph, tmp_path):
    graph.close()
    assert graph.closed
    for use in (lambda: graph.info, lambda: graph.inputs, lambda: graph.nodes, lambda: graph.metadata, lambda: graph.unsupported, graph.clone, graph.finish,
                lambda: graph.save(tmp_path / "x"), lambda: graph.add_output("y"), lambda: mcomp.Session(graph), lambda: mcomp.Calibrator(graph)):
        with pytest.raises(mcomp.ClosedError):
            use()

"""mcomp.Recipe: what the C tests prove is reachable from Python."""
import json

import mcomp
import pytest

RIGHT = """version: 1
model: {teacher: m.onnx}
data: {eval: e.npz}
passes:
  - quantize: {scheme: int8-dynamic}
"""


def test_load_and_explain(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"x")
    (tmp_path / "e.npz").write_bytes(b"x")
    (tmp_path / "r.yaml").write_text(RIGHT)
    r = mcomp.Recipe.load(tmp_path / "r.yaml")
    assert r.errors == []
    text = r.explain()
    assert "scheme: int8-dynamic\n" in text and "qdq: ort  # default" in text
    assert mcomp.Recipe.parse(text, folder=tmp_path).errors == []


def test_errors_have_places():
    r = mcomp.Recipe.parse(RIGHT.replace("scheme", "skeme"), name="r.yaml", no_files=1)
    (e,) = r.errors
    assert (e.file, e.line, e.column, e.hint) == ("r.yaml", 5, 16, "did you mean scheme?")
    assert e.source == "  - quantize: {skeme: int8-dynamic}" and e.code == mcomp.RecipeError.code
    with pytest.raises(mcomp.RecipeError):
        r.explain()
    assert len(mcomp.Recipe.parse("[" * 5000).errors) == 1
    assert mcomp.Recipe.parse(b"\xff\xfe").errors


def test_what_is_no_recipe_raises(tmp_path):
    with pytest.raises(mcomp.PathError):
        mcomp.Recipe.load(tmp_path)
    with pytest.raises(mcomp.LimitError):
        mcomp.Recipe.parse(b" " * (2 ** 20 + 1))
    with pytest.raises(mcomp.ArgumentError):
        mcomp.Recipe.parse(3)
    with pytest.raises(TypeError):
        mcomp.Recipe()


def test_schema():
    schema = json.loads(mcomp.Recipe.schema())
    assert schema["$defs"]["prune"]["properties"]["align"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 1024}
    assert schema["required"] == ["version", "model", "data", "passes"]

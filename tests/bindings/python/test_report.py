"""Reports and costs from Python; and what holds for a page whatever the run: absent keys, hostile values, well-formed markup."""
import copy
import html.parser
import json
import math
import sys
import xml.etree.ElementTree

import mcomp
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests/report"))
import fixture  # noqa: E402

VOID = {"meta", "br", "rect", "line", "circle", "polyline"}


class Balanced(html.parser.HTMLParser):
    """Every element is closed, in order; nothing is loaded; nothing can run."""

    def __init__(self):
        super().__init__()
        self.open, self.scripts, self.data = [], [], ""

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        names = dict(attrs)
        assert not [n for n in names if n.startswith("on") or n in ("src", "href", "style", "srcdoc", "action")], attrs
        if tag == "script":
            self.scripts.append(names)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.data += data


def page(*runs):
    r = mcomp.Report()
    for i, run in enumerate(runs):
        r.add(run, f"run {i + 1}")
    text = r.text()
    b = Balanced()
    b.feed(text)
    b.close()
    assert not b.open and b.scripts == [{"type": "application/json", "id": "mcomp-run"}]
    data = json.loads(b.data)
    assert data == (runs[0] if len(runs) == 1 else list(runs))
    xml.etree.ElementTree.fromstring(text.replace("<!DOCTYPE html>", ""))
    shown = text[:text.index("<script")].replace("http://www.w3.org/1999/xhtml", "")
    assert "http:" not in shown and "https:" not in shown and "@import" not in shown and "url(" not in shown
    return shown


def paths(j, at=()):
    for k, v in (j.items() if isinstance(j, dict) else enumerate(j) if isinstance(j, list) else ()):
        yield at + (k,)
        yield from paths(v, at + (k,))


def at(j, path):
    for k in path:
        j = j[k]
    return j


def small():
    """The fixture with one layer and two points a curve: every key once."""
    run = fixture.run()
    for s in run["stages"]:
        for key, n in (("curve", 2), ("layers", 2), ("operators", 2)):
            if key in s:
                s[key] = s[key][:n]
    run["cost"] = mcomp.cost(instances=8, usd_per_hour=3.06, after_instances=4, after_usd_per_hour=0.752, engineering_usd=1e4)
    return run


def test_the_fixture():
    shown = page(fixture.run())
    for text in ("40.0×", "8.28×", "−0.90 points", "438.0 MB", "10.9 MB", "61.4 ms", "7.42 ms", "94.20 %", "✓ Every target is met", "mcomp.QLinear", "4x1", "McNemar"):
        assert text in shown, text


def test_every_key_may_be_absent():
    run = small()
    for path in list(paths(run)):
        less = copy.deepcopy(run)
        del at(less, path[:-1])[path[-1]]
        shown = page(less)
        assert ">nan" not in shown and "nan%" not in shown and ">inf" not in shown, path
    for key, text in (("bytes", "10.9 MB"), ("p50_ms", "7.42 ms"), ("params", "8.40 M")):
        less = copy.deepcopy(run)
        for s in less["stages"]:
            s.pop(key)
        for t in less["target"].values():
            if isinstance(t, dict):
                t.pop("value", None)
        less.pop("ratios")
        less["cost"] = {}
        shown = page(less)
        assert text in page(run) and text not in shown, key


def test_every_string_may_be_hostile():
    run, evils = small(), ("</script><script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "a\u0001\u007f\u2028\ud7ff\ufeff", "]]>", "x" * 5000, "<!--", "&lt;", "")
    strings = [p for p in paths(run) if isinstance(at(run, p), str)]

    def with_evil(evil, some):
        bad = copy.deepcopy(run)
        for path in some:
            at(bad, path[:-1])[path[-1]] = evil
        page(bad)
        r = mcomp.Report()
        r.add(bad, evil)
        assert "<script" not in r.text("md") and "<img" not in r.text("md")

    for evil in evils:
        with_evil(evil, strings)
    for path in strings:  # the others being right: more of the page is written
        with_evil("".join(evils[:4]), [path])
    keyed = {"target": {"</td><script>": {"limit": 1, "value": 2, "met": False}}, "data": {"<b>": {"path": "<i>"}}}
    page(keyed)


def test_several_runs_and_other_verbs():
    shown = page(fixture.run(), fixture.run(True))
    assert "Side by side" in shown and "(+30.0 %)" in shown
    quantized = {"command": "quantize", "before": {"bytes": 4000, "p50_ms": 2.0, "metric": {"name": "accuracy", "value": 0.9, "ci95": [0.88, 0.92], "n": 500}},
                 "after": {"bytes": 1000, "p50_ms": 0.5, "metric": {"name": "accuracy", "value": 0.89, "ci95": [0.87, 0.91], "n": 500}}, "agreement_ratio": 0.98, "kept_float": [{"node": "n", "why": "w"}]}
    assert "4.00×" in page(quantized) and "98.0 %" in page(quantized)
    bench = {"command": "bench", "models": [{"path": "a.onnx", "bytes": 10, "p50_ms": 3.0}, {"path": "b.onnx", "bytes": 5, "p50_ms": 1.0}],
             "ratios": [{"of": "b.onnx", "over": "a.onnx", "p50_ratio": 2.9, "ci95": [2.8, 3.1]}], "kernels": [{"node": "n", "op": "Conv", "us": 12.5}, {"node": "m", "op": "Conv", "us": 2.5}]}
    assert "2.90×" in page(bench) and "15.0 µs" in page(bench)
    page({"command": "train", "best": {"metric": {"name": "accuracy", "value": 0.9}, "epoch": 3}, "curve": [{"epoch": 1, "step": 1, "loss": 1.0, "accuracy": 0.5}]})
    page(mcomp.cost(instances=8, usd_per_hour=3.06, after_instances=4))


def test_long_runs_stay_readable():
    run = {"stages": [{"name": "a", "bytes": 5, "metric": {"name": "accuracy", "value": 0.5}, "curve": [{"epoch": i, "step": i, "loss": 1.0 + i, "metric": i / 5000} for i in range(1, 5001)],
                       "layers": [{"node": f"layer {i}", "sparsity": 0.5, "dtype": "int8"} for i in range(3000)]}]}
    shown = page(run)
    assert "The first 400 of 3000 layers" in shown and "layer 399<" in shown and "layer 400<" not in shown
    assert ">5000<" in shown and ">4999<" not in shown and len(shown) < 1_000_000  # a curve is thinned, its end stays


def test_save_check_and_close(tmp_path):
    r = mcomp.Report()
    (tmp_path / "run.json").write_text(json.dumps(fixture.run()))
    r.add_file(tmp_path / "run.json")
    assert r.check("accuracy < 0.95 and size_ratio > 40") and not r.check("accuracy < 0.9")
    r.save(tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text() == r.text()
    with pytest.raises(mcomp.PathError):
        r.save(tmp_path / "r.html")
    r.save(tmp_path / "r.html", format="md", overwrite=True)
    assert (tmp_path / "r.html").read_text().startswith("# Compression report")
    with pytest.raises(mcomp.ArgumentError, match="no such figure"):
        r.check("accurcy < 1")
    with pytest.raises(mcomp.FormatError, match="line 1 column"):
        r.add("{")
    with pytest.raises(ValueError):
        r.add({"bytes": math.nan})
    r.close()
    with pytest.raises(mcomp.ClosedError):
        r.text()


def test_cost():
    c = mcomp.cost(instances=8, usd_per_hour=3.06, after_instances=4, after_usd_per_hour=0.752)
    assert c["monthly_cost"] == {"before": 17870.4, "after": 2195.84} and abs(c["saving_percent"] - 87.7) < 0.05
    assert "payback_months" not in c and c["instances"] == 8
    with pytest.raises(mcomp.RangeError, match="whole"):
        mcomp.cost(instances=1.5)
    with pytest.raises(mcomp.ArgumentError):
        mcomp.cost(instnaces=1)

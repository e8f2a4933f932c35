#!/usr/bin/env python3
"""mcomp report and mcomp cost: what they write, exit codes, bad input, contrast of the style sheet. The fixture's figures are made up."""
import html.parser
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests/report"))
import command  # noqa: E402
import fixture  # noqa: E402
from command import MCOMP, answer, check, failures, run  # noqa: E402

command.TIMEOUT = 120


class Page(html.parser.HTMLParser):
    """Elements in balance; the embedded JSON; accessibility of charts and tables."""
    VOID = {"meta", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.data, self.problems, self.charts, self.kinds, self.text = [], "", [], 0, [], ""
        self.feed(text)
        self.close()
        if self.open:
            self.problems.append(f"left open: {self.open}")

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        a = dict(attrs)
        if tag == "th" and "scope" not in a:
            self.problems.append("th without scope")
        if tag == "svg" and a.get("role") == "img":
            self.charts += 1
            self.kinds.append("chart")
        if tag == "table":
            self.kinds.append("table")
        if {"src", "href", "style", "onload", "onclick"} & set(a):
            self.problems.append(f"{tag} {attrs}")

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes another element")

    def handle_data(self, data):
        if "script" in self.open:
            self.data += data
        elif "style" not in self.open:
            self.text += data


def pages(tmp, a, b):
    out = f"{tmp}/r.html"
    j = answer(0, "report", a, "-o", out)
    check(j.get("output") == out, "output names the page")
    text = open(out, encoding="utf-8").read()
    p = Page(text)
    check(not p.problems, f"markup is in balance and accessible: {p.problems[:3]}")
    check(json.loads(p.data) == json.load(open(a)), "the embedded JSON is the run")
    check(text.count("<script") == 1 and '<script type="application/json" id="mcomp-run">' in text, "one script element, of data")
    check(p.charts >= 8 and text.count("<desc") == p.charts, "charts say what they show")
    runs = "".join(k[0] for k in p.kinds)
    check(runs.endswith("t") and "ccc" not in runs, f"every chart is followed by a table: {runs}")
    check(re.search(r"https?:", text.replace("http://www.w3.org/1999/xhtml", "")) is None and "url(" not in text, "nothing is loaded")
    check("not measured" in p.text and "40.0×" in p.text and "quantize" in p.text, "figures are there, and the missing one says so")
    answer(2, "report", a, "-o", out)
    check(open(out, encoding="utf-8").read() == text, "without -f nothing is replaced")
    answer(0, "report", a, b, "-o", out, "-f")
    p = Page(open(out, encoding="utf-8").read())
    check(not p.problems and isinstance(json.loads(p.data), list) and "Side by side" in p.text, f"two runs side by side: {p.problems[:3]}")
    r = run("report", a, "--md")
    check(r.returncode == 0 and r.stdout.startswith("# Compression report") and "| quantize | 93.30 %" in r.stdout, "--md on stdout")
    j = answer(0, "report", a, "--md")
    check(j.get("markdown", "").startswith("# "), "--md with --json stays one object")
    answer(0, "report", a, "--md", "-o", f"{tmp}/r.md")
    check(open(f"{tmp}/r.md").read() == r.stdout, "--md into a file")
    both = run("report", a, "--md", "-o", f"{tmp}/both.html")
    check(both.stdout == r.stdout and Page(open(f"{tmp}/both.html").read()).charts >= 8, "--md with an .html: both")


def expressions(tmp, a, b):
    j = answer(4, "report", a, "--fail-if", "accuracy < 0.95", "-o", f"{tmp}/f.html")
    check(j["error"]["name"] == "MISMATCH" and j["fail_if"]["holds"] and os.path.exists(f"{tmp}/f.html"), "it holds: exit 4, and the page is written")
    check(not answer(0, "report", a, "--fail-if", "accuracy < 0.88 or size_ratio < 4")["fail_if"]["holds"], "it does not hold")
    answer(4, "report", a, b, "--fail-if", "p50_ms > 1.05 * run1.p50_ms")
    answer(0, "report", b, a, "--fail-if", "p50_ms > 1.05 * run1.p50_ms")
    j = answer(1, "report", a, "--fail-if", "acuracy < 0.88", "-o", f"{tmp}/none.html")
    check("accuracy" in j["error"]["hint"] and not os.path.exists(f"{tmp}/none.html"), "an unknown figure is an error that names the nearest, and nothing is written")
    answer(1, "report", a, "--fail-if", "accuracy <")
    answer(1, "report", a)


def bad_runs(tmp, a):
    out = f"{tmp}/bad.html"
    cases = {"empty": b"", "cut": open(a, "rb").read()[:5000], "list": b"[1]", "latin": b'{"a":"\xe9"}', "twice": b'{"a":1,"a":2}', "nan": b'{"a":NaN}', "deep": b'{"a":' * 10000 + b"1" + b"}" * 10000}
    for name, content in cases.items():
        with open(f"{tmp}/{name}.json", "wb") as f:
            f.write(content)
        j = answer(2, "report", f"{tmp}/{name}.json", "-o", out)
        check(j["error"]["where"].endswith(f"{name}.json"), f"{name}: {j['error']['what'][:100]}")
    check("line 1 column" in answer(2, "report", f"{tmp}/nan.json", "-o", out)["error"]["what"], "line and column")
    with open(f"{tmp}/huge.json", "wb") as f:
        f.write(b'{"a":"')
        f.seek(100 << 20)
        f.write(b'"}')
    check(answer(2, "report", f"{tmp}/huge.json", "-o", out)["error"]["name"] == "LIMIT", "100 MB are refused")
    os.mkfifo(f"{tmp}/fifo")
    answer(2, "report", f"{tmp}/fifo", "-o", out)
    answer(2, "report", f"{tmp}/none.json", "-o", out)
    answer(2, "report", a, "-o", f"{tmp}/no/folder/r.html")
    answer(1, "report", *[a] * 17, "-o", out)
    check(not os.path.exists(out), "nothing is written")
    strange = os.path.join(tmp.encode(), b"\xff<b>.json")
    with open(strange, "wb") as f:
        f.write(json.dumps({"output": "</script>", "before": {"bytes": 5}, "after": {"bytes": 2}}).encode())
    r = subprocess.run([MCOMP.encode(), b"report", strange, a.encode(), b"-o", out.encode()], capture_output=True, timeout=60)
    check(r.returncode == 0 and not Page(open(out, encoding="utf-8").read()).problems and "\\xff<b>.json" in Page(open(out, encoding="utf-8").read()).text, "a path that is no text is shown, not believed")


def costs(tmp):
    j = answer(0, "cost", "--instances", "8", "--usd-per-hour", "3.06", "--after-instances", "4", "--after-usd-per-hour", "0.752")
    check(j["monthly_cost"] == {"before": 17870.4, "after": 2195.84} and abs(j["saving_percent"] - 87.71) < 0.01, "the press example from its own prices")
    check(all(j[k] == v for k, v in (("instances", 8), ("after_usd_per_hour", 0.752), ("hours", 730))) and "payback_months" not in j, "inputs are echoed, absent ones are not made up")
    args = answer(0, "cost", *fixture.COST)
    check(args["fleet"] == {"before": 8, "after": 1} and args["payback_months"] > 0 and args["advice"][0]["rule"] == "right_size", "fleet, payback and advice")
    j = answer(0, "cost", "--instances", "8")
    check("monthly_cost" not in j and j["warnings"][0]["code"] == "INCOMPLETE", "no price, no cost, and it says so")
    for flag, value in (("--instances", "1.5"), ("--usd-per-hour", "-1"), ("--utilization", "60"), ("--peak-rps", "x"), ("--hours", "0"), ("--accuracy-drop", "nan"), ("--p50-ms", "1e999")):
        e = answer(1, "cost", "--after-instances", "2", flag, value)["error"]
        check(flag in e["what"] and flag in e["where"], f"{flag} {value}: {e['what']}")
    answer(1, "cost")
    check("--instances" in run("cost", "--instance", "8").stderr, "unknown flags name the nearest")
    keys = re.findall(r"^MC_COST\((\w+)", (ROOT / "lib/report/cost.def").read_text(), re.M)
    flags = re.findall(r"^  --([\w-]+)", run("cost", "--help").stdout.split("common options")[0], re.M)
    check([k.replace("_", "-") for k in keys] == flags, "the flags are the rows of cost.def")
    with open(f"{tmp}/cost.json", "w") as f:
        json.dump(args, f)
    r = run("report", f"{tmp}/cost.json", "--md")
    check("| a month | $17,870 |" in r.stdout, "a report about a cost")


def contrast():
    """Text on its grounds, WCAG 2: at least 4.5 to 1, in both schemes."""
    css = (ROOT / "lib/report/style.c").read_text()
    def light(colour):
        c = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in c]
        return 0.2126 * r + 0.7152 * g + 0.0722 * b
    blocks = re.findall(r":root\{(?:color-scheme[^;]*;)?((?:--[^}]*))\}", css.replace('"\n    "', ""))
    check(len(blocks) == 2, "a light and a dark scheme")
    for name, block in zip(("light", "dark"), blocks):
        v = dict(re.findall(r"--(\w+):(#\w{6})", block))
        for ink in ("ink", "mute", "good", "bad", "on"):
            for ground in ("bg", "panel"):
                a, b = sorted((light(v[ink]), light(v[ground])))
                check((b + 0.05) / (a + 0.05) >= 4.5, f"{name}: {ink} on {ground} has {(b + 0.05) / (a + 0.05):.1f} to 1")


def main():
    with tempfile.TemporaryDirectory() as tmp:
        a, b = f"{tmp}/a.json", f"{tmp}/b.json"
        for path, other in ((a, False), (b, True)):
            with open(path, "w") as f:
                json.dump(fixture.run(other), f)
        pages(tmp, a, b)
        expressions(tmp, a, b)
        bad_runs(tmp, a)
        costs(tmp)
    contrast()
    print(f"{len(failures)} failures")
    sys.exit(1 if failures else 0)


main()

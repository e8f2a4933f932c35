"""Reports about runs, and what a model costs a month."""
import ctypes
import json

from . import _ffi
from ._handle import Exclusive, Raw
from ._lib import call, check, fspath, lib, utf8
from ._records import options
from .context import default_context


class Report(Exclusive):
    """A page about one run, or several beside one another, from what `mcomp compress --json` and the other verbs print.

        report = mcomp.Report()
        report.add_file("out/run.json")
        report.save("report.html")
        assert not report.check("accuracy < 0.88")

    One call at a time. docs/report.md has what it shows and the expressions."""

    def __init__(self, *, context=None):
        super().__init__()
        parent = (context or default_context())._open()
        self._raw = Raw("mcomp_report_create", "mcomp_report_destroy", (parent.pointer,), parents=(parent,))

    def add(self, run, name="run"):
        """run: JSON text (str or bytes), or what json.loads makes of it."""
        if not isinstance(run, (str, bytes, bytearray)):
            run = json.dumps(run, allow_nan=False)
        raw = run.encode() if isinstance(run, str) else bytes(run)
        with self._alone() as r:
            check(lib.mcomp_report_add(r.pointer, raw, len(raw), utf8(name, "name")), "mcomp_report_add")

    def add_file(self, path):
        with self._alone() as r:
            check(lib.mcomp_report_add_file(r.pointer, fspath(path)), "mcomp_report_add_file")

    def text(self, format="html"):
        """The report as str; format: "html" or "md"."""
        out, n = ctypes.c_char_p(), ctypes.c_uint64()
        with self._alone() as r:
            check(lib.mcomp_report_text(out, n, r.pointer, utf8(format, "format")), "mcomp_report_text")
            return ctypes.string_at(out, n.value).decode()

    def save(self, path, *, format="html", overwrite=False):
        with self._alone() as r:
            check(lib.mcomp_report_save(r.pointer, fspath(path), utf8(format, "format"), bool(overwrite)), "mcomp_report_save")

    def check(self, expression):
        """Whether an expression over the figures holds, as in "accuracy < 0.88 or size_ratio < 4"."""
        holds = ctypes.c_int32()
        with self._alone() as r:
            check(lib.mcomp_report_check(holds, r.pointer, utf8(expression, "expression")), "mcomp_report_check")
        return bool(holds.value)


def cost(**fields):
    """Monthly cost before and after, saving, payback and advice, as the dict that `mcomp cost --json` prints. Keywords are the fields of
    mcomp_cost_options: instances, usd_per_hour, after_instances, peak_rps ... (docs/cost.md). What cannot be computed from them is absent."""
    o, n = options(_ffi.mcomp_cost_options, fields), ctypes.c_uint64()
    text = ctypes.create_string_buffer(16384)
    call("mcomp_cost_json", text, n, len(text), o)
    return json.loads(text.value)

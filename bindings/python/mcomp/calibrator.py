"""One pass over data: ranges of every tensor, in sketches of fixed size that merge."""
import contextlib
import ctypes

from . import _ffi, errors
from ._arrays import Tensor
from ._handle import Exclusive, Raw
from ._lib import check, fspath, integer, lib, text, utf8
from ._records import read, record
from .context import context_of
from .dataset import Dataset, fit

CalibrationInfo = record(_ffi.mcomp_calibration_info, "CalibrationInfo", "Samples fed and skipped, and what they never reached.")


class Calibrator(Exclusive):
    """Looks at a model's activations. One call at a time.

        calibrator = mcomp.Calibrator(graph)
        calibrator.feed(samples)              # a Dataset, an iterable of samples, or one sample
        calibrator.save("model.calib")
    """

    def __init__(self, graph, *, context=None):
        context = context or graph.context
        self._take(context, "mcomp_calibrator_create", graph)

    def _take(self, context, create, graph, *arguments):
        super().__init__()
        parent, model = context._open(), None if graph is None else graph._open()
        self._ports = None if graph is None else graph.inputs
        self._raw = Raw(create, "mcomp_calibrator_destroy", (parent.pointer, None if model is None else model.pointer, *arguments), parents=(parent,))
        return self

    @classmethod
    def load(cls, path, graph=None, *, context=None):
        """From a .calib file. Without a graph it can be merged and looked at only."""
        context = context_of(context if context is not None or graph is None else graph.context)
        return cls.__new__(cls)._take(context, "mcomp_calibrator_load", graph, fspath(path))

    def save(self, path, overwrite=False):
        with self._alone() as raw:
            check(lib.mcomp_calibrator_save(raw.pointer, fspath(path), bool(overwrite)), "mcomp_calibrator_save")

    def merge(self, other):
        """Adds the sketches of another calibrator of the same model (DataError if it is of another)."""
        if not isinstance(other, Calibrator):
            raise errors.ArgumentError(f"must be a Calibrator, not {type(other).__name__}", where="other")
        with self._alone() as raw, other._alone() as theirs:
            check(lib.mcomp_calibrator_merge(raw.pointer, theirs.pointer), "mcomp_calibrator_merge")

    def feed(self, data, label=None):
        """A Dataset; one sample (a dict, or an array of a model of one input) with its label; or an iterable of samples or (sample, label),
        a generator say, of which one sample at a time is in memory. A sample with NaN or infinity anywhere is skipped and counted."""
        if isinstance(data, Dataset):
            with self._alone() as raw, data._alone() as samples:
                check(lib.mcomp_calibrator_feed_dataset(raw.pointer, samples.pointer), "mcomp_calibrator_feed_dataset")
            return
        if isinstance(data, dict) or hasattr(data, "dtype"):
            self._feed_one(data, label)
            return
        for sample in data:
            pair = isinstance(sample, tuple) and len(sample) == 2 and (isinstance(sample[0], dict) or hasattr(sample[0], "dtype")) and not getattr(sample[1], "ndim", 0)
            self._feed_one(*(sample if pair else (sample, None)))

    def _feed_one(self, sample, label):
        if self._ports is None:
            raise errors.ArgumentError("this calibrator was loaded without a model: it can only be merged and looked at", hint="Calibrator.load(path, graph)")
        tensors = [Tensor(a, p.code, p.name) for p, a in zip(self._ports, fit(sample, self._ports))]
        pointers = (ctypes.c_void_p * (len(tensors) or 1))(*(t.pointer.value for t in tensors))
        label = -1 if label is None else integer(label, "label")
        with self._alone() as raw:
            check(lib.mcomp_calibrator_feed(raw.pointer, len(tensors), pointers, label), "mcomp_calibrator_feed")

    @property
    def info(self):
        """CalibrationInfo: samples, skipped, tensors, dead_channels ..."""
        with self._alone() as raw:
            return read(CalibrationInfo, "mcomp_calibrator_info", raw.pointer)

    @property
    def unseen(self):
        """Classes of the model that no sample had: their ranges may be too small. Empty without labels."""
        out, label = [], ctypes.c_int64()
        with self._alone() as raw:
            while check(lib.mcomp_calibrator_unseen(label, raw.pointer, len(out)), "mcomp_calibrator_unseen") or label.value >= 0:
                out.append(label.value)
        return out

    def ranges(self, rule="minmax"):
        """{tensor: (low, high)} by a rule: "minmax", "average", "percentile", "kl", "mse"."""
        out, name, lo, hi = {}, ctypes.c_char_p(), ctypes.c_double(), ctypes.c_double()
        n = self.info.tensors
        with self._alone() as raw:
            for i in range(n):
                check(lib.mcomp_calibrator_range(raw.pointer, i, utf8(rule, "rule"), name, lo, hi), "mcomp_calibrator_range")
                out[text(name.value)] = (lo.value, hi.value)
        return out


@contextlib.contextmanager
def held(handle):
    """The pointer of an optional handle, nobody else inside; None for None."""
    if handle is None:
        yield None
        return
    with handle._alone() as raw:
        yield raw.pointer

"""Samples for calibration, evaluation and benchmarks: from files, arrays, sequences or functions."""
import ctypes

import numpy as np

from . import _ffi, errors
from ._arrays import NO_RELEASE, copied, dims, surviving, take
from ._ffi import STATUS
from ._handle import Exclusive, Raw
from ._lib import check, integer, keep_exception, lib, quick, text, utf8
from ._records import options, unknown
from .dtypes import PACKED
from .tokenizer import Tokenizer


def by_name(sample, ports, what="sample"):
    """One array a port, in the model's order: from a dict, from a sequence in that order, or from the one array of a model of one input."""
    if isinstance(sample, dict):
        names = [p.name for p in ports]
        for name in sample:
            if name not in names:
                raise unknown(name, names, "input")
        for name in names:
            if name not in sample:
                raise errors.ArgumentError("is missing", where=f"{what}: input {name}", hint="inputs: " + ", ".join(names))
        return [sample[p.name] for p in ports]
    if isinstance(sample, (list, tuple)) and len(sample) == len(ports) and (len(ports) > 1 or isinstance(sample[0], np.ndarray)):
        return list(sample)
    if len(ports) == 1:
        return [sample]
    raise errors.ArgumentError(f"must be a dict, or a sequence of {len(ports)} arrays", where=what, hint="inputs: " + ", ".join(p.name for p in ports))


def fit(sample, ports, what="sample"):
    """One array a port: cast if every value survives, with a leading axis of 1 where the sample lacks it."""
    out = []
    for port, a in zip(ports, by_name(sample, ports, what)):
        a = surviving(a, port.code, f"{what}, input {port.name}")
        if port.shape is not None and a.ndim == len(port.shape) - 1 and _batch_like(port):
            a = a[None]
        out.append(a)
    return out


def _batch_like(port):
    """The first axis is free, or one."""
    return port.shape[0] == 1 or not isinstance(port.shape[0], int)


def _rows(port, a):
    """The array with samples on axis 0 and everything of one sample behind it, or None when it is the same for every sample."""
    rank = None if port.shape is None else len(port.shape)
    if rank is None or a.ndim == rank + 1:
        return a
    if rank and a.ndim == rank:
        if _batch_like(port):
            return a[:, None]
        if port.shape[0] == a.shape[0]:
            return None
    elif rank == 0 and a.ndim == 0:
        return None
    raise errors.ShapeError(f"has shape {a.shape}; the model takes {port.shape} a sample", where=f"input {port.name}")


class Dataset(Exclusive):
    """Samples 0..len-1, each one array an input of `graph` and optionally a label. One call at a time.

    Dataset(graph, "data.npz@limit=100")             a data argument (docs/data.md), options as keywords; tokenizer also a Tokenizer
    Dataset.from_arrays(graph, {"x": a}, labels=l)   samples on the first axis, as in an .npz file
    Dataset.from_sequence(graph, items)              anything with len() and [i]; items are samples, or (sample, label)
    Dataset.from_function(graph, n, fetch)           fetch(i) gives sample i, or (sample, label)
    Dataset.from_iterable(graph, generator)          read to its end at once and kept

    A sample is a dict of arrays by input name, or the array of a model of one input; a leading axis of 1 may be left out; another numeric type is cast
    if every value survives. What a function raises is raised from the call that asked for the sample."""

    def __init__(self, graph, argument, *, context=None, **fields):
        given = fields.get("tokenizer")
        raw = given._open() if isinstance(given, Tokenizer) else None
        if raw is not None:
            fields = {k: v for k, v in fields.items() if k != "tokenizer"}
        o = options(_ffi.mcomp_dataset_options, fields)
        o.tokenizer_handle = raw.pointer if raw is not None else None
        from os import PathLike, fspath
        argument = fspath(argument) if isinstance(argument, PathLike) else argument
        self._take(graph, context, "mcomp_dataset_open", (utf8(argument, "argument"), o))

    def _take(self, graph, context, create, arguments, keep=()):
        super().__init__()
        parent, model = (context or graph.context)._open(), graph._open()
        self._ports = graph.inputs
        self._raw = Raw(create, "mcomp_dataset_destroy", (parent.pointer, model.pointer, *arguments), parents=(parent,), keep=keep)
        return self

    @classmethod
    def from_function(cls, graph, n, fetch, *, context=None):
        """n samples; fetch(i) gives sample i, or (sample, label). It may be called for any i, more than once."""
        if not callable(fetch):
            raise errors.ArgumentError("must be callable", where="fetch")
        ports = graph.inputs

        def give(index, inputs):
            sample = fetch(index)
            label = -1
            if isinstance(sample, tuple) and len(sample) == 2 and isinstance(sample[0], (dict, np.ndarray)) and not isinstance(sample[1], np.ndarray):
                sample, label = sample
            for i, (port, a) in enumerate(zip(ports, fit(sample, ports, f"sample {index}"))):
                inputs[i] = copied(a, port.code, port.name)
            return -1 if label is None else integer(label, "label")

        return cls._from_give(graph, n, give, context)

    @classmethod
    def _from_give(cls, graph, n, give, context):
        def fetch(payload, index, n_inputs, inputs, label):
            try:
                label[0] = give(index, inputs)
                return 0
            except BaseException as e:
                keep_exception(e)
                return STATUS["DATA"][0]

        callback = _ffi.mcomp_fetch_fn(fetch)
        return cls.__new__(cls)._take(graph, context, "mcomp_dataset_create", (integer(n, "n"), callback, None), keep=(callback,))

    @classmethod
    def from_sequence(cls, graph, items, *, context=None):
        return cls.from_function(graph, len(items), items.__getitem__, context=context)

    @classmethod
    def from_iterable(cls, graph, iterable, *, context=None):
        return cls.from_sequence(graph, list(iterable), context=context)

    @classmethod
    def from_arrays(cls, graph, arrays, labels=None, *, context=None):
        """The arrays are used where they are (copied only if they are not contiguous or of another type): do not change them meanwhile."""
        ports, rows = graph.inputs, []
        for port, a in zip(ports, by_name(arrays, ports, "arrays")):
            a = surviving(a, port.code, f"input {port.name}")
            r = _rows(port, a)
            rows.append((port, a if r is None else r, r is not None))
        counts = {a.shape[0] for _, a, varies in rows if varies} or {1}
        n = max(counts)
        if counts - {n, 1}:
            raise errors.ShapeError("inputs have different numbers of samples: " + ", ".join(f"{p.name} {a.shape[0]}" for p, a, v in rows if v))
        if labels is not None:
            labels = np.asarray(labels)
            if labels.shape != (n,) or labels.dtype.kind not in "iu":
                raise errors.ShapeError(f"must be {n} whole numbers, not {labels.dtype} {labels.shape}", where="labels")
        parts = [(p.code, p.name, a, v and a.shape[0] == n, (a.ndim - v, dims(a.shape[1:] if v else a.shape))) for p, a, v in rows]

        def give(index, inputs):
            pointer = ctypes.c_void_p()
            for i, (code, name, a, varies, (rank, shape)) in enumerate(parts):
                row = a[index:index + 1] if varies else a  # slices: indexing would make scalars of numbers
                if code in PACKED:
                    inputs[i] = copied(row.reshape(tuple(shape[:rank])), code, name)
                    continue
                check(lib.mcomp_tensor_wrap(pointer, code, rank, shape, row.ctypes.data, row.nbytes, NO_RELEASE, None), "mcomp_tensor_wrap")
                inputs[i] = pointer.value
            return -1 if labels is None else int(labels[index])

        return cls._from_give(graph, n, give, context)

    def __len__(self):
        return quick.mcomp_dataset_count(self._open().pointer)

    def __getitem__(self, i):
        """Sample i as (dict of arrays, label or None)."""
        n, names = len(self), [p.name for p in self._ports]
        i = integer(i, "index")
        if not -n <= i < n:
            raise IndexError(f"sample {i} of {n}")
        with self._alone() as raw:
            inputs, label = (ctypes.c_void_p * (len(names) or 1))(), ctypes.c_int64(-1)
            check(lib.mcomp_dataset_get(raw.pointer, i % n, len(names), inputs, label), "mcomp_dataset_get")
            return {name: take(p) for name, p in zip(names, inputs)}, label.value if label.value >= 0 else None

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    @property
    def has_labels(self):
        """Samples carry labels (of functions known after the first sample)."""
        return bool(quick.mcomp_dataset_has_labels(self._open().pointer))

    def _texts(self, function):
        raw, out = self._open(), []
        while (t := function(raw.pointer, len(out))) is not None:
            out.append(text(t))
        return out

    @property
    def label_names(self):
        """Names of the classes, as far as they are known."""
        return self._texts(quick.mcomp_dataset_label_name)

    @property
    def tokenizer(self):
        """What texts go through here, as a Tokenizer of its own; None when there are none."""
        with self._alone() as raw:
            t = quick.mcomp_dataset_tokenizer(raw.pointer)
            return None if t is None else Tokenizer._share(t)

    @property
    def warnings(self):
        """What was odd about the data when it was opened."""
        return self._texts(quick.mcomp_dataset_warning)

    def expected(self, i, k=0):
        """Expected output k of sample i of an onnx-test folder."""
        out = ctypes.c_void_p()
        with self._alone() as raw:
            check(lib.mcomp_dataset_expected(raw.pointer, integer(i, "i"), integer(k, "k", 32), out), "mcomp_dataset_expected")
            return take(out)

"""Removing weights from a model."""
import contextlib
import ctypes
import typing

from . import _ffi, errors
from ._handle import Exclusive, Raw
from ._lib import check, lib, text
from ._records import options
from .dataset import Dataset
from .graph import Graph
from .trainer import TrainResult, _options, _result


class PruneResult(typing.NamedTuple):
    """What a pruning came to. `training` is None when nothing was trained; `before_metric` likewise."""
    sparsity: float
    params_before: int
    params_after: int
    macs_before: float
    macs_after: float
    equivalence_max_abs: float     #: units: largest difference of the cut model to the masked one
    equivalence_samples: int
    before_metric: typing.Optional[float]
    training: typing.Optional[TrainResult]


class PruneSite(typing.NamedTuple):
    """A layer, or a group of axes that shrink together."""
    node: str
    kind: str
    pieces: int
    kept: int
    elements: int
    sparsity: float


class Pruner(Exclusive):
    """Prunes a clone of `graph`. Keywords are the fields of mcomp_pruner_options: pattern, criterion, schedule, sparsity, macs, latency_ms, match, keep ...

        pruner = mcomp.Pruner(graph, pattern="channel", sparsity=0.5)
        result = pruner.run(train, valid, lr=1e-3, epochs=6)
        pruner.graph().save("small.onnx")

    One call at a time. docs/pruning.md has the patterns, criteria and schedules."""

    def __init__(self, graph, *, context=None, **fields):
        super().__init__()
        o = options(_ffi.mcomp_pruner_options, fields)
        parent, model = (context or graph.context)._open(), graph._open()
        self.context = context or graph.context
        self._raw = Raw("mcomp_pruner_create", "mcomp_pruner_destroy", (parent.pointer, model.pointer, o), parents=(parent,))

    def run(self, train=None, valid=None, *, progress=None, **training):
        """Prunes once. train: a Dataset to train on (None: nothing is trained); valid: chooses the best epoch; progress and keywords as those of
        Trainer. A target that cannot be reached raises TargetMissedError; graph() then is the nearest model."""
        for what, d in (("train", train), ("valid", valid)):
            if d is not None and not isinstance(d, Dataset):
                raise errors.ArgumentError(f"must be a Dataset, not {type(d).__name__}", where=what)
        o, callback = _options(progress, training)
        r, fit = _ffi.mcomp_prune_result(), _ffi.mcomp_train_result()
        r.size, fit.size = ctypes.sizeof(r), ctypes.sizeof(fit)
        with contextlib.ExitStack() as held:
            raw = held.enter_context(self._alone())
            t = held.enter_context(train._alone()).pointer if train is not None else None
            v = t if valid is train else held.enter_context(valid._alone()).pointer if valid is not None else None
            check(lib.mcomp_pruner_run(r, fit, raw.pointer, t, v, o), "mcomp_pruner_run")
        del callback  # it was held for the call
        return PruneResult(r.sparsity, r.params_before, r.params_after, r.macs_before, r.macs_after, r.equivalence_max_abs, r.equivalence_samples,
                           r.before_metric if r.trained else None, _result(fit) if r.trained else None)

    def graph(self):
        """The pruned model, after run."""
        with self._alone() as raw:
            return Graph._made(self.context, "mcomp_pruner_graph", (), raw.pointer)

    @property
    def sites(self):
        """What is pruned; after run with what is left."""
        with self._alone() as raw:
            n = ctypes.c_int64()
            check(lib.mcomp_pruner_site_count(raw.pointer, n), "mcomp_pruner_site_count")
            out = []
            for i in range(n.value):
                s = _ffi.mcomp_prune_site()
                s.size = ctypes.sizeof(s)
                check(lib.mcomp_pruner_site_get(raw.pointer, i, s), "mcomp_pruner_site_get")
                out.append(PruneSite(text(s.node), text(s.kind), s.pieces, s.kept, s.elements, s.sparsity))
            return out

"""Training a model, and models to train."""
import ctypes
import typing

import numpy as np

from . import _ffi, errors
from ._arrays import Tensor
from ._handle import Exclusive, Raw
from ._lib import call, check, fspath, keep_exception, lib, text, utf8
from ._records import options, read, record
from .context import context_of
from .dataset import Dataset, by_name
from .dtypes import dtype_code
from .graph import Graph

TrainerInfo = record(_ffi.mcomp_trainer_info, "TrainerInfo", "Sizes: trained elements, updates so far, bytes of variables and of the step's plan.")
TrainResult = record(_ffi.mcomp_train_result, "TrainResult", "What a training came to: the best epoch and its metric with the 95 % interval, speed, memory.",
                     flags=["stopped_early"])
_KINDS = {0: "step", 1: "validation", 2: "checkpoint", 3: "plan"}


class TrainEvent(typing.NamedTuple):
    """What a progress function sees."""
    kind: str             #: "plan" before the first step, "step", "validation", "checkpoint"
    epoch: int
    step: int
    total_steps: int
    loss: float           #: mean since the last event
    lr: float
    samples_per_second: float
    seconds_left: float
    metric: typing.Optional[float]      #: of a validation
    metric_name: typing.Optional[str]
    path: typing.Optional[str]          #: of a checkpoint
    peak_bytes: int


def _event(e):
    valid = e.kind == 1
    return TrainEvent(_KINDS.get(e.kind, str(e.kind)), e.epoch, e.step, e.total_steps, e.loss, e.lr, e.samples_per_second, e.seconds_left,
                      e.metric if valid else None, text(e.metric_name) if valid else None, text(e.path) if e.kind == 2 else None, e.peak_bytes)


def _options(progress, fields):
    """mcomp_trainer_options and the callback it holds (keep it as long)."""
    if "progress_payload" in fields:
        raise errors.ArgumentError("is of no use here: progress can be any callable", where="progress_payload")
    o = options(_ffi.mcomp_trainer_options, fields)

    def see(payload, event):
        try:
            return 1 if progress(_event(event[0])) else 0
        except BaseException as e:
            keep_exception(e)
            return 1

    callback = _ffi.mcomp_train_progress_fn(see) if progress else None
    if callback:
        o.progress = callback
    return o, callback


def _result(r):
    return TrainResult(*(bool(getattr(r, n)) if n in TrainResult._flags else getattr(r, n) for n in TrainResult._fields))


class Trainer(Exclusive):
    """Trains a clone of `graph`. Keywords are the fields of mcomp_trainer_options: loss, optimizer, lr, epochs, batch, freeze, checkpoint, resume ...
    progress(event) is called with TrainEvents; what it returns other than None or 0 (or an exception) ends the training after a checkpoint.

        trainer = mcomp.Trainer(graph, lr=1e-4, epochs=3)
        result = trainer.fit(train, valid)
        trainer.graph().save("trained.onnx")

    One call at a time. docs/training.md has the options and formulas."""

    def __init__(self, graph, *, progress=None, context=None, **fields):
        super().__init__()
        o, callback = _options(progress, fields)
        parent, model = (context or graph.context)._open(), graph._open()
        self.context, self._ports = context or graph.context, graph.inputs
        self._raw = Raw("mcomp_trainer_create", "mcomp_trainer_destroy", (parent.pointer, model.pointer, o), parents=(parent,), keep=(callback,))

    def step(self, inputs, target):
        """One batch: arrays by input name (or in the model's order) and the target. Returns its mean loss with the weights before the update."""
        loss = ctypes.c_float()
        tensors = [Tensor(np.asarray(a), p.code, p.name) for p, a in zip(self._ports, by_name(inputs, self._ports, "inputs"))]
        target = np.asarray(target)
        wanted = Tensor(target, dtype_code(target.dtype), "target")
        pointers = (ctypes.c_void_p * (len(tensors) or 1))(*(t.pointer for t in tensors))
        with self._alone() as raw:
            check(lib.mcomp_trainer_step(loss, raw.pointer, len(tensors), pointers, wanted.pointer), "mcomp_trainer_step")
        return loss.value

    def fit(self, train, valid=None):
        """Trains on a Dataset (or a data argument); valid chooses the best epoch (None: a tenth of train)."""
        for what, d in (("train", train), ("valid", valid)):
            if not isinstance(d, Dataset) and not (d is None and what == "valid"):
                raise errors.ArgumentError(f"must be a Dataset, not {type(d).__name__}", where=what)
        r = TrainResult._struct()
        r.size = ctypes.sizeof(r)
        with self._alone() as raw, train._alone() as t:
            if valid is None or valid is train:
                check(lib.mcomp_trainer_fit(r, raw.pointer, t.pointer, None), "mcomp_trainer_fit")
            else:
                with valid._alone() as v:
                    check(lib.mcomp_trainer_fit(r, raw.pointer, t.pointer, v.pointer), "mcomp_trainer_fit")
        return _result(r)

    def graph(self):
        """The model with the trained weights: those of the best epoch after fit, the current ones after step."""
        with self._alone() as raw:
            return Graph._made(self.context, "mcomp_trainer_graph", (), raw.pointer)

    def save(self, path):
        """A checkpoint: everything that the rest of the training depends on."""
        with self._alone() as raw:
            call("mcomp_trainer_save", raw.pointer, fspath(path))

    def load(self, path):
        """Goes back to a checkpoint that a trainer with the same model and options wrote."""
        with self._alone() as raw:
            call("mcomp_trainer_load", raw.pointer, fspath(path))

    @property
    def info(self):
        with self._alone() as raw:
            return read(TrainerInfo, "mcomp_trainer_info_get", raw.pointer)


def build(spec, *, image=None, context=None, **fields):
    """A fresh model from a short description, "encoder:layers=4,hidden=128": keywords seed, classes, vocab, length, features, pad, tokens, and
    image=(channels, height, width), for what the description leaves open. docs/training.md lists the kinds."""
    context = context_of(context)
    o = options(_ffi.mcomp_build_options, fields)
    if image is not None:
        o.image = (ctypes.c_int64 * 3)(*image)
    return Graph._made(context, "mcomp_graph_build", (utf8(spec, "spec"), o))

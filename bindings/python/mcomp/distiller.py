"""A small model learns from a large one."""
import ctypes

from . import _ffi, errors
from ._handle import Exclusive, Raw
from ._lib import check, lib, utf8
from ._records import options, read, record
from .dataset import Dataset
from .graph import Graph
from .tokenizer import Tokenizer
from .trainer import Trainer, TrainResult, _options, _result

DistillerInfo = record(_ffi.mcomp_distiller_info, "DistillerInfo", "Of the last teach: samples, how many the teacher computed, damaged entries and size of the cache.")


def _dataset(d, what):
    if not isinstance(d, Dataset):
        raise errors.ArgumentError(f"must be a Dataset, not {type(d).__name__}", where=what)
    return d


class Distiller(Exclusive):
    """Distils `teacher`. Keywords are the fields of mcomp_distiller_options: losses, temperature, alpha, cache, no_control ...

        distiller = mcomp.Distiller(teacher, temperature=4, alpha=0.3)
        distiller.teach(data_for_the_teacher)
        student, control = distiller.fit(small, data, valid, epochs=10)
        distiller.student().save("student.onnx")

    One call at a time. docs/distillation.md has the losses and formulas."""

    def __init__(self, teacher, *, context=None, **fields):
        super().__init__()
        o = options(_ffi.mcomp_distiller_options, fields)
        self.context = context or teacher.context
        parent, model = self.context._open(), teacher._open()
        self._raw = Raw("mcomp_distiller_create", "mcomp_distiller_destroy", (parent.pointer, model.pointer, o), parents=(parent,))

    def teach(self, data):
        """Runs the teacher over a Dataset opened for it, with the rows of the student's training data; only what the cache does not hold."""
        with self._alone() as raw, _dataset(data, "data")._alone() as rows:
            check(lib.mcomp_distiller_teach(raw.pointer, rows.pointer), "mcomp_distiller_teach")

    def cut(self, spec, data=None):
        """A student cut from the teacher, "teacher:layers=0+2+4,hidden=192,vocab=8000": (graph, tokenizer or None). data: texts for vocab."""
        graph, tokenizer = ctypes.c_void_p(), ctypes.c_void_p()
        with self._alone() as raw:
            if data is None:
                check(lib.mcomp_distiller_cut(graph, tokenizer, raw.pointer, utf8(spec, "spec"), None), "mcomp_distiller_cut")
            else:
                with _dataset(data, "data")._alone() as rows:
                    check(lib.mcomp_distiller_cut(graph, tokenizer, raw.pointer, utf8(spec, "spec"), rows.pointer), "mcomp_distiller_cut")
        try:
            out = Graph._made(self.context, "mcomp_graph_clone", (), graph)
            return out, Tokenizer._share(tokenizer) if tokenizer.value else None
        finally:
            lib.mcomp_graph_destroy(graph)
            lib.mcomp_tokenizer_destroy(tokenizer)

    def attach(self, trainer):
        """Adds the teacher's part to the loss of a Trainer that has not made a step; its fit then needs the samples of teach."""
        if not isinstance(trainer, Trainer):
            raise errors.ArgumentError(f"must be a Trainer, not {type(trainer).__name__}", where="trainer")
        with self._alone() as raw, trainer._alone() as t:
            check(lib.mcomp_distiller_attach(raw.pointer, t.pointer), "mcomp_distiller_attach")
            t.keep = (*t.keep, raw)  # the distiller outlives the trainer

    def fit(self, student, train, valid=None, *, progress=None, **fields):
        """Trains student and control from the same start: two TrainResults, the second None without a control. Keywords as for Trainer."""
        o, callback = _options(progress, fields)
        results = [TrainResult._struct(), TrainResult._struct()]
        for r in results:
            r.size = ctypes.sizeof(r)
        with self._alone() as raw, _dataset(train, "train")._alone() as t:
            if valid is None or valid is train:
                check(lib.mcomp_distiller_fit(*results, raw.pointer, student._open().pointer, o, t.pointer, None), "mcomp_distiller_fit")
            else:
                with _dataset(valid, "valid")._alone() as v:
                    check(lib.mcomp_distiller_fit(*results, raw.pointer, student._open().pointer, o, t.pointer, v.pointer), "mcomp_distiller_fit")
        del callback
        return _result(results[0]), _result(results[1]) if results[1].steps else None

    def student(self):
        """The best model of the last fit."""
        with self._alone() as raw:
            return Graph._made(self.context, "mcomp_distiller_graph", (0,), raw.pointer)

    def control(self):
        """The best control of the last fit."""
        with self._alone() as raw:
            return Graph._made(self.context, "mcomp_distiller_graph", (1,), raw.pointer)

    @property
    def info(self):
        with self._alone() as raw:
            return read(DistillerInfo, "mcomp_distiller_info_get", raw.pointer)

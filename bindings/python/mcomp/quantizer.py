"""Graph in, quantized graph out."""
import contextlib
import ctypes
import typing

from . import _ffi, errors
from ._handle import Exclusive, Raw
from ._lib import call, check, lib, quick, text, utf8
from ._records import options, read, record
from .calibrator import Calibrator, held
from .context import context_of
from .dataset import Dataset
from .graph import Graph
from .trainer import TrainResult, _options, _result

QuantizedNode = record(_ffi.mcomp_quantized_node, "QuantizedNode",
                       "What was done to a node: quantized or not and why, its scheme, its measured relative error (negative: not measured).", flags=["quantized"])
QDQ = {"ort": _ffi.MCOMP_QDQ_ORT, "tensorrt": _ffi.MCOMP_QDQ_TENSORRT, "openvino": _ffi.MCOMP_QDQ_OPENVINO}
MODES = {"qat": _ffi.MCOMP_QAT_ALWAYS, "ptq_then_qat": _ffi.MCOMP_QAT_IF_BETTER}
SCALES = {"learned": _ffi.MCOMP_QAT_SCALES_LEARNED, "fixed": _ffi.MCOMP_QAT_SCALES_FIXED}
ZEROS = {"auto": _ffi.MCOMP_QAT_ZEROS_AUTO, "keep": _ffi.MCOMP_QAT_ZEROS_KEEP, "free": _ffi.MCOMP_QAT_ZEROS_FREE}


class QatResult(typing.NamedTuple):
    """What a quantization-aware training came to. Metrics are on the samples that the training validates on; `float_metric` is None where the
    model was quantized already, `training` where nothing was trained."""
    graph: Graph
    kept_calibrated: bool          #: ptq_then_qat: the calibrated model was no worse, and is the graph
    weights: int                   #: quantized weights that were trained
    learned_scales: int
    masked: int                    #: weight elements held at zero
    float_metric: typing.Optional[float]
    calibrated_metric: float
    training: typing.Optional[TrainResult]


class Quantizer(Exclusive):
    """Keywords are the fields of mcomp_quantizer_options: scheme ("auto", "int8", "int8-dynamic", ...), range (a rule), percentile, max_error,
    qdq ("ort", "tensorrt", "openvino"). One call at a time."""

    def __init__(self, *, context=None, **fields):
        super().__init__()
        o = options(_ffi.mcomp_quantizer_options, fields, {"qdq": QDQ})
        parent = context_of(context)._open()
        self._raw = Raw("mcomp_quantizer_create", "mcomp_quantizer_destroy", (parent.pointer, o), parents=(parent,))

    def set_rule(self, pattern, key, value):
        """For nodes whose name or operator matches the pattern: key "precision" ("float", "int8", "int8-dynamic") or "range" (a rule). Later rules win."""
        with self._alone() as raw:
            call("mcomp_quantizer_set_rule", raw.pointer, utf8(pattern, "pattern"), utf8(key, "key"), utf8(value, "value"))

    def keep_float(self, *patterns):
        """Nodes that stay as they are."""
        for p in patterns:
            self.set_rule(p, "precision", "float")

    def apply(self, graph, calibrator=None, samples=None):
        """The quantized graph. calibrator: needed by static schemes. samples: a Dataset that "auto" measures its candidates on."""
        for what, value, cls in (("graph", graph, Graph), ("calibrator", calibrator, Calibrator), ("samples", samples, Dataset)):
            if not isinstance(value, cls) and not (value is None and what != "graph"):
                raise errors.ArgumentError(f"must be a {cls.__name__}, not {type(value).__name__}", where=what)
        model = graph._open()
        with self._alone() as raw, held(calibrator) as c, held(samples) as d:
            return Graph._made(graph.context, "mcomp_quantizer_apply", (model.pointer, c, d), raw.pointer)

    def train(self, graph, train, valid=None, *, calibrator=None, mode="qat", scales="learned", zeros="auto", scale_rate=0.0, progress=None, **training):
        """Quantization-aware training of a static INT8 model: a float graph with a calibrator, or a graph that is quantized already. mode
        "ptq_then_qat" measures the calibrated model first and keeps it if training gains nothing. progress and keywords as those of
        Trainer. Returns a QatResult; its graph is the quantized model."""
        for what, value, cls in (("graph", graph, Graph), ("train", train, Dataset), ("valid", valid, Dataset), ("calibrator", calibrator, Calibrator)):
            if not isinstance(value, cls) and not (value is None and what in ("valid", "calibrator")):
                raise errors.ArgumentError(f"must be a {cls.__name__}, not {type(value).__name__}", where=what)
        how = options(_ffi.mcomp_qat_options, {"mode": mode, "scales": scales, "zeros": zeros, "scale_rate": scale_rate}, {"mode": MODES, "scales": SCALES, "zeros": ZEROS})
        o, callback = _options(progress, training)
        r, fit = _ffi.mcomp_qat_result(), _ffi.mcomp_train_result()
        r.size, fit.size = ctypes.sizeof(r), ctypes.sizeof(fit)
        model = graph._open()
        with contextlib.ExitStack() as stack:
            raw = stack.enter_context(self._alone())
            c = stack.enter_context(held(calibrator))
            t = stack.enter_context(train._alone()).pointer
            v = t if valid is train else stack.enter_context(valid._alone()).pointer if valid is not None else None
            made = Graph._made(graph.context, "mcomp_quantizer_train", (fit, raw.pointer, model.pointer, c, t, v, o, how), r)
        del callback  # it was held for the call
        return QatResult(made, bool(r.kept_calibrated), r.weights, r.learned_scales, r.masked, r.float_metric if r.has_float else None, r.calibrated_metric,
                         _result(fit) if r.trained else None)

    @property
    def scheme(self):
        """The scheme that the last apply chose; None before."""
        with self._alone() as raw:
            return text(quick.mcomp_quantizer_scheme(raw.pointer))

    @property
    def nodes(self):
        """What the last apply did, node by node, as a list of QuantizedNode."""
        n = ctypes.c_int32()
        with self._alone() as raw:
            check(lib.mcomp_quantizer_node_count(raw.pointer, n), "mcomp_quantizer_node_count")
            return [read(QuantizedNode, "mcomp_quantizer_node", raw.pointer, i) for i in range(n.value)]


def quantize(model, calib=None, *, samples=None, context=None, **fields):
    """In one call: a Graph or the path of one, calibration data (a Calibrator, a Dataset, an iterable of samples, a data argument; None: dynamic
    schemes), and the Quantizer's keywords. Returns the quantized Graph."""
    graph = model if isinstance(model, Graph) else Graph.load(model, context=context)
    if calib is not None and not isinstance(calib, Calibrator):
        data = Dataset(graph, calib) if isinstance(calib, str) or hasattr(calib, "__fspath__") else calib
        calib = Calibrator(graph)
        calib.feed(data)
        samples = samples or (data if isinstance(data, Dataset) else None)
    return Quantizer(context=graph.context, **fields).apply(graph, calib, samples)

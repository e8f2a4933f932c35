"""mcomp: compress neural networks with libmcomp, from Python.

    import mcomp
    graph = mcomp.Graph.load("model.onnx")
    calibrator = mcomp.Calibrator(graph)
    calibrator.feed(samples)                                  # dicts of numpy arrays
    mcomp.Quantizer(scheme="int8").apply(graph, calibrator).save("model.int8.onnx")
    outputs = mcomp.Session("model.int8.onnx").run({"x": array})

docs/python.md tells of ownership, threads and errors; the C headers in include/mcomp/ of every function."""
from . import _lib, errors
from ._lib import version
from .calibrator import CalibrationInfo, Calibrator
from .context import BackendInfo, Context, MachineInfo, default_context, machine_info
from .dataset import Dataset
from .distiller import Distiller, DistillerInfo
from .dtypes import bfloat16, from_bfloat16, to_bfloat16
from .errors import *  # noqa: F401,F403
from .errors import Error
from .graph import Graph, GraphInfo, NodeInfo, Port, Unsupported
from .pruner import PruneResult, PruneSite, Pruner
from .quantizer import QatResult, QuantizedNode, Quantizer, quantize
from .recipe import Recipe, RecipeFault
from .report import Report, cost
from .session import BenchResult, Bound, Exec, KernelInfo, PlanInfo, Session
from .tokenizer import Tokenizer
from .trainer import TrainEvent, TrainResult, Trainer, TrainerInfo, build

__version__ = _lib._ffi.MCOMP_VERSION_STRING
#: the shared library that was loaded
library_path = _lib.path

__all__ = sorted([n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, Error)] + [
    "BackendInfo", "BenchResult", "Bound", "CalibrationInfo", "Calibrator", "Context", "Dataset", "Distiller", "DistillerInfo", "Exec", "Graph", "GraphInfo", "KernelInfo",
    "MachineInfo", "NodeInfo", "PlanInfo", "Port", "PruneResult", "PruneSite", "Pruner", "QatResult", "QuantizedNode", "Quantizer", "Recipe", "RecipeFault", "Report", "Session", "Tokenizer", "TrainEvent", "TrainResult",
    "Trainer", "TrainerInfo", "Unsupported", "bfloat16", "build", "cost", "default_context",
    "from_bfloat16", "library_path", "machine_info", "quantize", "to_bfloat16", "version"])

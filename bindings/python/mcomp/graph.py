"""Models: load, save, look at, build."""
import ctypes
import typing

import numpy as np

from . import _ffi, errors
from ._arrays import Tensor, dims
from ._handle import Handle, Raw
from ._lib import call, check, fspath, integer, keep_exception, lib, text, utf8
from ._records import options, read, record
from .context import context_of
from .dtypes import NAME, dtype_code, numpy_dtype

GraphInfo = record(_ffi.mcomp_graph_info, "GraphInfo", "Counts and sizes of a model.")
NodeInfo = record(_ffi.mcomp_node_info, "NodeInfo", "A node of the main graph; `supported` means it can be run.", flags=["supported"])
_PortInfo = record(_ffi.mcomp_port_info, "_PortInfo", "")
_DATA = {"auto": _ffi.MCOMP_DATA_AUTO, "inside": _ffi.MCOMP_DATA_INSIDE, "beside": _ffi.MCOMP_DATA_BESIDE}
_VISIT = _ffi.FUNCTIONS["mcomp_graph_unsupported"][1][1]


class Port(typing.NamedTuple):
    """An input or output of a model."""
    name: str
    dtype: str        #: "float32"
    shape: tuple      #: an int, the name of a free axis, or None a free axis without a name; the whole is None when the rank is unknown
    code: int         #: the element type as a code of include/mcomp/types.h

    @property
    def numpy_dtype(self):
        return numpy_dtype(self.code)


class Unsupported(typing.NamedTuple):
    """An operator that cannot be run."""
    node: str
    op: str
    why: str


class Graph(Handle):
    """A model. Many threads may read one; edits need it for themselves alone.

    Made by Graph.load(path), Graph.loads(data), Graph(name) and then the add_ functions, or by Quantizer.apply. A context is
    optional everywhere: the default one is used."""

    def __init__(self, name="graph", *, opset=0, context=None):
        """An empty graph to build (opset 0: the newest): add_input, add_constant, add_node, add_output, then finish."""
        context = context_of(context)
        self._take(context, "mcomp_graph_create", (utf8(name, "name"), integer(opset, "opset", 32)))

    def _take(self, context, create, arguments, before=None):
        parent = context._open()
        self.context = context
        self._names = 0
        self._raw = Raw(create, "mcomp_graph_destroy", (parent.pointer if before is None else before, *arguments), parents=(parent,))
        return self

    @classmethod
    def _made(cls, context, create, arguments, before=None):
        return cls.__new__(cls)._take(context, create, arguments, before)

    @classmethod
    def load(cls, path, *, context=None):
        """Loads an ONNX file. Its weights stay mapped: the file must not change while the graph lives."""
        return cls._made(context_of(context), "mcomp_graph_load", (fspath(path),))

    @classmethod
    def loads(cls, data, *, context=None):
        """From bytes (or any buffer)."""
        memory = np.frombuffer(data, np.uint8)
        return cls._made(context_of(context), "mcomp_graph_load_memory", (memory.ctypes.data, memory.nbytes))

    def save(self, path, **fields):
        """Writes ONNX: overwrite=True replaces a file, data="auto"|"inside"|"beside" (weights), opset (0: the lowest that it needs)."""
        o = options(_ffi.mcomp_save_options, fields, {"data": _DATA})
        call("mcomp_graph_save", self._open().pointer, fspath(path), o)

    def clone(self):
        """Another graph; weights are shared until one of them changes."""
        raw = self._open()
        return self._made(self.context, "mcomp_graph_clone", (), raw.pointer)

    # ---- looking at it ----
    @property
    def info(self):
        """Counts and sizes as GraphInfo: parameters, macs, file_bytes, opset ..."""
        return read(GraphInfo, "mcomp_graph_info_get", self._open().pointer)

    def _ports(self, function, n):
        raw, out = self._open(), []
        for i in range(n):
            p = read(_PortInfo, function, raw.pointer, i)
            shape = None if p.rank < 0 else tuple(text(p.symbols[k]) or None if p.dims[k] < 0 else p.dims[k] for k in range(p.rank))
            out.append(Port(p.name, NAME.get(p.dtype, "undefined"), shape, p.dtype))
        return out

    @property
    def inputs(self):
        """List of Port."""
        return self._ports("mcomp_graph_input", self.info.n_inputs)

    @property
    def outputs(self):
        """List of Port."""
        return self._ports("mcomp_graph_output", self.info.n_outputs)

    @property
    def nodes(self):
        """Nodes of the main graph in execution order, as a list of NodeInfo."""
        raw = self._open()
        return [read(NodeInfo, "mcomp_graph_node", raw.pointer, i) for i in range(self.info.n_nodes)]

    @property
    def ops(self):
        """How often each operator occurs: {"MatMul": 12, "mcomp.QLinear": 1}."""
        out = {}
        for n in self.nodes:
            name = f"{n.domain}.{n.op}" if n.domain else n.op
            out[name] = out.get(name, 0) + 1
        return out

    @property
    def unsupported(self):
        """Operators that cannot be run, subgraphs included, as a list of Unsupported."""
        out = []

        def visit(payload, node, op, why):
            try:
                out.append(Unsupported(text(node), text(op), text(why)))
            except BaseException as e:
                keep_exception(e)

        call("mcomp_graph_unsupported", self._open().pointer, _VISIT(visit), None)
        return out

    def _pairs(self, function, value):
        raw, key, out = self._open(), ctypes.c_char_p(), {}
        while getattr(lib, function)(raw.pointer, len(out), key, value) == 0:
            out[text(key.value)] = text(value.value) if isinstance(value, ctypes.c_char_p) else value.value
        return out

    @property
    def metadata(self):
        """A copy of the metadata properties as a dict; set_metadata writes."""
        return self._pairs("mcomp_graph_meta_at", ctypes.c_char_p())

    def set_metadata(self, key, value):
        call("mcomp_graph_set_meta", self._open().pointer, utf8(key, "key"), utf8(value, "value"))

    @property
    def opsets(self):
        """Operator set versions by domain; "" is ONNX's own."""
        return self._pairs("mcomp_graph_opset_at", ctypes.c_int64())

    # ---- editing ----
    def expose(self, value):
        """Makes an inner value an output too."""
        call("mcomp_graph_expose", self._open().pointer, utf8(value, "value"))

    def fix_input(self, name, value):
        """Fixes an input to a constant and folds what follows from it."""
        port = next((p for p in self.inputs if p.name == name), None)
        if port is None:
            raise errors.ArgumentError("there is no input of this name", where=str(name), hint="inputs: " + ", ".join(p.name for p in self.inputs))
        t = Tensor(value, port.code, name)
        call("mcomp_graph_fix_input", self._open().pointer, utf8(name, "name"), t.pointer)

    # ---- building ----
    def add_input(self, name, dtype, shape):
        """shape: ints, names of free axes, or None for a free axis without a name. Returns the name."""
        shape = tuple(shape)
        if len(shape) > _ffi.MCOMP_MAX_RANK:
            raise errors.LimitError(f"has {len(shape)} axes; {_ffi.MCOMP_MAX_RANK} are the most", where=str(name))
        sizes = [-1 if d is None or isinstance(d, str) else integer(d, "shape") for d in shape]
        symbols = (ctypes.c_char_p * _ffi.MCOMP_MAX_RANK)(*(utf8(d, "shape") if isinstance(d, str) else None for d in shape))
        call("mcomp_graph_add_input", self._open().pointer, utf8(name, "name"), dtype_code(dtype), len(shape), dims(sizes), symbols)
        return name

    def add_constant(self, name, value, dtype=None):
        """value is copied. dtype: where numpy has none for it ("int4")."""
        value = value if isinstance(value, np.ndarray) or dtype is not None else np.asarray(value)
        code = dtype_code(value.dtype if dtype is None else dtype)
        t = Tensor(value, code, name)
        call("mcomp_graph_add_constant", self._open().pointer, utf8(name, "name"), t.pointer)
        return name

    def add_node(self, op, inputs, outputs, name=None, attributes=None, **more):
        """An ONNX operator: inputs and outputs by value name ("" or None omits an optional one), attributes by keyword (int, float, str, list of
        int). Returns the first output's name."""
        raw = self._open()
        inputs, outputs = [inputs] if isinstance(inputs, str) else list(inputs), [outputs] if isinstance(outputs, str) else list(outputs)
        if name is None:
            self._names += 1
            name = f"{op}_{self._names}"
        array = lambda names, what: (ctypes.c_char_p * (len(names) or 1))(*(utf8(n or "", what) for n in names))
        call("mcomp_graph_add_node", raw.pointer, utf8(op, "op"), utf8(name, "name"), len(inputs), array(inputs, "inputs"), len(outputs), array(outputs, "outputs"))
        for key, value in {**(attributes or {}), **more}.items():
            self._set_attribute(raw, name, key, value)
        return outputs[0] if outputs else None

    @staticmethod
    def _set_attribute(raw, node, key, value):
        at = (raw.pointer, utf8(node, "name"), utf8(key, "attribute"))
        if isinstance(value, (bool, np.bool_, int, np.integer)):
            call("mcomp_graph_set_int", *at, integer(int(value), key))
        elif isinstance(value, (float, np.floating)):
            call("mcomp_graph_set_float", *at, float(value))
        elif isinstance(value, str):
            call("mcomp_graph_set_string", *at, utf8(value, key))
        elif isinstance(value, (list, tuple, np.ndarray)) and all(isinstance(v, (int, np.integer)) for v in value):
            values = (ctypes.c_int64 * (len(value) or 1))(*(integer(v, key) for v in value))
            call("mcomp_graph_set_ints", *at, values, len(value))
        else:
            raise errors.UnsupportedError(f"attributes are int, float, str or a list of int, not {value!r}", where=f"{node}.{key}")

    def add_output(self, value):
        call("mcomp_graph_add_output", self._open().pointer, utf8(value, "value"))

    def finish(self):
        """Checks and infers shapes; to be called once, after building. Returns the graph."""
        call("mcomp_graph_finish", self._open().pointer)
        return self

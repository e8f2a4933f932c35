"""Running models. The hot path is Exec.run: it is written for few and cheap steps, since a small model takes microseconds."""
import ctypes
import threading
import time
import typing

import numpy as np

from . import _ffi, errors
from ._arrays import NO_RELEASE, dims, native, take, view
from ._handle import Exclusive, Handle, Raw, busy
from ._lib import check, integer, lib, quick, text
from ._records import options, read, record
from .dataset import by_name
from .dtypes import FROM_CODE, PACKED
from .graph import Graph

KernelInfo = record(_ffi.mcomp_kernel_info, "KernelInfo", "One step of a plan: node, backend and kernel, why, estimate, and measured time with profile=True.",
                    flags=["integer"])
PlanInfo = record(_ffi.mcomp_plan_info, "PlanInfo", "The plan of the last run: steps, memory, work done in integers.")

_run = lib.mcomp_exec_run
_wrap, _destroy = quick.mcomp_tensor_wrap, quick.mcomp_tensor_destroy
_data, _dtype, _rank, _dims = quick.mcomp_tensor_data, quick.mcomp_tensor_dtype, quick.mcomp_tensor_rank, quick.mcomp_tensor_dims


class BenchResult(typing.NamedTuple):
    """Times of one run, measured around the C call."""
    runs: int
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    per_second: float


class Session(Handle):
    """A graph made ready to run: immutable, shared by threads. The graph may be closed or changed afterwards.

        with mcomp.Session("model.onnx") as session:
            outputs = session.run({"x": array})

    Keywords are the fields of mcomp_session_options: threads (0: the context's pool), backend, profile, max_plans, no_fusion, precision ("f32", "bf16")."""

    def __init__(self, graph, *, context=None, **fields):
        if not isinstance(graph, Graph):
            graph = Graph.load(graph, context=context)
        o = options(_ffi.mcomp_session_options, fields)
        parent, model = (context or graph.context)._open(), graph._open()
        self._ports = graph.inputs
        self._raw = raw = Raw("mcomp_session_create", "mcomp_session_destroy", (parent.pointer, model.pointer, o), parents=(parent,))
        self._own = threading.local()
        names = lambda n, name: [text(name(raw.pointer, i)) for i in range(n(raw.pointer))]
        self.input_names = names(quick.mcomp_session_n_inputs, quick.mcomp_session_input_name)
        self.output_names = names(quick.mcomp_session_n_outputs, quick.mcomp_session_output_name)

    def exec(self):
        """Working memory for one caller: one Exec a thread."""
        return Exec(self)

    def run(self, inputs):
        """Exec.run on an Exec that the session keeps for the calling thread."""
        e = getattr(self._own, "exec", None)
        if e is None:
            e = self._own.exec = Exec(self)
        self._open()
        return e.run(inputs)

    @property
    def plans(self):
        """Plans compiled so far, by shape."""
        return quick.mcomp_session_plans(self._open().pointer)

    def close(self):
        super().close()
        self._own = threading.local()


class _Input:
    """Slot of one input. Its C tensor is made again only when the memory or the shape is another than in the last run. The pointer in
    it is never followed unless the array of this very run has just confirmed it."""

    __slots__ = ("port", "dtype", "name", "address", "shape", "raw", "__weakref__")

    def __init__(self, port):
        self.port, self.name = port, port.name
        self.dtype = FROM_CODE.get(port.code)
        self.address = self.shape = self.raw = None

    def lend(self, a, pointers, i):
        """Puts the array's tensor into pointers[i]; returns the array that must live until the call is over."""
        if type(a) is not np.ndarray or a.dtype is not self.dtype or not a.flags.c_contiguous:
            a = native(a, self.port.code, self.name)
            if self.port.code in PACKED:
                raise errors.UnsupportedError("4- and 2-bit inputs are not run from Python", where=self.name)
        address = a.ctypes.data
        if address != self.address or a.shape != self.shape:
            if a.ndim > _ffi.MCOMP_MAX_RANK:
                raise errors.LimitError(f"has {a.ndim} axes; {_ffi.MCOMP_MAX_RANK} are the most", where=self.name)
            self.address = None
            self.raw = None
            self.raw = Raw("mcomp_tensor_wrap", "mcomp_tensor_destroy", (self.port.code, a.ndim, dims(a.shape), address, a.nbytes, NO_RELEASE, None))
            pointers[i] = self.raw.pointer.value
            self.address, self.shape = address, a.shape
        return a


class _Output:
    """Slot of one output: a view on the library's memory, kept while address, type and shape stay. Only copies of it leave."""

    __slots__ = ("address", "code", "shape", "view")

    def __init__(self):
        self.address = self.code = self.shape = self.view = None

    def look(self, pointer):
        """The view, or None where there is none (no elements, strings, packed integers)."""
        address, code, rank = _data(pointer), _dtype(pointer), _rank(pointer)
        shape = _dims(pointer)[:rank]
        if address != self.address or shape != self.shape or code != self.code:
            self.view = None
            dtype = FROM_CODE.get(code)
            nbytes = quick.mcomp_tensor_bytes(pointer)
            if dtype is not None and nbytes:
                self.view = view(address, nbytes).view(dtype).reshape(shape)
            self.address, self.code, self.shape = address, code, shape
        return self.view

    def take(self, pointer):
        v = self.look(pointer)
        return take(pointer) if v is None else v.copy()


class Exec(Exclusive):
    """One caller's working memory. One thread at a time: make one Exec a thread.

    run(inputs) takes a dict of arrays by input name (or a sequence in the model's order, or the array of a model of one input) and gives a
    dict of new arrays. A C-contiguous array of the model's type is read where it is; another layout is copied first; another type is
    a DtypeError. Outputs are copies (one memcpy each): yours to keep. bind() prepares a run for the same arrays again and again."""

    def __init__(self, session):
        super().__init__()
        parent = session._open()
        self.session = session
        self._raw = Raw("mcomp_exec_create", "mcomp_exec_destroy", (parent.pointer,), parents=(parent,))
        self._ports = session._ports
        self._inputs = [_Input(p) for p in self._ports]
        self._slots = [(i, s.name, s) for i, s in enumerate(self._inputs)]
        self._outputs = [_Output() for _ in session.output_names]
        self._named = list(zip(range(len(self._outputs)), session.output_names, self._outputs))
        self._in = (ctypes.c_void_p * (len(self._inputs) or 1))()
        self._out = (ctypes.c_void_p * (len(self._outputs) or 1))()

    def _lend(self, inputs, pointers, slots):
        """Fills pointers; returns the arrays to keep until the call is over."""
        if type(inputs) is not dict or len(inputs) != len(slots):
            inputs = dict(zip((s.name for s in self._inputs), by_name(inputs, self._ports, "inputs")))
        try:
            return [slot.lend(inputs[name], pointers, i) for i, name, slot in slots]
        except KeyError:
            by_name(inputs, self._ports, "inputs")  # says which
            raise

    def run(self, inputs):
        """Runs once: {name: array} in, {name: array} out."""
        raw = self._raw
        if raw is None:
            self._open()
        if not self._lock.acquire(False):
            raise busy(self)
        try:
            keep = self._lend(inputs, self._in, self._slots)
            out = self._out
            status = _run(raw.pointer, len(self._slots), self._in, len(self._named), out)
            del keep
            if status:
                check(status, "mcomp_exec_run")
            return {name: slot.take(out[i]) for i, name, slot in self._named}
        finally:
            self._lock.release()

    def bind(self, inputs):
        """A run on these very arrays: write new values into them, then call .run()."""
        return Bound(self, inputs)

    def bench(self, inputs, seconds=1.0, *, runs=None, warmup=None):
        """Times the run: after `warmup` runs (a tenth of `seconds`), `runs` runs or as many as fit into `seconds`. Returns BenchResult."""
        call = self.bind(inputs)._call
        clock, times = time.perf_counter_ns, []
        end = clock() + int(seconds * 1e8)
        done = 0
        while done < (1 if warmup is None else warmup) or (warmup is None and clock() < end):
            call()
            done += 1
        end = clock() + int(seconds * 1e9)
        while len(times) < (1 if runs is None else runs) or (runs is None and clock() < end):
            times.append(call())
        t = np.sort(np.asarray(times)) / 1e6
        p50, p90, p99 = (float(v) for v in np.percentile(t, [50, 90, 99]))
        return BenchResult(len(times), float(t.mean()), p50, p90, p99, 1000.0 / float(t.mean()))

    def explain(self):
        """Every step of the plan of the last run as a list of KernelInfo; times are there when the session was made with profile=True."""
        with self._alone() as raw:
            n = ctypes.c_int32()
            check(lib.mcomp_exec_kernel_count(raw.pointer, n), "mcomp_exec_kernel_count")
            return [read(KernelInfo, "mcomp_exec_kernel", raw.pointer, i) for i in range(n.value)]

    @property
    def plan(self):
        """The plan of the last run as PlanInfo."""
        with self._alone() as raw:
            return read(PlanInfo, "mcomp_exec_plan_info", raw.pointer)


class Bound:
    """Made by Exec.bind. `inputs` are the arrays that are read (the caller's own where their layout allowed, else a copy: write there); run() returns
    `outputs`, the same dict with the same arrays each time as long as shapes stay, with new values in them."""

    def __init__(self, exec, inputs):
        self._exec = exec
        slots = [(i, p.name, _Input(p)) for i, p in enumerate(exec._ports)]
        self._in = (ctypes.c_void_p * (len(slots) or 1))()
        exec._open()
        self._keep = exec._lend(inputs, self._in, slots)  # the arrays; being referenced, numpy will not move them
        self._tensors = [s.raw for _, _, s in slots]
        self.inputs = {name: a for (_, name, _), a in zip(slots, self._keep)}
        self._n = (len(slots), len(exec._named))
        self.outputs = {}

    def run(self):
        """Runs on what the bound arrays hold now."""
        e = self._exec
        raw = e._raw
        if raw is None:
            e._open()
        if not e._lock.acquire(False):
            raise busy(e)
        try:
            n_in, n_out = self._n
            status = _run(raw.pointer, n_in, self._in, n_out, e._out)
            if status:
                check(status, "mcomp_exec_run")
            outputs, pointers = self.outputs, e._out
            for i, name, slot in e._named:
                v, a = slot.look(pointers[i]), outputs.get(name)
                if v is None or a is None or a.shape != v.shape or a.dtype is not v.dtype:
                    outputs[name] = slot.take(pointers[i])
                else:
                    a[...] = v
            return outputs
        finally:
            e._lock.release()

    def _call(self):
        """Nanoseconds of one C call; outputs stay where they are."""
        e = self._exec
        with e._alone() as raw:
            start = time.perf_counter_ns()
            status = _run(raw.pointer, self._n[0], self._in, self._n[1], e._out)
            took = time.perf_counter_ns() - start
        if status:
            check(status, "mcomp_exec_run")
        return took

"""The context: threads, limits, backends, callbacks."""
import ctypes
import threading

from . import _ffi, errors
from ._handle import Handle, Raw
from ._lib import HERE, call, fspath, integer, keep_exception, lib, quick, text
from ._records import options, read, record

_FIELDS = dict(_ffi.mcomp_context_options._fields_)
_allocators = []  # the process-wide allocator hook: kept for ever

BackendInfo = record(_ffi.mcomp_backend_info, "BackendInfo", "A backend the context found; `why` says why it is not usable.", flags=["usable"])
MachineInfo = record(_ffi.mcomp_machine_info, "MachineInfo", "This machine: CPUs of the mask, instruction set tier in effect, memory.", flags=["bf16", "amx"])


def machine_info():
    """What the library knows of this machine, as MachineInfo."""
    return read(MachineInfo, "mcomp_machine_info_get")


def _progress_callback(function):
    def progress(payload, stage, fraction):
        try:
            return 1 if function(text(stage), fraction if fraction >= 0 else None) else 0
        except BaseException as e:
            keep_exception(e)
            return 1
    return _FIELDS["progress"](progress)


def _log_callback(function):
    def log(payload, level, line):
        try:
            function(level, text(line))
        except BaseException as e:
            keep_exception(e)
    return _FIELDS["log"](log)


class Context(Handle):
    """Everything else is made from a context. All threads may use one.

    Keywords are the fields of mcomp_context_options: threads, backend ("auto", "cpu", "onednn"), backend_dir, cache_dir, and the limits
    on untrusted input max_model_bytes, max_fold_bytes, max_tensor_bytes, max_nodes. Then:

    log(level, text)             level 0 error .. 3 debug
    progress(stage, fraction)    fraction 0..1 or None; a true result cancels the call, which raises CancelledError
    alloc, release, alloc_payload   allocator hook for the whole process: ctypes function pointers of C functions

    An exception raised in log or progress ends the call (log: when it returns) and is raised from it. They run in the thread
    that made the call.
    """

    def __init__(self, *, log=None, progress=None, alloc=None, release=None, **fields):
        keep = []
        bundled = HERE / "backends-1"
        if fields.get("backend_dir") is None and bundled.is_dir():
            fields["backend_dir"] = bundled
        for name in ("log", "progress"):
            if name + "_payload" in fields:
                raise errors.ArgumentError("callbacks are Python functions: bind what they need", where=name + "_payload")
        o = options(_ffi.mcomp_context_options, fields)
        if log is not None:
            keep.append(_log_callback(_callable(log, "log")))
            o.log = keep[-1]
        if progress is not None:
            keep.append(_progress_callback(_callable(progress, "progress")))
            o.progress = keep[-1]
        for name, function in (("alloc", alloc), ("release", release)):
            if function is not None:
                if not isinstance(function, ctypes._CFuncPtr):
                    raise errors.ArgumentError("must be a ctypes function pointer", where=name)
                setattr(o, name, ctypes.cast(function, _FIELDS[name]))
                _allocators.append(function)
        self._raw = Raw("mcomp_context_create", "mcomp_context_destroy", (o,), keep=keep)

    @property
    def threads(self):
        """Workers of the pool, the caller included."""
        return quick.mcomp_context_threads(self._open().pointer)

    def cancel(self):
        """Asks every long call of this context to raise CancelledError soon. Safe from any thread and from a signal handler."""
        quick.mcomp_context_cancel(self._open().pointer)

    def cancel_clear(self):
        """Calls may go on again."""
        quick.mcomp_context_cancel_clear(self._open().pointer)

    def load_backend(self, path):
        """Loads a plugin by absolute path. PathError, NoBackendError (refused, with the reason)."""
        call("mcomp_backend_load", self._open().pointer, fspath(path))

    @property
    def backends(self):
        """Backends found, usable or refused, as a list of BackendInfo."""
        raw, n = self._open(), ctypes.c_int32()
        call("mcomp_backend_count", raw.pointer, n)
        return [read(BackendInfo, "mcomp_backend_info_get", raw.pointer, i) for i in range(n.value)]


def _callable(function, what):
    if not callable(function):
        raise errors.ArgumentError("must be callable", where=what)
    return function


_default = None
_default_lock = threading.Lock()


def default_context():
    """The context that is used where none is given. Made on first use; all defaults."""
    global _default
    with _default_lock:
        if _default is None or _default.closed:
            _default = Context()
        return _default


def context_of(context):
    if context is None:
        return default_context()
    if not isinstance(context, Context):
        raise errors.ArgumentError(f"must be a Context, not {type(context).__name__}", where="context")
    return context

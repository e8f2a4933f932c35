"""Finds and loads libmcomp, declares its functions, and turns status codes into exceptions.

The library is looked for in this package's folder first (a wheel carries it there), then by its name, libmcomp.so.0, as the
system's loader finds it. `lib` releases the GIL during calls. `quick` is the same library with the GIL held: for accessors that
take nanoseconds, and for reading the error record so that no other Python code comes between a failure and its reason."""
import ctypes
import pathlib
import threading

from . import _ffi, errors

HERE = pathlib.Path(__file__).resolve().parent
SONAME = "libmcomp.so.0"


def _open():
    bundled = HERE / "libmcomp.so"
    name = str(bundled) if bundled.exists() else SONAME
    try:
        return name, ctypes.CDLL(name), ctypes.PyDLL(name)
    except OSError as e:
        raise ImportError(f"libmcomp is not installed for this Python: {e}. Install the library (meson install) so that the loader "
                          f"finds {SONAME}, or install the wheel of bindings/python/build_wheel.sh, which carries it") from None


class Missing:
    """A function that the loaded library, being older than these declarations, does not have."""

    def __init__(self, name):
        self.name = name

    def __call__(self, *arguments):
        raise errors.UnsupportedError(f"the loaded library (version {version()}) has no {self.name}", hint="install a newer libmcomp")


def _declare(library):
    for name, (result, parameters) in _ffi.FUNCTIONS.items():
        try:
            f = getattr(library, name)
        except AttributeError:
            setattr(library, name, Missing(name))
            continue
        f.restype, f.argtypes = result, parameters


path, lib, quick = _open()
_declare(lib)
_declare(quick)


def version():
    """Version of the loaded library, "0.1.0"."""
    return quick.mcomp_version_string().decode()


def _check_version():
    number = quick.mcomp_version_number()
    loaded, wanted = (number >> 16, number >> 8 & 255), (_ffi.MCOMP_VERSION_MAJOR, _ffi.MCOMP_VERSION_MINOR)
    if loaded[0] != wanted[0] or (wanted[0] == 0 and loaded[1] != wanted[1]):  # before 1.0 a minor version may break the ABI
        raise ImportError(f"{path} is libmcomp {version()}; this package is for {_ffi.MCOMP_VERSION_STRING}")


_check_version()

# ---- exceptions raised inside callbacks: kept here until the C call they interrupted has returned ----
_pending = {}


def keep_exception(e):
    """Called by a callback that raised, in the thread of the C call: `check` raises it there."""
    _pending.setdefault(threading.get_ident(), e)


def raise_pending():
    e = _pending.pop(threading.get_ident(), None)
    if e is not None:
        raise e


def check(status, call=""):
    """Raises what a status code says. To be called right after the C call, in the same thread."""
    if _pending:
        raise_pending()
    if status < 0:
        raise error_of(status, call)


def error_of(status, call=""):
    record = _ffi.mcomp_error(size=ctypes.sizeof(_ffi.mcomp_error))
    quick.mcomp_error_get(record)
    cls = errors._by_code.get(status, errors.Error)
    if record.code != status:  # a finalizer or signal handler used the library in between: its record, not ours
        return cls(quick.mcomp_status_text(status).decode(), call=call, code=status)
    return cls(text(record.message), where=text(record.where), hint=text(record.hint), argument=record.argument, call=call, code=status)


def call(name, *arguments):
    """lib.name(*arguments), checked."""
    check(getattr(lib, name)(*arguments), name)


# ---- arguments ----
def text(raw):
    """A C string as str; bytes that are no UTF-8 survive the way back."""
    return None if raw is None else raw.decode("utf-8", "surrogateescape")


def utf8(value, what):
    """A str as a C string."""
    if not isinstance(value, str):
        raise errors.ArgumentError(f"must be a str, not {type(value).__name__}", where=what)
    if "\0" in value:
        raise errors.ArgumentError("holds a NUL character", where=what)
    return value.encode("utf-8", "surrogateescape")


def fspath(value, what="path"):
    """A path (str, bytes or os.PathLike) as a C string."""
    import os
    try:
        raw = os.fsencode(value)
    except TypeError:
        raise errors.ArgumentError(f"must be a path, not {type(value).__name__}", where=what) from None
    if b"\0" in raw:
        raise errors.ArgumentError("holds a NUL character", where=what)
    return raw


def integer(value, what, bits=64, unsigned=False):
    """An int that fits its C type: ctypes would cut it off silently."""
    try:
        n = value.__index__()
    except AttributeError:
        raise errors.ArgumentError(f"must be an int, not {type(value).__name__}", where=what) from None
    low, high = (0, (1 << bits) - 1) if unsigned else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    if not low <= n <= high:
        raise errors.RangeError(f"{n} is outside {low}..{high}", where=what)
    return n

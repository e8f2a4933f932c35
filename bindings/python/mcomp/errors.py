"""Exceptions: one class a status code, all of them `mcomp.Error`.

Catch by class (`except mcomp.ShapeError`), by group (`InputError`: what was given is wrong; `NotInThisVersionError`;
`ResultError`: what came out is not what was asked for; `ResourceError`), or look at `.code`. Where Python has a
class of its own for the same thing, ours is that too: a `ShapeError` is a `ValueError`, a `NoMemoryError` is a `MemoryError`."""
from ._ffi import STATUS


class Error(Exception):
    """A call of the library failed.

    code      status code, negative (include/mcomp/status.h)
    name      its name, "SHAPE"
    message   what and why, one line
    where     file and offset, node, tensor, sample or parameter; may be empty
    hint      what to do next; may be empty
    argument  index of the bad argument of `call`, counted from 1; 0 if none
    call      the C function that failed; empty where the binding itself refused
    exit_code what the command line program would exit with
    """

    code = STATUS["INTERNAL"][0]
    name = "INTERNAL"
    exit_code = STATUS["INTERNAL"][1]

    def __init__(self, message, *, where="", hint="", argument=0, call="", code=None):
        super().__init__(message)
        self.message, self.where, self.hint, self.argument, self.call = message, where, hint, argument, call
        if code is not None:
            self.code = code

    def __str__(self):
        where = f"{self.where}: " if self.where else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.name}: {where}{self.message}{hint}"

    def __reduce__(self):
        return _rebuild, (type(self), self.message, self.where, self.hint, self.argument, self.call, self.code)


def _rebuild(cls, message, where, hint, argument, call, code):
    return cls(message, where=where, hint=hint, argument=argument, call=call, code=code)


class InputError(Error):
    """A file, a model, data or a value is wrong."""


class NotInThisVersionError(Error, NotImplementedError):
    """Right, but not in this version."""


class ResultError(Error):
    """The result is not what was asked for; what was made is still written."""


class ResourceError(Error):
    """Memory, disk, a device, or an object in use."""


_by_code = {}


def _status(name):
    """Class decorator: this class stands for one code."""
    def bind(cls):
        cls.name = name
        cls.code, cls.exit_code, _ = STATUS[name]
        _by_code[cls.code] = cls
        return cls
    return bind


@_status("ARGUMENT")
class ArgumentError(Error, ValueError):
    """The call is wrong: an argument, or the order of calls."""


class ClosedError(ArgumentError):
    """The object was closed before."""


@_status("FORMAT")
class FormatError(InputError):
    """Malformed file or model."""


@_status("PATH")
class PathError(InputError):
    """Path refused, not found, or there already."""


@_status("IO")
class FileError(InputError):
    """Reading or writing failed."""


@_status("LIMIT")
class LimitError(InputError):
    """A configured limit was exceeded."""


@_status("SHAPE")
class ShapeError(InputError, ValueError):
    """Shapes do not fit together."""


@_status("DTYPE")
class DtypeError(InputError, TypeError):
    """Wrong or unsuitable data type."""


@_status("RANGE")
class RangeError(InputError, ValueError):
    """A value, or an index in data, is out of range."""


@_status("DATA")
class DataError(InputError, ValueError):
    """Malformed or unsuitable data."""


@_status("RECIPE")
class RecipeError(InputError):
    """An error in a recipe."""


@_status("UNSUPPORTED")
class UnsupportedError(NotInThisVersionError):
    """Operator or feature not supported."""


@_status("NO_GRADIENT")
class NoGradientError(NotInThisVersionError):
    """Operator without a gradient."""


@_status("TARGET_MISSED")
class TargetMissedError(ResultError):
    """Target missed; the best result was written."""


@_status("MISMATCH")
class MismatchError(ResultError):
    """A comparison failed."""


@_status("DIVERGED")
class DivergedError(ResultError):
    """Training diverged."""


@_status("NO_MEMORY")
class NoMemoryError(ResourceError, MemoryError):
    """Out of memory."""


@_status("NO_SPACE")
class NoSpaceError(ResourceError):
    """No space left on the device."""


@_status("DEVICE")
class DeviceError(ResourceError):
    """Device error."""


@_status("NO_BACKEND")
class NoBackendError(ResourceError):
    """Backend or device not available."""


@_status("BUSY")
class BusyError(ResourceError):
    """The object is in use by another thread, or by the call that is running."""


@_status("FORKED")
class ForkedError(ResourceError):
    """The object was used in a forked child."""


@_status("CANCELLED")
class CancelledError(Error):
    """Cancelled on request."""


@_status("INTERNAL")
class InternalError(Error):
    """A defect of the library: please report it."""

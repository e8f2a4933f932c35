"""Options structs from keyword arguments, and named tuples from the structs that the library fills. Both take their names from the
declarations, so a field that is appended to a struct is a keyword, or an attribute, here."""
import collections
import ctypes
import difflib

from . import errors
from ._lib import call, check, fspath, integer, lib, text, utf8

HIDDEN = {"size"}
INTEGERS = {ctypes.c_int32: (32, False), ctypes.c_int64: (64, False), ctypes.c_uint32: (32, True), ctypes.c_uint64: (64, True)}
PATHS = {"backend_dir", "cache_dir"}


def hidden(name):
    return name in HIDDEN or name.startswith("reserved")


def options(struct, values, aliases=None):
    """A size-first options struct with the keywords of `values` set; None means the default. `aliases`: field to a dict of names."""
    o = struct()
    call(struct.__name__.removesuffix("_options") + "_options_init", ctypes.byref(o), ctypes.sizeof(o))
    known = {n: t for n, t in struct._fields_ if not hidden(n)}
    for name, value in values.items():
        if name not in known:
            raise unknown(name, known, "option")
        if value is not None:
            put(o, name, known[name], value, (aliases or {}).get(name))
    return o


def unknown(name, known, what):
    near = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else "there are " + ", ".join(sorted(known))
    return errors.ArgumentError(f"no such {what}", where=str(name), hint=hint)


def put(o, name, kind, value, names=None):
    if names is not None and isinstance(value, str):
        if value not in names:
            raise errors.ArgumentError(f"{value!r} is none of {', '.join(map(repr, names))}", where=name)
        value = names[value]
    if kind in INTEGERS:
        setattr(o, name, integer(value, name, *INTEGERS[kind]))
    elif kind in (ctypes.c_double, ctypes.c_float):
        try:
            setattr(o, name, float(value))
        except (TypeError, ValueError):
            raise errors.ArgumentError(f"must be a number, not {type(value).__name__}", where=name) from None
    elif kind is ctypes.c_char_p:
        setattr(o, name, fspath(value, name) if name in PATHS else utf8(value, name))
    else:
        setattr(o, name, value)


def record(struct, name, doc, skip=(), flags=()):
    """A named tuple type for what a struct holds; `flags` are fields that are 0 or 1 and become bool."""
    fields = [n for n, _ in struct._fields_ if not hidden(n) and n not in skip]
    cls = collections.namedtuple(name, fields, module="mcomp")
    cls.__doc__ = doc
    cls._struct, cls._flags = struct, frozenset(flags)
    return cls


def read(cls, function, *arguments):
    """Calls function(*arguments, &struct) and gives the tuple. Strings are copied."""
    s = cls._struct()
    s.size = ctypes.sizeof(s)
    check(getattr(lib, function)(*arguments, ctypes.byref(s)), function)
    values = (getattr(s, n) for n in cls._fields)
    return cls(*(bool(v) if n in cls._flags else text(v) if isinstance(v, bytes) else v for n, v in zip(cls._fields, values)))

"""Between numpy arrays and the library's tensors.

In: `wrap` lends the array's own memory where it is C-contiguous, native and of the wanted type; else a copy of it. Out: `take` copies
into a new array, since the library's memory is valid until the next run only."""
import ctypes

import numpy as np

from . import errors
from ._ffi import FUNCTIONS, MCOMP_MAX_RANK
from ._handle import Raw
from ._lib import check, lib, quick
from .dtypes import FROM_CODE, NAME, PACKED, STRING, dtype_code, numpy_dtype, pack, unpack

NO_RELEASE = FUNCTIONS["mcomp_tensor_wrap"][1][6]()
_STEPS = (ctypes.c_int64 * MCOMP_MAX_RANK)


def dims(shape):
    return _STEPS(*shape)


def native(a, code, what):
    """The array (or whatever numpy makes one of) as C-contiguous memory of element type `code`: the same object where it is that."""
    want = FROM_CODE.get(code)
    if type(a) is np.ndarray and a.dtype == want and a.flags.c_contiguous:
        return a
    if code == STRING:
        raise errors.UnsupportedError("text cannot be given as an array", where=what)
    if not isinstance(a, np.ndarray):
        try:
            a = np.asarray(a) if hasattr(a, "__array__") or hasattr(a, "__array_interface__") else np.asarray(a, numpy_dtype(code))
        except (TypeError, ValueError) as e:
            raise errors.DtypeError(f"cannot be made an array of {NAME[code]}: {e}", where=what) from None
    if code in PACKED:
        if a.dtype != numpy_dtype(code):
            raise errors.DtypeError(f"is {a.dtype}, {NAME[code]} takes {numpy_dtype(code)}", where=what)
        return a
    if dtype_code(a.dtype) != code:
        raise errors.DtypeError(f"is {a.dtype}, the model takes {NAME[code]}", where=what,
                                hint=f"convert it: array.astype({numpy_dtype(code).name!r})")
    a = np.ascontiguousarray(a).reshape(a.shape)  # ascontiguousarray makes one axis of none
    if not a.dtype.isnative:
        a = a.astype(a.dtype.newbyteorder("="))
    return a if a.dtype == want else a.view(want)  # ml_dtypes


def surviving(a, code, what):
    """As native, but another numeric type is cast if every value survives (docs/data.md)."""
    want = numpy_dtype(code)
    a = np.asarray(a)
    if a.dtype != want and a.dtype.kind in "biuf" and want.kind in "biuf":
        with np.errstate(all="ignore"):
            cast = a.astype(want)
            lost = ~((cast.astype(a.dtype) == a) | ((a != a) & (want.kind == "f")))
        if lost.any():
            first = np.unravel_index(int(np.argmax(lost)), a.shape)
            raise errors.DtypeError(f"is {a.dtype}, the model takes {want}; element {list(map(int, first))} is {a[first]} and would not survive", where=what)
        a = cast
    return native(a, code, what)


class Tensor:
    """A C tensor for the length of a call: over an array's memory (no copy), or packed."""

    def __init__(self, a, code, what=""):
        a = native(a, code, what)
        self.array, self.shape = a, a.shape
        if code in PACKED:
            self.array = pack(a, code)
        if a.ndim > MCOMP_MAX_RANK:
            raise errors.LimitError(f"has {a.ndim} axes; {MCOMP_MAX_RANK} are the most", where=what)
        self.raw = Raw("mcomp_tensor_wrap", "mcomp_tensor_destroy",
                       (code, a.ndim, dims(a.shape), self.array.ctypes.data, self.array.nbytes, NO_RELEASE, None), keep=(self.array,))

    @property
    def pointer(self):
        return self.raw.pointer


def copied(a, code, what):
    """A new tensor that the library owns and destroys, as a plain address."""
    a = native(a, code, what)
    data = pack(a, code) if code in PACKED else a
    pointer = ctypes.c_void_p()
    check(lib.mcomp_tensor_create(pointer, code, a.ndim, dims(a.shape[:MCOMP_MAX_RANK])), "mcomp_tensor_create")
    if quick.mcomp_tensor_bytes(pointer) != data.nbytes:
        quick.mcomp_tensor_destroy(pointer)
        raise errors.InternalError("the sizes of a tensor and its array differ", where=what)
    if data.nbytes:
        ctypes.memmove(quick.mcomp_tensor_data(pointer), data.ctypes.data, data.nbytes)
    return pointer.value


def view(address, nbytes):
    """Bytes at an address as an array over them. Internal: nobody outside this package gets one."""
    return np.frombuffer((ctypes.c_uint8 * nbytes).from_address(address), np.uint8)


def take(pointer):
    """A new array with the elements of a tensor."""
    rank, code = quick.mcomp_tensor_rank(pointer), quick.mcomp_tensor_dtype(pointer)
    shape = tuple(quick.mcomp_tensor_dims(pointer)[:rank]) if rank else ()
    if code == STRING:
        n = quick.mcomp_tensor_elements(pointer)
        texts = (ctypes.c_char_p * n).from_address(quick.mcomp_tensor_data(pointer)) if n else ()
        out = np.empty(n, object)
        out[:] = [(t or b"").decode("utf-8", "replace") for t in texts]
        return out.reshape(shape)
    nbytes = quick.mcomp_tensor_bytes(pointer)
    if nbytes == 0:
        return np.empty(shape, numpy_dtype(code))
    raw = view(quick.mcomp_tensor_data(pointer), nbytes)
    if code in PACKED:
        return unpack(raw, code, shape)
    return raw.view(numpy_dtype(code)).reshape(shape).copy()

"""Element types: numpy's dtype for each of the library's, and back.

Numpy has no bfloat16, no 8-bit floats, and nothing below a byte. bfloat16 and 8-bit floats travel as bits, in dtypes that carry the
name and that arithmetic refuses (`mcomp.bfloat16`; the dtypes of the package ml_dtypes are taken as well); `from_bfloat16` and
`to_bfloat16` convert. 4- and 2-bit integers are int8 or uint8 arrays on this side."""
import numpy as np

from ._ffi import DTYPE
from .errors import DtypeError, RangeError, UnsupportedError

CODE = {name: value for name, (value, _, _) in DTYPE.items()}
NAME = {value: label for value, _, label in DTYPE.values()}
STRING = CODE["STRING"]
#: bfloat16 as bits: a structured dtype of one field named "bfloat16".
bfloat16 = np.dtype([("bfloat16", np.uint16)])
_PLAIN = {"F32": np.float32, "U8": np.uint8, "I8": np.int8, "U16": np.uint16, "I16": np.int16, "I32": np.int32, "I64": np.int64,
          "BOOL": np.bool_, "F16": np.float16, "F64": np.float64, "U32": np.uint32, "U64": np.uint64, "C64": np.complex64,
          "C128": np.complex128}
_BITS = {"BF16": bfloat16, **{k: np.dtype([(v[2], np.uint8)]) for k, v in DTYPE.items() if k.startswith("F8")}}
#: bits and signedness of the integers smaller than a byte
PACKED = {CODE["U4"]: (4, False), CODE["I4"]: (4, True), CODE["U2"]: (2, False), CODE["I2"]: (2, True)}
FROM_CODE = {CODE[k]: np.dtype(v) for k, v in {**_PLAIN, **_BITS}.items()}
_TO_CODE = {v: k for k, v in FROM_CODE.items()}


def numpy_dtype(code):
    """The dtype that arrays of this element type have on the Python side."""
    if code in PACKED:
        return np.dtype(np.int8 if PACKED[code][1] else np.uint8)
    if code == STRING:
        return np.dtype(object)
    try:
        return FROM_CODE[code]
    except KeyError:
        raise UnsupportedError(f"{NAME.get(code, code)} has no array on the Python side") from None


def dtype_code(dtype):
    """Code of a numpy dtype, of its name, of mcomp's name for a type ("bfloat16", "int4"), or of a code."""
    if isinstance(dtype, str):
        for code, label in NAME.items():
            if label == dtype and code:
                return code
    elif isinstance(dtype, int) and dtype in NAME:
        return dtype
    try:
        d = np.dtype(dtype).newbyteorder("=")
    except TypeError:
        raise DtypeError(f"{dtype!r} is no element type", where="dtype") from None
    if d in _TO_CODE:
        return _TO_CODE[d]
    for code, bits in FROM_CODE.items():  # ml_dtypes: their names are ours (float8_e4m3fn without the underscore)
        if d.name.replace("_", "") == NAME[code] and d.itemsize == bits.itemsize:
            return code
    raise DtypeError(f"arrays of {d} are not taken", where="dtype")


def _bits(a, dtype):
    """The same memory under another dtype of the same size."""
    return a if a.dtype == dtype else a.view(dtype)


def to_bfloat16(values):
    """float32 to bfloat16 bits, rounded to the nearest, ties to even. NaN stays NaN."""
    f = np.ascontiguousarray(values, np.float32)
    u = f.view(np.uint32)
    rounded = ((u.astype(np.uint64) + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)
    rounded = np.where(np.isnan(f), (u >> 16).astype(np.uint16) | 0x40, rounded).astype(np.uint16)
    return rounded.reshape(np.shape(values)).view(bfloat16)


def from_bfloat16(a):
    """bfloat16 bits to float32, exactly."""
    a = np.ascontiguousarray(a)
    bits = a["bfloat16"] if a.dtype == bfloat16 else a.view(np.uint16)
    return (bits.astype(np.uint32) << 16).view(np.float32)


def pack(a, code):
    """int8 or uint8 values to 4- or 2-bit integers, the first in the low bits. Values that do not fit are a RangeError."""
    width, signed = PACKED[code]
    low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
    flat = np.ascontiguousarray(a).reshape(-1)
    bad = np.flatnonzero((flat < low) | (flat > high))
    if bad.size:
        raise RangeError(f"element {bad[0]} is {flat[bad[0]]}; {NAME[code]} holds {low}..{high}")
    per = 8 // width
    v = np.zeros((flat.size + per - 1) // per * per, np.uint8)
    v[:flat.size] = flat.astype(np.uint8) & ((1 << width) - 1)
    out = np.zeros(v.size // per, np.uint8)
    for k in range(per):
        out |= v[k::per] << (k * width)
    return out


def unpack(packed, code, shape):
    """The other way."""
    width, signed = PACKED[code]
    per, n = 8 // width, int(np.prod(shape, dtype=np.int64))
    out = np.empty(packed.size * per, np.uint8)
    for k in range(per):
        out[k::per] = packed >> (k * width) & ((1 << width) - 1)
    out = out[:n]
    if signed:
        out = (out.astype(np.int8) ^ (1 << (width - 1))) - (1 << (width - 1))
        out = out.astype(np.int8)
    return out.reshape(shape)

"""Tensors: a datatype, a shape and a buffer. They do without numpy, which costs a cold start 60 ms."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import chain, starmap
from math import copysign, frexp, inf, isfinite, isinf, ldexp, prod
from typing import Any, TypeAlias

from pilotlight.frozen import dataclass, derived

Buffer: TypeAlias = "array[int] | array[float] | bytes | bytearray | memoryview"
Strings: TypeAlias = "list[str] | list[str | None]"
Place = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Datatype:
    """A datatype of the Open Inference Protocol V2, and how each format and library represents it.

    `kind` is `boolean`, `integer`, `float` or `string`. `typecode` is that of the `array` and `struct` modules; BF16,
    which they lack, has that of its bits. `size` is in bytes, 0 for strings, which have no fixed size. `numpy` is the
    dtype in native byte order, empty for BF16, which numpy lacks. `onnx` and `onnx_code` are the element type's name
    and number: TensorProto.DataType in the ONNX format, ONNXTensorElementDataType in ONNX Runtime's C API. `low` and
    `high` bound integers, both included; a number for a float has to round to a magnitude below `overflow`. A
    datatype that `is_binary_only` has no JSON form in the protocol.
    """

    name: str
    kind: str
    typecode: str
    size: int
    numpy: str
    onnx: str
    onnx_code: int
    low: int = 0
    high: int = 0
    overflow: float = 0.0
    is_binary_only: bool = False

    @derived
    def is_integer(self) -> bool:
        """Whether values are whole numbers with bounds."""
        return self.kind == "integer"

    @derived
    def is_float(self) -> bool:
        """Whether values are rounded to nearest on the way in."""
        return self.kind == "float"


BOOL = Datatype("BOOL", "boolean", "b", 1, "?", "bool", 9)
INT64 = Datatype("INT64", "integer", "q", 8, "i8", "int64", 7, -(2**63), 2**63 - 1)
# A float rounds to infinity from half a step beyond its largest number on (IEEE 754; BF16 as the upper half of FP32).
BF16 = Datatype("BF16", "float", "H", 2, "", "bfloat16", 16, overflow=2.0**128 - 2.0**119, is_binary_only=True)
FP32 = Datatype("FP32", "float", "f", 4, "f4", "float", 1, overflow=2.0**128 - 2.0**103)
FP64 = Datatype("FP64", "float", "d", 8, "f8", "double", 11, overflow=inf)
BYTES = Datatype("BYTES", "string", "", 0, "O", "string", 8)

# https://github.com/open-inference/open-inference-protocol, "Tensor Data Types".
DATATYPES: dict[str, Datatype] = {
    datatype.name: datatype
    for datatype in (
        BOOL,
        Datatype("UINT8", "integer", "B", 1, "u1", "uint8", 2, 0, 2**8 - 1),
        Datatype("UINT16", "integer", "H", 2, "u2", "uint16", 4, 0, 2**16 - 1),
        Datatype("UINT32", "integer", "I", 4, "u4", "uint32", 12, 0, 2**32 - 1),
        Datatype("UINT64", "integer", "Q", 8, "u8", "uint64", 13, 0, 2**64 - 1),
        Datatype("INT8", "integer", "b", 1, "i1", "int8", 3, -(2**7), 2**7 - 1),
        Datatype("INT16", "integer", "h", 2, "i2", "int16", 5, -(2**15), 2**15 - 1),
        Datatype("INT32", "integer", "i", 4, "i4", "int32", 6, -(2**31), 2**31 - 1),
        INT64,
        Datatype("FP16", "float", "e", 2, "f2", "float16", 10, overflow=65520.0, is_binary_only=True),
        BF16,
        FP32,
        FP64,
        BYTES,
    )
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """Values in row-major order.

    `data` is a buffer of `prod(shape)` values in native byte order; for BYTES it is a list of that many strings. A
    missing value of an input is NaN; a missing string is None.
    """

    datatype: Datatype
    shape: tuple[int, ...]
    data: Buffer | Strings

    @property
    def count(self) -> int:
        """The number of values; a scalar, of shape (), has one."""
        return prod(self.shape)

    @property
    def is_finite(self) -> bool:
        """Whether no value of floats is NaN or infinite."""
        return not _may_be_infinite(self.datatype, self.data) or all(map(isfinite, self.values()))

    def values(self) -> list[Any]:
        """Return the values as Python objects (bool, int, float or str), flat, in row-major order."""
        if isinstance(self.data, list):
            return self.data
        raw = memoryview(self.data).cast("B")
        if self.datatype.typecode == "e":  # memoryview cannot cast to half floats
            return list(struct.unpack(f"{self.count}e", raw))
        if self.datatype is BF16:
            return _widened(raw)
        if self.datatype is BOOL:
            return [value != 0 for value in raw]
        return raw.cast(self.datatype.typecode).tolist()  # type: ignore[call-overload, no-any-return]


def pack_bfloat16(values: Sequence[float]) -> bytearray:
    """Pack numbers as BF16, each rounded to nearest, ties to even; one that overflows becomes infinite, as in an FP32.

    A BF16 is the upper half of an FP32. Rounding to an FP32 first would round twice, and some numbers to the wrong
    side. Raise OverflowError for an integer beyond a double.
    """
    singles = struct.pack(f"{len(values)}f", *map(_nearest, values))
    packed = bytearray(2 * len(values))
    packed[::2], packed[1::2] = singles[2::4], singles[3::4]  # little-endian, as all processors of functions are
    return packed


def _nearest(value: float) -> float:
    """Round to eight significant bits, of which the last is worth at least 2**-133; exact in a double."""
    if not isfinite(value):
        return value
    step = ldexp(1.0, max(frexp(value)[1], -125) - 8)
    return copysign(round(value / step) * step, value)


def _widened(raw: memoryview) -> list[float]:
    singles = bytearray(2 * len(raw))
    singles[2::4], singles[3::4] = raw[::2], raw[1::2]
    return list(struct.unpack(f"{len(raw) // 2}f", singles))


def pack(datatype: Datatype, values: list[Any], place: Place, *, missing: bool = False) -> Buffer | Strings:
    """Return a buffer with `values`. Raise InvalidRequest for one that `datatype` cannot represent.

    Numbers for floats are rounded to nearest, ties to even, from the double that JSON numbers are read as. `place(i)`
    is the path of the i-th value, for the error. If values may be `missing`, None is one.
    """
    packed = pack_usual(datatype, values)
    if packed is not None:
        return packed
    from pilotlight.model.unusual import pack_unusual  # noqa: PLC0415 - most requests do without

    return pack_unusual(datatype, values, place, missing=missing)


def pack_rows(datatype: Datatype, width: int, rows: Sequence[Any]) -> bytearray | None:
    """Return a buffer with rows of `width` numbers each; None if something is not that, or the datatype no float.

    Without a list of all values: 1,000 rows of 30 take two thirds of the time of `pack` (`bench/warm.py`).
    """
    packed = pack_floats(datatype, width, rows)
    if packed is None or not _has_usual_types(datatype, packed, chain.from_iterable(rows)):
        return None
    return packed


def pack_floats(datatype: Datatype, width: int, rows: Iterable[Iterable[float]]) -> bytearray | None:
    """Do what `pack_rows` does for rows of floats alone, without looking for booleans among them."""
    if not datatype.is_float or datatype is BF16:
        return None
    try:
        packed = bytearray().join(starmap(_row(width, datatype.typecode).pack, rows))
    except (OverflowError, TypeError, struct.error):
        return None
    return None if _overflowed(datatype, packed) else packed


@cache
def _row(width: int, typecode: str) -> struct.Struct:
    return struct.Struct(f"{width}{typecode}")


def pack_usual(datatype: Datatype, values: list[Any]) -> Buffer | list[str] | None:
    """Return a buffer with values of the datatype's usual type; None if one is of another or out of range."""
    if datatype.is_float:
        packed = pack_numbers(datatype, values)
        if packed is None or _overflowed(datatype, packed) or not _has_usual_types(datatype, packed, values):
            return None
        return packed
    kinds = set(map(type, values))
    if datatype is BYTES:
        return values if kinds <= {str} and _is_unicode(values) else None
    if datatype is BOOL:
        return bytes(values) if kinds <= {bool} else None
    return pack_numbers(datatype, values) if kinds <= {int} else None


def _is_unicode(strings: list[str]) -> bool:
    """Whether no string has an unpaired surrogate, which UTF-8 cannot encode."""
    try:
        "".join(strings).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _has_usual_types(datatype: Datatype, packed: bytearray, values: Iterable[object]) -> bool:
    """Whether the numbers that were packed are floats and integers: struct packs true and false as 1 and 0.

    Searching for the bytes of these is quicker than comparing the types of all values, by a fifth of a request of 1,000
    rows (`bench/warm.py`). A match may also span two values.
    """
    zero, one = _ZERO_AND_ONE[datatype.name]
    return (packed.find(zero) < 0 and packed.find(one) < 0) or set(map(type, values)) <= {float, int}


def pack_numbers(datatype: Datatype, values: list[Any]) -> bytearray | None:
    """Pack the numbers in native byte order; None if the datatype cannot represent one of them.

    The buffer is writable, which some libraries on top of numpy require.
    """
    try:
        if datatype is BF16:
            return pack_bfloat16(values)
        packed = bytearray(len(values) * datatype.size)
        struct.pack_into(f"{len(values)}{datatype.typecode}", packed, 0, *values)
    except (OverflowError, TypeError, struct.error):
        return None
    return packed


def _bytes_of(datatype: Datatype, value: float) -> bytes:
    return bytes(pack_numbers(datatype, [value]) or b"")


_FLOATS = [datatype for datatype in DATATYPES.values() if datatype.is_float]
_ZERO_AND_ONE = {each.name: (_bytes_of(each, 0.0), _bytes_of(each, 1.0)) for each in _FLOATS}
# What the highest byte of NaN and the infinities may be, by the sign.
_HIGHEST = {
    each.name: (
        *range(_bytes_of(each, inf)[-1], 0x80),
        *range(_bytes_of(each, -inf)[-1], 0x100),
    )
    for each in _FLOATS
}


def _overflowed(datatype: Datatype, packed: bytearray) -> bool:
    """Whether one of the floats is infinite."""
    if not _may_be_infinite(datatype, packed):
        return False
    return any(map(isinf, Tensor(datatype, (len(packed) // datatype.size,), packed).values()))


def _may_be_infinite(datatype: Datatype, data: Any) -> bool:  # noqa: ANN401 - a buffer, and never strings
    """Whether one of the floats may be NaN or infinite. Unless some are huge, the highest bytes alone rule it out.

    Of 1,000,000 floats that takes 0.6 ms, and making Python's own of them to look at 38.
    """
    raw = data if isinstance(data, bytearray) else bytes(data)
    highest = raw[datatype.size - 1 :: datatype.size]  # little-endian, as are all processors that functions run on
    return any(byte in highest for byte in _HIGHEST[datatype.name])

"""Tensors are a datatype, a shape and a buffer. numpy is not needed to hold one, and costs a cold start 60 ms."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Sequence
from math import copysign, frexp, isfinite, isinf, ldexp, prod
from typing import Any, TypeAlias

from pilotlight.errors import InvalidRequest
from pilotlight.frozen import dataclass
from pilotlight.model.json_document import describe

Buffer: TypeAlias = "array[int] | array[float] | bytes | bytearray | memoryview"
Place = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Datatype:
    """A datatype of the Open Inference Protocol V2 and how it lies in memory.

    `typecode` is that of the `array` and `struct` modules, and for BF16, which they have not, that of its bits; `low`
    and `high` bound integers.
    """

    name: str
    typecode: str
    size: int
    low: int = 0
    high: int = 0

    @property
    def is_integer(self) -> bool:
        """Whether values are whole numbers with bounds."""
        return self.high > 0 and self.name != "BOOL"

    @property
    def is_float(self) -> bool:
        """Whether values are rounded to nearest on the way in."""
        return self.typecode in ("e", "f", "d") or self.name == "BF16"


def _integer(name: str, typecode: str, size: int) -> Datatype:
    bits = 8 * size
    if name.startswith("U"):
        return Datatype(name, typecode, size, 0, 2**bits - 1)
    return Datatype(name, typecode, size, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


BF16 = Datatype("BF16", "H", 2)
BOOL = Datatype("BOOL", "b", 1, 0, 1)
BYTES = Datatype("BYTES", "", 0)
FP32 = Datatype("FP32", "f", 4)
FP64 = Datatype("FP64", "d", 8)
INT64 = _integer("INT64", "q", 8)

# https://github.com/open-inference/open-inference-protocol, "Tensor Data Types". FP16 and BF16 have no JSON form there.
DATATYPES: dict[str, Datatype] = {
    datatype.name: datatype
    for datatype in (
        BOOL,
        _integer("UINT8", "B", 1),
        _integer("UINT16", "H", 2),
        _integer("UINT32", "I", 4),
        _integer("UINT64", "Q", 8),
        _integer("INT8", "b", 1),
        _integer("INT16", "h", 2),
        _integer("INT32", "i", 4),
        INT64,
        Datatype("FP16", "e", 2),
        BF16,
        FP32,
        FP64,
        BYTES,
    )
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """Values in row-major order.

    `data` is a buffer of `prod(shape)` values in native byte order; for BYTES it is a list of that many strings.
    """

    datatype: Datatype
    shape: tuple[int, ...]
    data: Buffer | list[str]

    @property
    def count(self) -> int:
        """How many values the tensor holds; a scalar, of shape (), holds one."""
        return prod(self.shape)

    def values(self) -> list[Any]:
        """The values as Python objects (bool, int, float or str), flat, in row-major order."""
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
    """Numbers as BF16, each rounded to nearest, ties to even; one that overflows becomes infinite, as in an FP32.

    A BF16 is the upper half of an FP32. Rounding to an FP32 first would round twice, and some numbers to the wrong
    side. Raises OverflowError for a whole number beyond a double.
    """
    singles = struct.pack(f"{len(values)}f", *map(_nearest, values))
    packed = bytearray(2 * len(values))
    packed[::2], packed[1::2] = singles[2::4], singles[3::4]  # little-endian, as all processors of functions are
    return packed


def _nearest(value: float) -> float:
    """The nearest number of eight significant bits whose last one is worth at least 2**-133; exact in a double."""
    if not isfinite(value):
        return value
    step = ldexp(1.0, max(frexp(value)[1], -125) - 8)
    return copysign(round(value / step) * step, value)


def _widened(raw: memoryview) -> list[float]:
    singles = bytearray(2 * len(raw))
    singles[2::4], singles[3::4] = raw[::2], raw[1::2]
    return list(struct.unpack(f"{len(raw) // 2}f", singles))


# In memory, where what is alike may also lie across two values.
_ZERO_AND_ONE = {
    "FP16": (bytes(2), struct.pack("e", 1)),
    "BF16": (bytes(2), bytes(pack_bfloat16([1]))),
    "FP32": (bytes(4), struct.pack("f", 1)),
    "FP64": (bytes(8), struct.pack("d", 1)),
}


def pack(datatype: Datatype, values: list[object], place: Place) -> Buffer | list[str]:
    """The buffer that holds `values`, each exactly as `datatype` holds it or refused; `place` names the i-th's place.

    Numbers for floats are rounded to nearest, ties to even, from the double that JSON numbers are read as.
    """
    if datatype.is_float:
        return _pack_floats(datatype, values, place)
    kinds = set(map(type, values))
    if datatype is BYTES:
        return _pack_strings(values, kinds, place)
    if datatype is BOOL:
        if not kinds <= {bool}:
            raise _refusal(values, place, "true or false", lambda value: isinstance(value, bool))
        return bytes(values)  # type: ignore[arg-type]
    packed = _packed(datatype, values) if kinds <= {int} else None
    if packed is None:
        expected = f"a whole number from {datatype.low} to {datatype.high} ({datatype.name})"
        raise _refusal(
            values, place, expected, lambda value: type(value) is int and datatype.low <= value <= datatype.high
        )
    return packed


def _pack_strings(values: list[object], kinds: set[type], place: Place) -> list[str]:
    if not kinds <= {str}:
        raise _refusal(values, place, "a string", lambda value: isinstance(value, str))
    try:
        "".join(values).encode("utf-8")  # type: ignore[arg-type]
    except UnicodeEncodeError:
        raise _refusal(values, place, "a string of whole Unicode characters", _is_unicode) from None
    return values  # type: ignore[return-value]


def _is_unicode(value: object) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in str(value))


def _pack_floats(datatype: Datatype, values: list[object], place: Place) -> Buffer:
    packed = _packed(datatype, values)
    if packed is not None and _overflowed(datatype, packed):
        packed = None
    if packed is not None and not _may_have_booleans(datatype, packed):
        return packed
    if not set(map(type, values)) <= {float, int}:
        raise _refusal(values, place, f"a number ({datatype.name})", lambda value: type(value) in (float, int))
    if packed is None:
        expected = f"a number that {datatype.name} holds"
        raise _refusal(values, place, expected, lambda value: _holds(datatype, value))
    return packed


def _may_have_booleans(datatype: Datatype, packed: bytearray) -> bool:
    """Whether there is a 0 or a 1 among the floats, as which true and false are packed; nothing else of JSON is.

    To look for their bytes is quicker than for the types of all values, by a fifth of a request of 1,000 rows
    (`bench/warm.py`).
    """
    zero, one = _ZERO_AND_ONE[datatype.name]
    return zero in packed or one in packed


def _packed(datatype: Datatype, values: list[object]) -> bytearray | None:
    """The numbers in native byte order, or None where one of them is not for the datatype.

    An array that can be written to, because libraries on top of numpy may want that.
    """
    try:
        if datatype is BF16:
            return pack_bfloat16(values)  # type: ignore[arg-type]
        packed = bytearray(len(values) * datatype.size)
        struct.pack_into(f"{len(values)}{datatype.typecode}", packed, 0, *values)
    except (OverflowError, TypeError, struct.error):
        return None
    return packed


def _overflowed(datatype: Datatype, packed: bytearray) -> bool:
    """Whether one of the floats is infinite. The highest bytes of all show that it is not, unless some are huge."""
    highest = packed[datatype.size - 1 :: datatype.size]  # little-endian, as are all processors that functions run on
    signs = (b"\x7c", b"\xfc") if datatype.typecode == "e" else (b"\x7f", b"\xff")
    if signs[0] not in highest and signs[1] not in highest:
        return False
    return any(map(isinf, Tensor(datatype, (len(highest),), packed).values()))


def _holds(datatype: Datatype, value: object) -> bool:
    packed = _packed(datatype, [value])
    return packed is not None and not _overflowed(datatype, packed)


def _refusal(values: list[object], place: Place, expected: str, good: Callable[[object], bool]) -> InvalidRequest:
    """The error for the first value that is not good."""
    index = next(index for index, value in enumerate(values) if not good(value))
    return InvalidRequest(f"expected {expected}, found {describe(values[index])}", place(index))

"""Tensors are a datatype, a shape and a buffer. numpy is not needed to hold one, and costs a cold start 60 ms."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import copysign, frexp, isfinite, ldexp, prod
from struct import pack, unpack
from typing import Any, TypeAlias

from pilotlight.frozen import dataclass

Buffer: TypeAlias = "array[int] | array[float] | bytes | bytearray | memoryview"


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
            return list(unpack(f"{self.count}e", raw))
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
    singles = pack(f"{len(values)}f", *map(_nearest, values))
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
    return list(unpack(f"{len(raw) // 2}f", singles))

"""From Python's values to a tensor's buffer: each exactly as its datatype holds it, or refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import isinf

from pilotlight.errors import InvalidRequest
from pilotlight.model.json_document import describe
from pilotlight.model.tensor import BF16, BOOL, BYTES, Buffer, Datatype, Tensor, pack_bfloat16

Place = Callable[[int], str]

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

"""Packing values that are not of their datatype's usual type: some are accepted, all others named in an error."""

from __future__ import annotations

from math import nan
from typing import Any

from pilotlight.errors import InvalidRequest
from pilotlight.model.json_document import describe
from pilotlight.model.tensor import BOOL, BYTES, Buffer, Datatype, Place, Strings, pack_usual

# From here on a double does not hold every whole number, and a number that was rounded looks like a whole one.
_INEXACT = 2**53


def pack_unusual(datatype: Datatype, values: list[Any], place: Place, *, missing: bool) -> Buffer | Strings:
    """Pack values as `pack` does, among them missing ones and whole numbers that were read as doubles.

    Raise InvalidRequest for the first that is neither.
    """
    usual = [_usual(datatype, value, missing=missing) for value in values]
    packed = pack_usual(datatype, usual)
    if packed is not None:
        return values if datatype is BYTES else packed
    index = next(index for index, value in enumerate(usual) if pack_usual(datatype, [value]) is None)
    problem, hint = _problem(datatype, values[index]), _hint(datatype, values[index], missing=missing)
    raise InvalidRequest(f"{problem}, found {describe(values[index])}{hint}", place(index))


def _usual(datatype: Datatype, value: Any, *, missing: bool) -> Any:  # noqa: ANN401 - a JSON value
    """Return what a value is packed as: NaN for a missing one, an integer for 3.0 and 1e2, else the value itself."""
    if value is None and missing:
        return nan if datatype.is_float else "" if datatype is BYTES else None
    is_whole = datatype.is_integer and type(value) is float and value.is_integer() and abs(value) < _INEXACT
    return int(value) if is_whole else value


def _problem(datatype: Datatype, value: object) -> str:
    if datatype.is_float:
        is_number = type(value) in (float, int)
        return f"number is out of range for {datatype.name}" if is_number else f"expected a number ({datatype.name})"
    if datatype is BYTES:
        return "expected a string without unpaired surrogates" if isinstance(value, str) else "expected a string"
    if datatype is BOOL:
        return "expected true or false"
    return f"expected a whole number from {datatype.low} to {datatype.high} ({datatype.name})"


def _hint(datatype: Datatype, value: object, *, missing: bool) -> str:
    """Return what to do about a value that looks like a missing one or was rounded."""
    if type(value) is float and datatype.is_integer and value.is_integer() and datatype.low <= value <= datatype.high:
        return "; write whole numbers from 2**53 on in digits alone"
    if value is not None and value != "":
        return ""
    if not (datatype.is_float or datatype is BYTES):
        return f"; {datatype.name} has no missing values"
    if missing:
        return "; a missing value is null"
    return '; the model takes no missing values here, or its signature lacks "missing": true'

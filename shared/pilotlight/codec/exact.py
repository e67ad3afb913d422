"""Numbers of one datatype in another that holds each of them exactly, as clients of V2 send them."""

from __future__ import annotations

from typing import Any

from pilotlight.errors import InvalidRequest
from pilotlight.model.json_document import describe
from pilotlight.model.tensor import Datatype, Place, Tensor, pack_numbers


def convert(tensor: Tensor, datatype: Datatype, place: Place) -> Tensor:
    """Return the same numbers in another datatype. Raise InvalidRequest, at its place, for the first that it lacks."""
    values = tensor.values()
    converted = _packed(datatype, tensor.shape, values)
    if converted is not None and all(map(_is_same, values, converted.values())):
        return converted
    index = next(index for index, value in enumerate(values) if not _holds(datatype, value))
    raise InvalidRequest(
        f"expected {datatype.name}, found {describe(values[index])} as {tensor.datatype.name}, which {datatype.name} "
        "does not hold exactly",
        place(index),
    )


def _holds(datatype: Datatype, value: float) -> bool:
    converted = _packed(datatype, (1,), [value])
    return converted is not None and _is_same(value, converted.values()[0])


def _packed(datatype: Datatype, shape: tuple[int, ...], values: list[Any]) -> Tensor | None:
    if datatype.is_integer:
        values = [int(value) if type(value) is float and value.is_integer() else value for value in values]
    data = pack_numbers(datatype, values)
    return None if data is None else Tensor(datatype, shape, data)


def _is_same(sent: float, converted: float) -> bool:
    """Whether both are one number, which Python compares exactly, or both NaN."""
    return sent == converted or (sent != sent and converted != converted)  # noqa: PLR0124

"""Inputs of several records as one batch, and the rows of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from pilotlight.model.tensor import Tensor


def joined(parts: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Join the tensors of several records along their first dimension."""
    return tuple(_join(tensors) for tensors in zip(*parts, strict=True))


def sliced(tensors: Sequence[Tensor], start: int, stop: int) -> tuple[Tensor, ...]:
    """Return the rows from `start` to `stop` of each tensor."""
    return tuple(_slice(tensor, start, stop) for tensor in tensors)


def _join(tensors: Sequence[Tensor]) -> Tensor:
    first = tensors[0]
    shape = (sum(tensor.shape[0] for tensor in tensors), *first.shape[1:])
    if isinstance(first.data, list):
        return Tensor(first.datatype, shape, [value for tensor in tensors for value in tensor.values()])
    return Tensor(first.datatype, shape, bytearray().join(tensor.data for tensor in tensors))  # type: ignore[misc]


def _slice(tensor: Tensor, start: int, stop: int) -> Tensor:
    width = prod(tensor.shape[1:])
    shape = (stop - start, *tensor.shape[1:])
    if isinstance(tensor.data, list):
        return Tensor(tensor.datatype, shape, tensor.data[start * width : stop * width])
    bytes_of_row = width * tensor.datatype.size
    content = memoryview(tensor.data).cast("B")
    return Tensor(tensor.datatype, shape, content[start * bytes_of_row : stop * bytes_of_row])

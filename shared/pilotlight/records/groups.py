"""Records that can share a batch: their inputs joined along the first dimension, and any part of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import TypeAlias

from pilotlight.codec.batches import joined, sliced
from pilotlight.model.tensor import Tensor
from pilotlight.records.bulk import Part
from pilotlight.records.decode import Decoded

Shape: TypeAlias = tuple[tuple[int, ...], ...]
"""The shapes of a record's inputs without the rows, which records of one batch have in common."""

# Bytes of a string in a tensor, as far as the size of a batch is concerned.
_STRING_BYTES = 64


class Group:
    """Records of one shape, by their `indices` among the records of an event, with the rows of all.

    `documents` has for each record what makes its result from its outputs; None for a single instance.
    """

    def __init__(self, shape: Shape, parts: Sequence[Part]) -> None:
        self.shape = shape
        self.indices = [index for indices, _ in parts for index in indices]
        self.documents: list[Callable[[Sequence[Tensor]], dict[str, object]] | None] = []
        self._counts: list[int] = []
        self._checked_rows: list[int | None] = []
        for indices, decoded in parts:
            is_single = len(indices) == 1
            self.documents += [decoded.document] * len(indices)
            self._counts += [(decoded.rows or 1) if is_single else 1] * len(indices)
            self._checked_rows += [decoded.checked_rows if is_single else 1] * len(indices)
        self._inputs = parts[0][1].inputs if len(parts) == 1 else joined([decoded.inputs for _, decoded in parts])
        self._row_ends = list(accumulate(self._counts))
        self._row_bytes = sum(map(_size, self._inputs)) // self._row_ends[-1]

    def fitting(self, start: int, rows: int, max_bytes: int) -> int:
        """Return the end of the part from `start` with at most that many rows and bytes; one record always fits."""
        if self._row_bytes:
            rows = min(rows, max_bytes // self._row_bytes)
        return max(start + 1, bisect_right(self._row_ends, self._rows_before(start) + rows))

    def rows(self, start: int, stop: int) -> int:
        """Return how many rows the records from `start` to `stop` have."""
        return self._row_ends[stop - 1] - self._rows_before(start)

    def inputs(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """Return the inputs of the records from `start` to `stop`."""
        if (start, stop) == (0, len(self.indices)):
            return self._inputs
        return sliced(self._inputs, self._rows_before(start), self._row_ends[stop - 1])

    def checked_rows(self, start: int, stop: int) -> int | None:
        """Return how many rows each output must have; None if only the signature's shapes count."""
        return self._checked_rows[start] if stop - start == 1 else self.rows(start, stop)

    def count(self, index: int) -> int:
        """Return how many rows a record has."""
        return self._counts[index]

    def _rows_before(self, start: int) -> int:
        return self._row_ends[start - 1] if start else 0


def groups_of(parts: Iterable[Part], *, are_shared: bool) -> list[Group]:
    """Return the records in groups of one shape; each by itself unless a model's batches `are_shared`."""
    found: dict[tuple[Shape, int], list[Part]] = {}
    for part in parts:
        indices, decoded = part
        shares = are_shared and decoded.rows is not None
        found.setdefault((_shape(decoded), -1 if shares else indices[0]), []).append(part)
    return [Group(shape, some) for (shape, _), some in found.items()]


def _shape(decoded: Decoded) -> Shape:
    start = 0 if decoded.rows is None else 1
    return tuple(tensor.shape[start:] for tensor in decoded.inputs)


def _size(tensor: Tensor) -> int:
    return tensor.count * (tensor.datatype.size or _STRING_BYTES)

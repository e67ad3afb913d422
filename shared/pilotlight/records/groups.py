"""Records that can share a batch: their inputs joined along the first dimension, and any part of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TypeAlias

from pilotlight.codec.batches import joined, sliced
from pilotlight.model.tensor import Tensor
from pilotlight.records.decode import Decoded

Shape: TypeAlias = tuple[tuple[int, ...], ...]
"""The shapes of a record's inputs without the rows, which records of one batch have in common."""

# Bytes of a string in a tensor, as far as the size of a batch is concerned.
_STRING_BYTES = 64


class Group:
    """Records of one shape, by their `indices` among the records of an event, with the rows of all."""

    def __init__(self, indices: Sequence[int], inputs: tuple[Tensor, ...], entries: Sequence[Decoded] | None) -> None:
        """`entries` are the records' own inputs; None for records of one row each, of which only the row counts."""
        self.indices = indices
        self._inputs = inputs
        self._entries = entries
        self._counts = [1] * len(indices) if entries is None else [entry.rows or 1 for entry in entries]
        self._row_ends = list(accumulate(self._counts))
        if entries is None:
            width = sum(map(_size, inputs)) // len(indices)
            self._byte_ends: Sequence[int] = range(width, width * len(indices) + 1, width) if width else self._row_ends
        else:
            self._byte_ends = list(accumulate(sum(map(_size, entry.inputs)) for entry in entries))
        has_rows = entries is None or entries[0].rows is not None
        self.shape: Shape = tuple(tensor.shape[1 if has_rows else 0 :] for tensor in inputs)

    def fitting(self, start: int, rows: int, max_bytes: int) -> int:
        """Return the end of the part from `start` with at most that many rows and bytes; one record always fits."""
        before = start and self._row_ends[start - 1], start and self._byte_ends[start - 1]
        ends = bisect_right(self._row_ends, before[0] + rows), bisect_right(self._byte_ends, before[1] + max_bytes)
        return max(start + 1, min(ends))

    def rows(self, start: int, stop: int) -> int:
        """Return how many rows the records from `start` to `stop` have."""
        return self._row_ends[stop - 1] - (self._row_ends[start - 1] if start else 0)

    def inputs(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """Return the inputs of the records from `start` to `stop`."""
        if self._entries is not None and stop - start == 1:
            return self._entries[start].inputs
        if (start, stop) == (0, len(self.indices)):
            return self._inputs
        first = self._row_ends[start - 1] if start else 0
        return sliced(self._inputs, first, self._row_ends[stop - 1])

    def checked_rows(self, start: int, stop: int) -> int | None:
        """Return how many rows each output must have; None if only the signature's shapes count."""
        if self._entries is not None and stop - start == 1:
            return self._entries[start].checked_rows
        return self.rows(start, stop)

    def document(self, index: int) -> Callable[[Sequence[Tensor]], dict[str, object]] | None:
        """Return what makes a record's result from its outputs; None for a single instance."""
        return None if self._entries is None else self._entries[index].document

    def count(self, index: int) -> int:
        """Return how many rows a record has."""
        return self._counts[index]


def group_of(indices: Sequence[int], entries: Sequence[Decoded]) -> Group:
    """Return the group of records of one shape."""
    inputs = entries[0].inputs if len(entries) == 1 else joined([entry.inputs for entry in entries])
    return Group(indices, inputs, entries)


def _size(tensor: Tensor) -> int:
    return tensor.count * (tensor.datatype.size or _STRING_BYTES)

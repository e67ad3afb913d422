"""The values of a column in bins: bounded in size, whatever the number of rows, and summed up in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Values: TypeAlias = "np.ndarray[Any, Any]"

# Bins of numbers between quantiles, as is usual for the population stability index.
BINS = 10

# A column of at most so many values has a bin for each, and so have the most frequent texts.
DISTINCT = 20

# Rows by which bins are chosen.
SAMPLE = 100_000


class Sample:
    """Values of a column, at most SAMPLE, each row's with the same probability (Vitter's Algorithm R)."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)  # the same bins for the same rows
        self._seen = 0
        self.values: list[Any] = []

    def add(self, values: Sequence[Any]) -> None:
        """Take further values, None for a missing one, which is no part of the sample."""
        present = [value for value in values if value is not None]
        room = SAMPLE - len(self.values)
        self.values += present[:room]
        places = self._random.integers(0, np.arange(self._seen, self._seen + len(present)) + 1)
        for index in np.flatnonzero(places < SAMPLE):
            if index >= room:
                self.values[places[index]] = present[index]
        self._seen += len(present)


@dataclass(frozen=True, slots=True)
class Bins:
    """The bins of a column: one for each of some values and one for all others, or those between edges of numbers.

    A bin has the numbers from its edge to below the next; infinities are in the first and the last. In both forms the
    last count is of missing values.
    """

    name: str
    values: tuple[Any, ...] = ()
    edges: tuple[float, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """What is in each bin."""
        if self.edges:
            inner = [f"{low:.6g} to {high:.6g}" for low, high in zip(self.edges, self.edges[1:], strict=False)]
            return (f"below {self.edges[0]:.6g}", *inner, f"{self.edges[-1]:.6g} and more", "missing")
        return (*map(str, self.values), "other", "missing")

    @property
    def is_ordered(self) -> bool:
        """Whether a bin is between its neighbours."""
        return bool(self.edges)

    def count(self, column: pa.Array) -> Values:
        """Return how many values of a column are in each bin. Of numbers, NaN is missing."""
        missing = pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))
        present = column.filter(pc.invert(missing))
        found = np.zeros(len(self.labels), np.int64)
        found[-1] = len(column) - len(present)
        if self.edges:
            numbers = np.asarray(present.cast(pa.float64()))
            found[:-1] = np.bincount(np.searchsorted(self.edges, numbers, "right"), minlength=len(self.edges) + 1)
            return found
        places = {value: index for index, value in enumerate(self.values)}
        for each in pc.value_counts(present).to_pylist():
            found[places.get(each["values"], len(self.values))] += each["counts"]
        return found


def choose(name: str, sample: Sample) -> Bins:
    """Choose the bins of a column by the values of the reference."""
    counted = Counter(value for value in sample.values if value == value)  # noqa: PLR0124 - NaN is missing
    frequent = tuple(value for value, _ in counted.most_common(DISTINCT))
    numbers = all(isinstance(value, (int, float)) for value in counted)
    if not numbers or len(counted) <= DISTINCT:
        return Bins(name, values=tuple(sorted(frequent)) if numbers else frequent)
    ordered = np.asarray(sorted(counted.elements()), np.float64)
    edges = np.quantile(ordered, np.arange(1, BINS) / BINS, method="inverted_cdf")
    return Bins(name, edges=tuple(map(float, np.unique(edges))))

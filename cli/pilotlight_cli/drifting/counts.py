"""The values of a column of files: a sample, by which its bins are chosen, and their counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pilotlight.drift.bins import Bins

Values: TypeAlias = "np.ndarray[Any, Any]"

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


def count(bins: Bins, column: pa.Array) -> Values:
    """Return how many values of a column are in each bin, as `Bins.count` does. Of numbers, NaN is missing."""
    missing = pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))
    present = column.filter(pc.invert(missing))
    found = np.zeros(bins.size, np.int64)
    found[-1] = len(column) - len(present)
    if bins.edges:
        numbers = np.asarray(present.cast(pa.float64()))
        found[:-1] = np.bincount(np.searchsorted(bins.edges, numbers, "right"), minlength=len(bins.edges) + 1)
        return found
    places = {value: index for index, value in enumerate(bins.values)}
    for each in pc.value_counts(present).to_pylist():
        found[places.get(each["values"], len(bins.values))] += each["counts"]
    return found

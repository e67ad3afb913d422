"""The values of a column in bins: bounded in size, whatever the number of rows, and summed up in any order."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import repeat
from typing import Any

from pilotlight.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Bins:
    """The bins of a column: one for each of some values and one for all others, or those between edges of numbers.

    A bin has the numbers from its edge to below the next. The first and the last edge enclose what the reference has:
    the bins outside of them, with the infinities, are out of its range. In both forms the last count is of missing
    values.
    """

    name: str
    values: tuple[Any, ...] = ()
    edges: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """The number of bins."""
        return (len(self.edges) + 1 if self.edges else len(self.values) + 1) + 1

    @property
    def labels(self) -> tuple[str, ...]:
        """What is in each bin."""
        if self.edges:
            inner = [f"{low:.6g} to {high:.6g}" for low, high in zip(self.edges, self.edges[1:], strict=False)]
            return (f"below {self.edges[0]:.6g}", *inner, f"above {self.edges[-1]:.6g}", "missing")
        return (*map(str, self.values), "other", "missing")

    @property
    def is_ordered(self) -> bool:
        """Whether a bin is between its neighbours."""
        return bool(self.edges)

    def count(self, values: Sequence[Any]) -> list[int]:
        """Return how many values of a column are in each bin. None and NaN are missing."""
        found = [0] * self.size
        if not self.edges:
            places = {value: index for index, value in enumerate(self.values)}
            for value, times in Counter(values).items():
                is_missing = value is None or value != value  # noqa: PLR0124 - NaN
                found[-1 if is_missing else places.get(value, -2)] += times
            return found
        present = values
        try:
            counted = Counter(map(bisect_right, repeat(self.edges), present))
        except TypeError:  # None, which no tensor of numbers has
            present = [value for value in values if value is not None]
            counted = Counter(map(bisect_right, repeat(self.edges), present))
        for place, times in counted.items():
            found[place] = times
        if found[-2]:  # NaN is not below any edge, and so in the last bin
            unequal = sum(value != value for value in present)  # noqa: PLR0124
            found[-2] -= unequal
            found[-1] = unequal
        found[-1] += len(values) - len(present)
        return found

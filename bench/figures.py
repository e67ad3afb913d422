"""What a number of rounds comes to: medians, the middle half, and ratios taken within each round."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Measured: TypeAlias = Mapping[str, float]
"""What one start came to: seconds and bytes, by name."""

Round: TypeAlias = Mapping[str, Measured]
"""What one round came to, by contestant."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median, and between which values the middle half lies."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of one value or more."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def values(rounds: Sequence[Round], name: str, measure: str) -> Spread:
    """Return the spread of what a contestant took."""
    return spread([each[name][measure] for each in rounds])


def ratios(rounds: Sequence[Round], name: str, reference: str, measure: str) -> Spread:
    """Return the spread of a contestant's ratio to another's in the same round.

    What happens on the machine meanwhile touches neighbours in time alike, so their ratio tells more than the values.
    """
    return spread([each[name][measure] / each[reference][measure] for each in rounds])

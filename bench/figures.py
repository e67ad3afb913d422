"""What a number of rounds comes to: medians, the middle half, and ratios taken within each round."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """One round of one contestant: seconds from the start to the first answer, answers a second, bytes of memory."""

    first_answer: float
    requests_per_second: float
    memory: int


MEASURES = ("first_answer", "requests_per_second", "memory")


@dataclass(frozen=True, slots=True)
class Spread:
    """The median, and between which values the middle half lies."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """The spread of one value or more."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def summary(rounds: Sequence[dict[str, Measured]], reference: str) -> dict[str, dict[str, dict[str, Spread]]]:
    """By contestant and measure: the value's spread and that of its ratio to the reference's in the same round.

    What happens on the machine meanwhile touches neighbours in time alike, so their ratio tells more than the values.
    """
    return {
        name: {
            measure: {
                "value": spread([getattr(each[name], measure) for each in rounds]),
                "ratio": spread([getattr(each[name], measure) / getattr(each[reference], measure) for each in rounds]),
            }
            for measure in MEASURES
        }
        for name in rounds[0]
    }


def as_document(rounds: Sequence[dict[str, Measured]]) -> list[dict[str, object]]:
    """The rounds as they are, for a results file."""
    return [{name: asdict(measured) for name, measured in each.items()} for each in rounds]

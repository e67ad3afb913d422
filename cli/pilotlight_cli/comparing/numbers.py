"""How far two series of predictions are apart: pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, inf, log10
from typing import Final, TypeAlias

from pilotlight.model.golden import Scalar
from pilotlight.shadow.pairs import distance, is_flip

Number: TypeAlias = "float | None"

_MOST_EXAMPLES: Final = 5
_MOST_BINS: Final = 16


@dataclass(frozen=True, slots=True)
class Bin:
    """How many differences are at least `low` and below `high`; the first bin, of equal values, has 0 twice."""

    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Differences:
    """The absolute differences of `count` pairs of numbers.

    `largest_at` is the position of the largest. `unmatched` pairs, of which one alone is a finite number, are not among
    them.
    """

    count: int
    unmatched: int
    largest: float
    largest_at: int
    mean: float
    p50: float
    p95: float
    p99: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Flip:
    """A position at which the values differ."""

    position: int
    before: Scalar | None
    after: Scalar | None


@dataclass(frozen=True, slots=True)
class Flips:
    """The pairs of values that differ, `count` of `total`; `kinds` are the most frequent, with the number of each."""

    total: int
    count: int
    examples: tuple[Flip, ...]
    kinds: tuple[tuple[str, str, int], ...]

    @property
    def share(self) -> float:
        """The share of the values that differ, from 0 to 1."""
        return self.count / self.total if self.total else 0.0


def differences(before: Sequence[Number], after: Sequence[Number]) -> Differences:
    """Compare two series of one length, in which None stands for what is not finite. Two of these are equal."""
    apart: list[float] = []
    positions: list[int] = []
    unmatched = 0
    for position, (old, new) in enumerate(zip(before, after, strict=True)):
        gap = distance(old, new)
        if gap == inf:
            unmatched += 1
        elif gap is not None:
            apart.append(gap)
            positions.append(position)
    if not apart:
        return Differences(0, unmatched, 0.0, 0, 0.0, 0.0, 0.0, 0.0, ())
    ordered = sorted(apart)
    return Differences(
        count=len(apart),
        unmatched=unmatched,
        largest=ordered[-1],
        largest_at=positions[apart.index(ordered[-1])],
        mean=sum(apart) / len(apart),
        p50=quantile(ordered, 0.5),
        p95=quantile(ordered, 0.95),
        p99=quantile(ordered, 0.99),
        bins=decades(ordered),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of sorted values, between two of them by their distance."""
    place = share * (len(ordered) - 1)
    low = floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def decades(apart: Sequence[float]) -> tuple[Bin, ...]:
    """Count differences: those of 0, and the others by their power of ten. Small ones share a bin if there are many."""
    return spread(sum(not value for value in apart), Counter(floor(log10(value)) for value in apart if value))


def spread(none: int, counts: Mapping[int, int]) -> tuple[Bin, ...]:
    """Return the bins of `none` equal values, and of others by their power of ten, as `decades` does."""
    equal = Bin(0.0, 0.0, none)
    if not counts:
        return (equal,)
    last = max(counts)
    first = max(min(counts), last - _MOST_BINS + 1)
    small = sum(count for power, count in counts.items() if power < first)
    bins = [Bin(10.0**power, 10.0 ** (power + 1), counts.get(power, 0)) for power in range(first, last + 1)]
    return (equal, *([Bin(0.0, 10.0**first, small)] if small else []), *bins)


def flips(before: Sequence[Scalar | None], after: Sequence[Scalar | None]) -> Flips:
    """Compare two series of one length for equality. Values of different types are compared as texts."""
    found = [
        Flip(position, old, new)
        for position, (old, new) in enumerate(zip(before, after, strict=True))
        if is_flip(old, new)
    ]
    kinds = Counter((str(flip.before), str(flip.after)) for flip in found)
    frequent = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))[:_MOST_EXAMPLES]
    return Flips(
        len(before),
        len(found),
        tuple(found[:_MOST_EXAMPLES]),
        tuple((old, new, count) for (old, new), count in frequent),
    )

"""Whether the counts of a column differ by more than chance, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, exp, fsum, gamma, log, sqrt

from pilotlight.drift.bins import Bins
from pilotlight.frozen import dataclass

LEVELS = ("none", "moderate", "large")

# The population stability index from which a change is moderate or large, by the usual convention (Siddiqi, Credit Risk
# Scorecards, 2006). A shift of a normal column by half its standard deviation is about 0.25.
MODERATE, LARGE = 0.1, 0.25

# The probability that any column of rows without drift is called changed, at most.
LEVEL = 0.005

# Rows that both sides need, and how many of both together a bin needs for the chi-squared distribution (Cochran).
LEAST_ROWS = 30
_LEAST_EXPECTED = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """A column: its population stability index, and the probability of a difference like this by chance.

    `level` is one of LEVELS. `moved` names the bin whose share changed most, with its share before and after, from 0 to
    1; `missing` and `outside` are the shares of missing values, and of those outside of the reference's range or
    values.
    """

    name: str
    level: str
    psi: float
    p: float
    moved: tuple[str, float, float]
    missing: tuple[float, float]
    outside: tuple[float, float]


def judge(bins: Bins, before: Sequence[int], after: Sequence[int], columns: int) -> Finding:
    """Compare the counts of a reference with those of later rows; `columns` are judged together (Bonferroni)."""
    old, new = _shares(before), _shares(after)
    place = max(range(bins.size), key=lambda index: abs(new[index] - old[index]))
    index, chance = stability(before, after), probability(before, after, ordered=bins.is_ordered)
    enough = min(sum(before), sum(after)) >= LEAST_ROWS
    changed = enough and chance * columns < LEVEL and index >= MODERATE
    level = "none" if not changed else "large" if index >= LARGE else "moderate"
    moved = bins.labels[place], old[place], new[place]
    outside = [share[-2] + (share[0] if bins.is_ordered else 0.0) for share in (old, new)]
    return Finding(bins.name, level, index, chance, moved, (old[-1], new[-1]), (outside[0], outside[1]))


def _shares(counts: Sequence[int]) -> list[float]:
    total = max(sum(counts), 1)
    return [int(count) / total for count in counts]


def stability(before: Sequence[int], after: Sequence[int]) -> float:
    """Return the population stability index of two counts over the same bins, each with half a row more in each bin.

    The half keeps an empty bin from being infinite (Jeffreys' prior). Bins that are empty on both sides do not count.
    """
    used = [(one + 0.5, other + 0.5) for one, other in zip(before, after, strict=True) if one or other]
    old, new = sum(one for one, _ in used), sum(other for _, other in used)
    return fsum((other / new - one / old) * log((other / new) / (one / old)) for one, other in used)


def probability(before: Sequence[int], after: Sequence[int], *, ordered: bool) -> float:
    """Return the probability of a difference at least as large by chance: Pearson's chi-squared test of homogeneity.

    Bins of too few rows are joined, neighbours where bins are ordered; missing values stay a bin of their own if they
    are enough.
    """
    joined = _joined(before, after, ordered=ordered)
    if len(joined) < 2:
        return 1.0
    totals = [sum(one for one, _ in joined), sum(other for _, other in joined)]
    rows = sum(totals)
    value = fsum(
        (counts[side] - expected) ** 2 / expected
        for counts in joined
        for side in (0, 1)
        for expected in [totals[side] * sum(counts) / rows]
    )
    return chi_squared_tail(value, len(joined) - 1)


def _joined(before: Sequence[int], after: Sequence[int], *, ordered: bool) -> list[tuple[int, int]]:
    """Return the counts of both sides in bins that are expected to have enough rows on both."""
    smaller = min(sum(before), sum(after))
    if not smaller:
        return []
    least = _LEAST_EXPECTED * (sum(before) + sum(after)) / smaller
    *present, missing = [(int(one), int(other)) for one, other in zip(before, after, strict=True)]
    if not ordered:
        present.sort(key=lambda pair: -pair[0] - pair[1])
    groups: list[tuple[int, int]] = []
    open_ = (0, 0)
    for counts in present:
        open_ = _sum(open_, counts)
        if sum(open_) >= least:
            groups.append(open_)
            open_ = (0, 0)
    for rest in (open_, missing):
        if rest == (0, 0):
            continue
        if sum(rest) >= least or not groups:
            groups.append(rest)
        else:
            groups[-1] = _sum(groups[-1], rest)
    return groups


def _sum(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]


def chi_squared_tail(value: float, freedom: int) -> float:
    """Return the probability of more than `value` under the chi-squared distribution, exact for each whole `freedom`.

    Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.4.4 and 26.4.5.
    """
    half = value / 2
    if half > 700:  # exp() of less is 0
        return 0.0
    if freedom % 2 == 0:
        return exp(-half) * fsum(half**power / gamma(power + 1) for power in range(freedom // 2))
    return erfc(sqrt(half)) + exp(-half) * fsum(
        half ** (power + 0.5) / gamma(power + 1.5) for power in range(freedom // 2)
    )

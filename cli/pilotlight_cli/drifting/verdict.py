"""Whether the counts of a column differ by more than chance, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, exp, fsum, gamma, sqrt
from typing import Literal

import numpy as np

from pilotlight_cli.drifting.counts import Bins, Values

Level = Literal["none", "moderate", "large"]
LEVELS: tuple[Level, ...] = ("none", "moderate", "large")

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

    `moved` names the bin whose share changed most, with its share before and after, from 0 to 1.
    """

    name: str
    level: Level
    psi: float
    p: float
    moved: tuple[str, float, float]
    missing: tuple[float, float]


def judge(bins: Bins, before: Values, after: Values, columns: int) -> Finding:
    """Compare the counts of a reference with those of later rows; `columns` are judged together (Bonferroni)."""
    shares = before / max(before.sum(), 1), after / max(after.sum(), 1)
    place = int(np.argmax(np.abs(shares[1] - shares[0])))
    index, chance = stability(before, after), probability(before, after, ordered=bins.is_ordered)
    enough = min(before.sum(), after.sum()) >= LEAST_ROWS
    changed = enough and chance * columns < LEVEL and index >= MODERATE
    level: Level = "none" if not changed else "large" if index >= LARGE else "moderate"
    moved = bins.labels[place], float(shares[0][place]), float(shares[1][place])
    return Finding(bins.name, level, index, chance, moved, (float(shares[0][-1]), float(shares[1][-1])))


def stability(before: Values, after: Values) -> float:
    """Return the population stability index of two counts over the same bins, each with half a row more in each bin.

    The half keeps an empty bin from being infinite (Jeffreys' prior). Bins that are empty on both sides do not count.
    """
    used = (before > 0) | (after > 0)
    shares = [(counts[used] + 0.5) / (counts[used] + 0.5).sum() for counts in (before, after)]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def probability(before: Values, after: Values, *, ordered: bool) -> float:
    """Return the probability of a difference at least as large by chance: Pearson's chi-squared test of homogeneity.

    Bins of too few rows are joined, neighbours where bins are ordered; missing values stay a bin of their own if they
    are enough.
    """
    joined = _joined(np.stack([before, after]), ordered=ordered)
    if joined.shape[1] < 2:
        return 1.0
    rows, bins = joined.sum(axis=1, keepdims=True), joined.sum(axis=0, keepdims=True)
    expected = rows * bins / joined.sum()
    return chi_squared_tail(float(((joined - expected) ** 2 / expected).sum()), joined.shape[1] - 1)


def _joined(counts: Values, *, ordered: bool) -> Values:
    """Return counts whose bins are expected to have enough rows on both sides. The last column is of missing values."""
    total = counts.sum()
    if not counts.sum(axis=1).all():
        return counts[:, :0]
    least = _LEAST_EXPECTED * total / counts.sum(axis=1).min()
    present, missing = counts[:, :-1], counts[:, -1]
    order = range(present.shape[1]) if ordered else np.argsort(-present.sum(axis=0), kind="stable")
    groups: list[Values] = []
    open_ = np.zeros(2, counts.dtype)
    for index in order:
        open_ = open_ + present[:, index]
        if open_.sum() >= least:
            groups.append(open_)
            open_ = np.zeros(2, counts.dtype)
    for rest in (open_, missing):
        if rest.sum() >= least or (rest.sum() and not groups):
            groups.append(rest)
        elif rest.sum():
            groups[-1] = groups[-1] + rest
    return np.stack(groups, axis=1)


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

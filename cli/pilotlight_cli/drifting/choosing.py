"""The bins of a column, chosen by the values of the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import ceil, inf, isfinite, nextafter
from sys import float_info
from typing import Any

from pilotlight.drift.bins import Bins
from pilotlight.drift.reference import BINS, DISTINCT, LONGEST


def choose(name: str, values: Iterable[Any]) -> Bins:
    """Return bins for a column by its values, of which None and NaN are missing.

    Numbers with more than DISTINCT values have bins between quantiles, by the inverse of their empirical distribution;
    of texts those that are not too long have one each.
    """
    counted = Counter(value for value in values if value is not None and value == value)  # noqa: PLR0124 - NaN
    numbers = all(isinstance(value, (int, float)) for value in counted)
    finite = sorted(value for value in counted.elements() if isfinite(value)) if numbers else []
    if len(counted) > DISTINCT and finite:
        quantiles = {finite[ceil(len(finite) * part / BINS) - 1] for part in range(1, BINS)}
        edges = {finite[0], *quantiles, min(nextafter(finite[-1], inf), float_info.max)}
        return Bins(name, edges=tuple(sorted(map(float, edges))))
    kept = [value for value, _ in counted.most_common(DISTINCT) if not isinstance(value, str) or len(value) <= LONGEST]
    return Bins(name, values=tuple(sorted(kept) if numbers else kept))

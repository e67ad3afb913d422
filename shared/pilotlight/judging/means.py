"""Whether the mean of one version is higher than another's, by a mixture SPRT on the difference of two means.

The difference of the means is nearly normal, with the variance V of both. The evidence is the likelihood of the
difference so far, in the mean over true differences drawn from a normal distribution, over its likelihood without one.
It reaches 1/LEVEL with a probability of at most LEVEL, however often one looks: Johari, Koomen, Pekelis and Walsh,
Always Valid Inference (2022), section 5.2. Half of it is for lower means, and no evidence here.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, inf, isfinite, sqrt
from statistics import fmean, variance
from typing import NamedTuple

from pilotlight.judging.shares import LEVEL

# Fewer values have no mean that is nearly normal.
ENOUGH = 20

# The deviation of true differences in the mixture, in standard deviations of a value.
_SPREAD = 0.2

# exp() of more is no double.
_LARGEST = 700.0


class Sample(NamedTuple):
    """How many values a version has, their mean, and their variance."""

    number: int
    mean: float
    variance: float


def sample(values: Iterable[float]) -> Sample:
    """Return the sample of values; of fewer than two its variance is 0."""
    known = list(values)
    return Sample(len(known), fmean(known) if known else 0.0, variance(known) if len(known) > 1 else 0.0)


def evidence(new: Sample, old: Sample, margin: float = 0.0) -> float:
    """Return how much speaks for a mean that is higher by more than `margin`; 0 where a number is none."""
    excess = new.mean - old.mean - margin
    if min(new.number, old.number) < ENOUGH or not isfinite(excess) or excess <= 0:
        return 0.0
    noise = new.variance / new.number + old.variance / old.number
    if not noise > 0:
        return inf if noise == 0 else 0.0
    mixed = _SPREAD**2 * (new.variance + old.variance) / 2
    logarithm = mixed * excess**2 / (2 * noise * (noise + mixed))
    return sqrt(noise / (noise + mixed)) * exp(logarithm) / 2 if logarithm < _LARGEST else inf


def is_higher(new: Sample, old: Sample, margin: float = 0.0) -> bool:
    """Whether the new mean is higher by more than `margin`, at LEVEL."""
    return evidence(new, old, margin) >= 1 / LEVEL

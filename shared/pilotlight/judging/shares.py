"""Whether a version has more than its share of errors, by a mixture SPRT.

Traffic is split at random, so if both versions are equally good, each error belongs to the new one with the probability
of its share of the traffic, whatever the rate of errors. If an error were ODDS times as probable with the new version,
it would belong to that one with the odds of its share times ODDS. The evidence is the likelihood of the errors so far
under such odds, in the mean over _ODDS, over their likelihood under the true shares. Under these it is a martingale
from 1/2 on, so the probability that it ever reaches 1/LEVEL is below LEVEL, however often one looks, and whatever the
splits were: Robbins, Statistical Methods Related to the Law of the Iterated Logarithm (1970); Johari, Koomen, Pekelis
and Walsh, Always Valid Inference (2022).

The share may be counted instead of known: requests of the new version over those of both. The errors are then a draw
without replacement, whose evidence is smaller in the mean: Hoeffding, Probability Inequalities (1963), theorem 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, inf, log
from typing import NamedTuple

# The probability of calling an equally good version worse, at most.
LEVEL = 0.05

# How many times as probable an error may be. The other half of the mixture is for a better version, and has no
# evidence here. `bench/canaries.py` shows what follows from it.
_ODDS = (1.25, 1.5, 2.0, 4.0, 10.0, 100.0)
_WEIGHT = 0.5 / len(_ODDS)

# exp() of more is no double.
_LARGEST = 700.0


class Split(NamedTuple):
    """The errors of each version while the new one had a share of the traffic, between 0 and 1, both excluded."""

    new: float
    old: float
    share: float


def evidence(splits: Iterable[Split]) -> float:
    """Return how much the errors of one or more splits speak for a new version that is worse.

    Raise ValueError unless each share is between 0 and 1, both excluded.
    """
    logarithms = [log(_WEIGHT)] * len(_ODDS)
    for new, old, share in splits:
        if not 0 < share < 1:
            raise ValueError(f"expected a share between 0 and 1, found {share}")
        if new or old:
            for index, odds in enumerate(_ODDS):
                logarithms[index] += new * log(odds) - (new + old) * log(1 - share + share * odds)
    highest = max(logarithms)
    return sum(exp(one - highest) for one in logarithms) * exp(highest) if highest < _LARGEST else inf


def is_worse(splits: Iterable[Split], tests: int = 1) -> bool:
    """Whether the new version is worse, at LEVEL for all of `tests` such questions together."""
    return evidence(splits) >= tests / LEVEL

"""Whether a version has more than its share of errors, by a mixture SPRT.

Traffic is split at random, so if both versions are equally good, each error belongs to the new one with the probability
of its share of the traffic, whatever the rate of errors. The evidence against that is the likelihood of the errors so
far under shares drawn from a beta distribution, over their likelihood under the true share. Under the true share it is
a martingale with the mean 1, so the probability that it ever reaches 1/LEVEL is at most LEVEL, however often one looks:
Robbins, Statistical Methods Related to the Law of the Iterated Logarithm (1970); Johari, Koomen, Pekelis and Walsh,
Always Valid Inference (2022).
"""

from __future__ import annotations

from math import exp, inf, lgamma, log

# The probability of calling an equally good version worse, at most.
LEVEL = 0.05

# How closely the shares in the mixture surround the true one: as many imagined errors. `bench/canaries.py` shows what
# follows from it.
_CONCENTRATION = 4.0

# exp() of more is no double.
_LARGEST = 700.0


def evidence(new: int, old: int, share: float) -> float:
    """Return how much the errors speak for a new version that is worse; 0 if it has no more than its share.

    `new` and `old` count the errors of each version since the split, `share` is the new one's part of the traffic.
    Raise ValueError unless it is between 0 and 1, both excluded.
    """
    if not 0 < share < 1:
        raise ValueError(f"expected a share between 0 and 1, found {share}")
    if new <= share * (new + old):
        return 0.0
    alpha, beta = _CONCENTRATION * share, _CONCENTRATION * (1 - share)
    logarithm = _log_beta(new + alpha, old + beta) - _log_beta(alpha, beta) - new * log(share) - old * log(1 - share)
    return exp(logarithm) if logarithm < _LARGEST else inf


def is_worse(new: int, old: int, share: float) -> bool:
    """Whether the new version is worse, at LEVEL."""
    return evidence(new, old, share) >= 1 / LEVEL


def _log_beta(alpha: float, beta: float) -> float:
    return lgamma(alpha) + lgamma(beta) - lgamma(alpha + beta)

"""Whether a mean is higher: the evidence against scipy's distributions, and how often it errs."""

from __future__ import annotations

from math import inf, log, nan, sqrt

import pytest
from scipy.stats import norm

from canaries import simulate_latencies
from pilotlight.judging.means import Sample, evidence, sample


@pytest.mark.parametrize("new", [Sample(30, 1.2, 0.4), Sample(500, 1.02, 0.2), Sample(25, 3.0, 1.5)])
@pytest.mark.parametrize("margin", [0.0, 0.01])
def test_the_evidence_is_the_ratio_of_two_normal_distributions_of_the_difference(new: Sample, margin: float) -> None:
    old = Sample(200, 1.0, 0.3)
    noise, mixed = new.variance / new.number + 0.3 / 200, 0.2**2 * (new.variance + 0.3) / 2
    excess = new.mean - 1.0 - margin
    expected = norm.logpdf(excess, 0, sqrt(noise + mixed)) - norm.logpdf(excess, 0, sqrt(noise))
    assert log(2 * evidence(new, old, margin)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_versions_that_are_equally_quick_are_called_slower_in_one_of_a_hundred_canaries_at_most(share: float) -> None:
    assert simulate_latencies(2000, 200, share, 1.0).share <= 0.01


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_version_that_is_a_quarter_slower_is_found_soon(share: float) -> None:
    found = simulate_latencies(300, 200, share, 1.25)
    assert found.share >= 0.99
    assert found.look is not None
    assert found.look <= 10


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        (Sample(20, 2.0, 0.0), Sample(20, 1.0, 0.0), inf),
        (Sample(19, 2.0, 0.0), Sample(20, 1.0, 0.0), 0),
        (Sample(20, 1.0, 0.0), Sample(20, 1.0, 0.0), 0),
        (Sample(20, 0.5, 0.1), Sample(20, 1.0, 0.1), 0),
        (Sample(20, nan, 0.1), Sample(20, 1.0, 0.1), 0),
        (Sample(20, 2.0, nan), Sample(20, 1.0, 0.1), 0),
        (Sample(20, inf, 0.1), Sample(20, 1.0, 0.1), 0),
        (Sample(10**6, 9.0, 0.1), Sample(10**6, 1.0, 0.1), inf),
        (sample([]), sample([1.0]), 0),
    ],
)
def test_what_is_constant_too_little_or_no_number(new: Sample, old: Sample, expected: float) -> None:
    assert evidence(new, old) == expected

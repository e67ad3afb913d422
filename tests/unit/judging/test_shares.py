"""Whether a version is worse: the evidence against scipy's distributions, and how often it errs."""

from __future__ import annotations

from math import exp, inf, log

import numpy as np
import pytest
from scipy.stats import binom, hypergeom

from canaries import simulate
from pilotlight.judging.shares import LEVEL, Split, evidence, is_worse

ODDS = (1.25, 1.5, 2, 4, 10, 100)


def ratio(split: Split, odds: float) -> float:
    """Return the logarithm of how much likelier the errors are if the new version's are `odds` times as probable."""
    new, old, share = split
    share_of_errors = share * odds / (1 - share + share * odds)
    return float(binom.logpmf(new, new + old, share_of_errors) - binom.logpmf(new, new + old, share))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize(("new", "old"), [(1, 0), (5, 0), (20, 3), (30, 200), (90, 400), (0, 7), (1, 300)])
def test_the_evidence_is_the_ratio_of_distributions_of_the_errors_over_all_splits(
    new: int, old: int, share: float
) -> None:
    splits = [Split(new, old, share), Split(2, 5, 0.3), Split(0, 0, 0.7)]
    expected = sum(exp(sum(ratio(split, odds) for split in splits)) / 12 for odds in ODDS)
    assert log(evidence(splits)) == pytest.approx(log(expected), rel=1e-6)


def test_evidence_beyond_a_double_is_infinite() -> None:
    assert evidence([Split(100_000, 0, 0.1)]) == inf


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_that_splits_nothing_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="expected a share between 0 and 1"):
        evidence([Split(1, 1, share)])


@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.parametrize("rate", [0.001, 0.02, 0.3])
def test_versions_that_are_equally_good_are_called_worse_in_one_of_a_hundred_canaries_at_most(
    rate: float, share: float
) -> None:
    assert simulate("sprt", 2000, 1000, share, (rate, rate)).share <= 0.01


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_rate_of_errors_that_doubles_is_found_soon(share: float) -> None:
    found = simulate("sprt", 2000, 1000, share, (0.02, 0.04))
    assert found.share >= 0.99
    assert found.look is not None
    assert found.look <= 10


def test_shares_that_are_counted_and_rates_that_change_with_them_err_as_rarely() -> None:
    random = np.random.default_rng(3)
    called = 0
    for _ in range(500):
        splits = []
        for step in range(1, 10):  # a shift in tenths, through an outage in which every second request fails
            new = int(random.binomial(100, step / 10))
            errors = int(random.binomial(100, 0.5 if step > 6 else 0.02))
            worse = int(random.hypergeometric(new, 100 - new, errors)) if errors else 0
            if 0 < new < 100:
                splits.append(Split(worse, errors - worse, new / 100))
            if is_worse(splits):
                called += 1
                break
    assert called / 500 <= LEVEL / 2


def test_a_share_that_is_counted_has_no_evidence_in_the_mean() -> None:
    total, new, errors = 30, 6, 9
    mean = sum(
        hypergeom.pmf(worse, total, errors, new) * evidence([Split(worse, errors - worse, new / total)])
        for worse in range(7)
    )
    assert mean <= 0.5


def test_a_z_test_at_every_look_would_err_more_often_than_its_level() -> None:
    assert simulate("z", 500, 1000, 0.1, (0.02, 0.02)).share > 2 * LEVEL


def test_a_version_that_fails_every_request_is_found_at_once() -> None:
    assert is_worse([Split(5, 0, 0.1)])
    assert not is_worse([Split(1, 0, 0.1)])
    assert is_worse([Split(3, 0, 0.1)])
    assert not is_worse([Split(3, 0, 0.1)], tests=20)

"""Whether a version is worse: the evidence against scipy's distributions, and how often it errs."""

from __future__ import annotations

from math import inf, log

import pytest
from scipy.stats import betabinom, binom

from canaries import simulate
from pilotlight_cli.judging.shares import LEVEL, evidence, is_worse


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize(("new", "old"), [(1, 0), (5, 0), (20, 3), (30, 200), (90, 400), (0, 7), (1, 300)])
def test_the_evidence_is_the_ratio_of_two_distributions_of_the_errors(new: int, old: int, share: float) -> None:
    every = new + old
    expected = betabinom.logpmf(new, every, 4 * share, 4 * (1 - share)) - binom.logpmf(new, every, share)
    found = evidence(new, old, share)
    if new <= share * every:
        assert found == 0
    else:
        assert log(found) == pytest.approx(expected, rel=1e-6)


def test_evidence_beyond_a_double_is_infinite() -> None:
    assert evidence(100_000, 0, 0.1) == inf


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_that_splits_nothing_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="expected a share between 0 and 1"):
        evidence(1, 1, share)


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


def test_a_z_test_at_every_look_would_err_more_often_than_its_level() -> None:
    assert simulate("z", 500, 1000, 0.1, (0.02, 0.02)).share > 2 * LEVEL


def test_a_version_that_fails_every_request_is_found_at_once() -> None:
    assert is_worse(5, 0, 0.1)
    assert not is_worse(1, 0, 0.1)

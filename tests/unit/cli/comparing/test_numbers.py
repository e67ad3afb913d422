"""Differences, quantiles and flips of two series."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest

from pilotlight_cli.comparing.numbers import Bin, decades, differences, flips, quantile


def test_differences_are_absolute_and_know_where_the_largest_is() -> None:
    found = differences([1.0, 2.0, 3.0, 4.0], [1.0, 1.5, 5.0, 4.25])
    assert (found.count, found.largest, found.largest_at) == (4, 2.0, 2)
    assert (found.mean, found.p50) == (0.6875, 0.375)


def test_what_is_not_finite_on_both_sides_is_equal_and_on_one_is_unmatched() -> None:
    found = differences([None, 1.0, None, nan, 2.0], [None, None, 1.0, inf, 4.0])
    assert (found.count, found.unmatched, found.largest, found.largest_at) == (1, 2, 2.0, 4)


def test_series_without_a_number_have_no_differences() -> None:
    found = differences([None], [None])
    assert (found.count, found.unmatched, found.bins) == (0, 0, ())


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95, 0.99, 1.0])
@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_quantiles_are_those_of_numpy(share: float, count: int) -> None:
    values = sorted(np.random.default_rng(count).exponential(size=count).tolist())
    assert quantile(values, share) == pytest.approx(np.quantile(values, share))


def test_a_histogram_has_a_bin_for_equal_values_and_one_for_each_power_of_ten() -> None:
    assert decades([0.0, 0.0, 0.002, 0.3, 0.4]) == (
        Bin(0.0, 0.0, 2),
        Bin(0.001, 0.01, 1),
        Bin(0.01, 0.1, 0),
        Bin(0.1, 1.0, 2),
    )
    assert decades([0.0]) == (Bin(0.0, 0.0, 1),)


def test_a_histogram_of_many_powers_of_ten_puts_the_small_ones_together() -> None:
    bins = decades([1e-300, 1e-20, 5.0])
    assert (len(bins), bins[1], bins[-1]) == (18, Bin(0.0, 1e-15, 2), Bin(1.0, 10.0, 1))
    assert sum(each.count for each in bins) == 3


def test_flips_have_a_share_examples_and_the_most_frequent_kinds() -> None:
    found = flips(["a", "b", "a", "a", "b"] * 4, ["a", "a", "b", "b", "b"] * 4)
    assert (found.count, found.total, found.share) == (12, 20, 0.6)
    assert [(flip.position, flip.before, flip.after) for flip in found.examples[:2]] == [(1, "b", "a"), (2, "a", "b")]
    assert len(found.examples) == 5
    assert found.kinds == (("a", "b", 8), ("b", "a", 4))


def test_a_label_that_only_changes_its_type_is_no_flip() -> None:
    assert flips([1, 2, True], ["1", "3", True]).count == 1


def test_no_values_flip_no_share() -> None:
    assert flips([], []).share == 0.0

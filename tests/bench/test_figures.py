from __future__ import annotations

from figures import Spread, ratios, spread, values


def test_a_spread_is_the_median_and_the_middle_half() -> None:
    assert spread([5.0, 1.0, 3.0, 2.0, 4.0]) == Spread(median=3.0, low=2.0, high=4.0)


def test_one_round_has_a_spread_of_nothing() -> None:
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)


def test_ratios_are_taken_within_a_round() -> None:
    slow = {"a": {"seconds": 10.0}, "b": {"seconds": 5.0}}
    fast = {"a": {"seconds": 1.0}, "b": {"seconds": 0.5}}

    assert ratios([slow, fast], "b", "a", "seconds") == Spread(0.5, 0.5, 0.5)
    assert ratios([slow, fast], "a", "a", "seconds") == Spread(1.0, 1.0, 1.0)
    assert values([slow, fast], "b", "seconds").median == 2.75

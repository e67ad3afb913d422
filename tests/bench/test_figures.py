from __future__ import annotations

from figures import Measured, Spread, spread, summary


def test_a_spread_is_the_median_and_the_middle_half() -> None:
    assert spread([5.0, 1.0, 3.0, 2.0, 4.0]) == Spread(median=3.0, low=2.0, high=4.0)


def test_one_round_has_a_spread_of_nothing() -> None:
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)


def test_ratios_are_taken_within_a_round() -> None:
    slow = {"a": Measured(10.0, 100.0, 50), "b": Measured(5.0, 200.0, 100)}
    fast = {"a": Measured(1.0, 1000.0, 50), "b": Measured(0.5, 2000.0, 100)}

    found = summary([slow, fast], reference="a")

    assert found["b"]["first_answer"]["ratio"] == Spread(0.5, 0.5, 0.5)
    assert found["b"]["requests_per_second"]["ratio"] == Spread(2.0, 2.0, 2.0)
    assert found["b"]["memory"]["value"].median == 100
    assert found["a"]["memory"]["ratio"] == Spread(1.0, 1.0, 1.0)

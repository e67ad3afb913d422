"""Counts of a shadow: sums of parts are the counts of all, they have a bound, and say what diff says."""

from __future__ import annotations

import random
from itertools import pairwise
from math import inf, nan

import pytest

from pilotlight.codec.encode import to_json
from pilotlight.shadow.counts import Counts, count, fitted, merged
from pilotlight.shadow.pairs import Pair
from pilotlight_cli.comparing.numbers import differences, flips
from pilotlight_cli.experimenting.report import summed

LABELS = ("a", "b", "c")


def numbers(before: list[float | None], after: list[float | None]) -> Pair:
    return Pair("score", "score", 1, tuple(before), tuple(after))


def labels(before: list[str], after: list[str]) -> Pair:
    return Pair("label", "label", 1, tuple(before), tuple(after), is_exact=True)


def drawn(rows: int, seed: int) -> list[Pair]:
    source = random.Random(seed)  # noqa: S311 - of a test
    old = [source.choice(LABELS) for _ in range(rows)]
    new = [source.choice(LABELS) for _ in range(rows)]
    scores = [source.choice([source.gauss(0, 1), None, 0.0]) for _ in range(rows)]
    moved = [source.choice([score, None if score is None else score + source.gauss(0, 0.01)]) for score in scores]
    return [labels(old, new), numbers(scores, [source.choice([moved[place], None]) for place in range(rows)])]


def part(pairs: list[Pair], start: int, stop: int) -> list[Pair]:
    return [
        Pair(one.name, one.other_name, 1, one.before[start:stop], one.after[start:stop], is_exact=one.is_exact)
        for one in pairs
    ]


def without_sum(outputs: list[Counts]) -> list[Counts]:
    return [{name: value for name, value in one.items() if name != "sum"} for one in outputs]


def test_sums_of_parts_are_the_counts_of_all_however_fine_each_is() -> None:
    pairs = drawn(2_000, 1)
    cuts = [0, 1, 7, 400, 1_100, 2_000]
    parts = [count(part(pairs, *ends), LABELS) for ends in pairwise(cuts)]
    coarse = [fitted(one, 700) for one in parts]
    whole = count(pairs, LABELS)

    assert without_sum(merged(parts)) == without_sum(whole)
    assert merged(parts)[1]["sum"] == pytest.approx(whole[1]["sum"], rel=1e-12)
    together = merged(coarse)
    assert without_sum(together) == without_sum(merged([whole, [{**together[1], **_none(together[1]["scale"])}]]))


def _none(scale: int) -> Counts:
    return {"values": 0, "unmatched": 0, "equal": 0, "sum": 0.0, "largest": 0.0, "scale": scale, "bins": []}


@pytest.mark.parametrize("most", [60, 300, 1_000, 8_000])
def test_counts_have_a_bound(most: int) -> None:
    outputs = [one for seed in range(5) for one in count(drawn(2_000, seed), LABELS)]
    kept = fitted(outputs, most)
    assert len(to_json(kept)) <= most
    assert kept or most == 60


@pytest.mark.parametrize("rows", [1, 2, 3, 50, 500])
def test_a_report_says_what_diff_says_of_the_same_rows(rows: int) -> None:
    pairs = drawn(rows, rows)
    half = rows // 2
    lines = [
        {"model_name": "m", "model_version": 1, "shadow_version": 2, "outputs": count(part(pairs, *ends), LABELS)}
        for ends in ((0, half), (half, rows))
    ]
    (report,) = summed(lines)
    label, score = report.predictions.outputs
    expected = flips(pairs[0].before, pairs[0].after)
    assert label.flips is not None
    assert (label.flips.count, label.flips.total, label.flips.kinds) == (expected.count, rows, expected.kinds)

    apart = differences([*pairs[1].before], [*pairs[1].after])  # type: ignore[list-item]
    found = score.differences
    assert found is not None
    assert (found.count, found.unmatched, found.largest, found.bins) == (
        *(apart.count, apart.unmatched, apart.largest),
        apart.bins,
    )
    assert found.mean == pytest.approx(apart.mean, rel=1e-9)
    assert report.error < 0.0003
    for name in ("p50", "p95", "p99"):
        assert getattr(found, name) == pytest.approx(getattr(apart, name), rel=report.error)


def test_traps_of_numbers() -> None:
    before: list[float | None] = [1.0, None, nan, inf, 0.0, 5e-324, 1e308, -1e308, 0.0]
    after: list[float | None] = [1.0, None, None, 1.0, -0.0, 0.0, 1e308, 1e308, 1e-300]
    (found,) = count([numbers(before, after)], ())
    assert (found["values"], found["equal"], found["unmatched"]) == (9, 3, 2)
    assert len(found["bins"]) == 4


def test_a_flip_to_what_is_no_label_has_no_name() -> None:
    (found,) = count([labels(["a", "a"], ["b", "secret"])], LABELS)
    assert (found["flips"], found["kinds"]) == (2, [["a", "b", 1]])


def test_a_problem_stays_one() -> None:
    pair = Pair("y", "y", 0, problem="shape [2] before, [3] after")
    assert [one["problem"] for one in merged([count([pair], ()), count([pair], ())])] == [pair.problem]

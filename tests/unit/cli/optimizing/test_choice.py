"""Which form is kept, from measurements that are made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pilotlight.model.lock import DEFAULT_SESSION
from pilotlight_cli.optimizing.candidates import Candidate
from pilotlight_cli.optimizing.choice import Evaluation, Ratio, break_evens, choose, evaluate
from pilotlight_cli.optimizing.measuring import Measurement, Outcome


def loads(load: float, first: float, warm: float) -> Measurement:
    return Measurement(load_ms=load, first_ms=first, warm_ms=warm, peak_bytes=1)


def outcome(name: str, *rounds: Measurement) -> Outcome:
    return Outcome(Candidate(name, (Path("model.onnx"),), 1, DEFAULT_SESSION), rounds)


ORIGINAL = outcome("as it is", *[loads(1000, 40, 40)] * 4)
MAPPED = outcome("mapped", *[loads(500, 40, 40)] * 4)
PLAIN = outcome("not prepacked", *[loads(10, 60, 60)] * 4)


def kept(outcomes: Sequence[Outcome], requests: int = 20) -> str:
    return choose(evaluate(outcomes, requests)).candidate.name


@pytest.mark.parametrize(("requests", "name"), [(1, "not prepacked"), (24, "not prepacked"), (25, "mapped")])
def test_the_number_of_requests_decides_between_a_quick_load_and_quick_runs(requests: int, name: str) -> None:
    assert kept([ORIGINAL, MAPPED, PLAIN], requests) == name


def test_the_original_stays_where_others_are_slower() -> None:
    assert kept([MAPPED, ORIGINAL]) == "mapped"
    assert kept([ORIGINAL, outcome("slow", *[loads(1100, 40, 40)] * 4)]) == "as it is"


def test_other_answers_are_no_gain_however_quick() -> None:
    wrong = replace(PLAIN, rounds=(*PLAIN.rounds[:3], replace(PLAIN.rounds[3], agrees=False, largest=0.5)))
    evaluations = evaluate([ORIGINAL, wrong], 1)
    assert choose(evaluations) is evaluations[0]
    assert (evaluations[1].measured.agrees, evaluations[1].measured.largest) == (False, 0.5)


def test_outputs_of_other_shapes_have_no_difference() -> None:
    wrong = replace(PLAIN, rounds=tuple(replace(each, agrees=False, largest=None) for each in PLAIN.rounds))
    assert evaluate([ORIGINAL, wrong], 1)[1].measured.largest is None


def test_a_gain_that_only_some_rounds_have_is_none() -> None:
    lucky = outcome("lucky", loads(10, 1, 40), loads(10, 1, 40), loads(3000, 1, 40), loads(2000, 1, 40))
    assert kept([ORIGINAL, lucky], 1) == "as it is"


def test_a_gain_of_a_few_milliseconds_is_none() -> None:
    small = outcome("small", *[loads(9.0, 1, 0.1)] * 3)
    smaller = outcome("smaller", *[loads(4.5, 1, 0.1)] * 3)
    assert kept([small, smaller]) == "small"


def test_a_gain_of_a_few_hundredths_is_none() -> None:
    assert kept([ORIGINAL, outcome("hardly", *[loads(960, 40, 40)] * 4)], 1) == "as it is"


def test_what_could_not_be_measured_does_not_stand() -> None:
    broken = replace(outcome("broken"), problem="it does not load")
    assert [each.candidate.name for each in evaluate([ORIGINAL, broken, MAPPED], 1)] == ["as it is", "mapped"]


def test_ratios_are_taken_within_a_round() -> None:
    slow_and_fast = outcome("as it is", loads(100, 0, 0), loads(10, 0, 0))
    half = outcome("half", loads(50, 0, 0), loads(5, 0, 0))
    assert evaluate([slow_and_fast, half], 1)[1].ratio == Ratio(0.5, 0.5, 0.5)


def test_one_round_has_a_ratio_too() -> None:
    evaluation = evaluate([outcome("as it is", loads(100, 0, 0)), outcome("half", loads(50, 0, 0))], 1)[1]
    assert (evaluation.ratio, evaluation.gains) == (Ratio(0.5, 0.5, 0.5), True)


def between(requests: int, *outcomes: Outcome) -> list[tuple[int, str] | None]:
    evaluations: tuple[Evaluation, ...] = evaluate(outcomes, requests)
    found = break_evens(choose(evaluations), evaluations)
    return [(round(limit.requests), limit.other.candidate.name) if limit else None for limit in found]


def test_the_limits_are_the_numbers_of_requests_at_which_others_are_level() -> None:
    assert between(100, ORIGINAL, MAPPED, PLAIN) == [(24, "not prepacked"), None]
    assert between(1, ORIGINAL, MAPPED, PLAIN) == [None, (24, "mapped")]


def test_there_is_no_limit_where_runs_take_as_long() -> None:
    nearly = outcome("nearly", *[loads(700, 40, 39.5)] * 4)
    assert between(1, ORIGINAL, MAPPED, nearly) == [None, None]


def test_there_is_no_limit_without_a_head_start_worth_the_name() -> None:
    small = outcome("as it is", *[loads(9.0, 1, 0.1)] * 3)
    smaller = outcome("smaller", *[loads(4.5, 1, 0.2)] * 3)
    assert between(1, small, smaller) == [None, None]


def test_the_original_has_limits_too() -> None:
    assert between(1000, outcome("as it is", *[loads(1000, 40, 40)] * 4), PLAIN) == [(50, "not prepacked"), None]

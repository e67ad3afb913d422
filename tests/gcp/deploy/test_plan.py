"""When a step has been good."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pilotlight_cli.gcp.logs import AGENT, count_requests
from pilotlight_cli.gcp.plan import LOG_SECONDS, Errors, Observation, Plan, Probe, Verdict, decide

PLAN = Plan(steps=(10, 50, 100), seconds=60, requests=100, error_budget=0.02, latency_budget_ms=200)


def seen(requests: int, failed: int = 0, *, took: float = 50, slow: int = 0, probes: int = 0) -> Observation:
    return Observation((took,) * (requests - slow) + (900.0,) * slow, failed, probes)


@pytest.mark.parametrize(
    ("given", "elapsed", "verdict"),
    [
        (seen(0), 0, Verdict.WAIT),
        (seen(99), 59, Verdict.WAIT),
        (seen(100), 1, Verdict.ADVANCE),
        (seen(100, 2), 1, Verdict.ADVANCE),
        (seen(100, 3), 1, Verdict.ROLL_BACK),
        (seen(3, 2), 1, Verdict.WAIT),
        (seen(3, 3), 1, Verdict.ROLL_BACK),
        (seen(100, slow=5), 1, Verdict.ADVANCE),
        (seen(100, slow=6), 1, Verdict.ROLL_BACK),
        (seen(100, took=200), 1, Verdict.ADVANCE),
        (seen(100, took=201), 1, Verdict.ROLL_BACK),
        (seen(99), 60, Verdict.PROBE),
        (seen(0), 60, Verdict.PROBE),
    ],
)
def test_enough_requests_or_time_end_a_step(given: Observation, elapsed: float, verdict: Verdict) -> None:
    assert decide(PLAN, 10, given, elapsed, None)[0] is verdict


@pytest.mark.parametrize(
    ("given", "elapsed", "verdict"),
    [
        (seen(3, probes=3), 61, Verdict.ADVANCE),
        (seen(53, probes=3), 61, Verdict.ADVANCE),
        (seen(53, 2, probes=3), 61, Verdict.ROLL_BACK),
        (seen(53, slow=3, probes=3), 61, Verdict.ROLL_BACK),
        (seen(50), 61, Verdict.WAIT),
        (seen(52, probes=2), 61, Verdict.WAIT),
        (seen(101, probes=2), 61, Verdict.WAIT),
        (seen(50), 59 + LOG_SECONDS, Verdict.WAIT),
        (seen(0), 60 + LOG_SECONDS, Verdict.ROLL_BACK),
        (seen(50), 60 + LOG_SECONDS, Verdict.ROLL_BACK),
        (seen(102, probes=2), 61, Verdict.ADVANCE),
    ],
)
def test_a_step_without_enough_requests_waits_for_its_golden_samples_in_the_log(
    given: Observation, elapsed: float, verdict: Verdict
) -> None:
    assert decide(PLAN, 10, given, elapsed, Probe(3, (), 60))[0] is verdict


@pytest.mark.parametrize(
    ("percent", "errors", "verdict"),
    [
        (10, Errors(new_4xx=5), Verdict.ROLL_BACK),
        (10, Errors(new_4xx=2), Verdict.WAIT),
        (10, Errors(new_4xx=40, old_4xx=360), Verdict.WAIT),
        (10, Errors(new_4xx=80, old_4xx=360), Verdict.ROLL_BACK),
        (10, Errors(new_4xx=0, old_4xx=360), Verdict.WAIT),
        (10, Errors(new_5xx=20, old_5xx=1), Verdict.ROLL_BACK),
        (10, Errors(new_4xx=1, old_5xx=9, new_5xx=1, old_4xx=9), Verdict.WAIT),
        (50, Errors(new_4xx=10), Verdict.ROLL_BACK),
        (50, Errors(new_4xx=4), Verdict.WAIT),
        (100, Errors(new_4xx=99), Verdict.WAIT),
    ],
)
def test_more_errors_than_its_share_end_a_step_at_once(percent: int, errors: Errors, verdict: Verdict) -> None:
    found, why = decide(PLAN, percent, replace(seen(50), errors=errors), 1, None)
    assert found is verdict, why
    if verdict is Verdict.ROLL_BACK:
        assert why.startswith(f"with {percent} % of the traffic it answered ")


@pytest.mark.parametrize(("answered", "wrong"), [(3, ["sample 1: nonsense"]), (0, ["403"]), (0, [])])
def test_golden_samples_that_do_not_agree_end_it(answered: int, wrong: list[str]) -> None:
    for percent in (0, 10):
        verdict, why = decide(PLAN, percent, seen(100), 61, Probe(answered, wrong, 60))
        assert verdict is Verdict.ROLL_BACK
        assert why == f"the golden samples fail: {wrong[0] if wrong else 'none could be sent'}"


def test_before_any_traffic_the_golden_samples_decide() -> None:
    assert decide(PLAN, 0, Observation(), 0, None)[0] is Verdict.PROBE
    assert decide(PLAN, 0, Observation(), 0, Probe(3, (), 0)) == (Verdict.ADVANCE, "3 golden samples agree")


@pytest.mark.parametrize(("percent", "step"), [(0, 10), (10, 50), (49, 50), (50, 100), (100, None)])
def test_the_next_step_is_the_next_larger_one(percent: int, step: int | None) -> None:
    assert PLAN.next_step(percent) == step


@pytest.mark.parametrize(
    ("times", "p95"), [((), 0), ((7,), 7), (range(1, 21), 19), (range(1, 101), 95), (range(1, 200), 190)]
)
def test_the_95th_percentile_is_by_nearest_rank(times: tuple[float, ...], p95: float) -> None:
    assert Observation(tuple(times)).p95 == p95


def entry(status: object = 200, latency: object = "0.05s", agent: str = "curl/8") -> dict[str, object]:
    return {"status": status, "latency": latency, "userAgent": agent}


def test_log_entries_are_counted_with_their_times() -> None:
    found = count_requests([entry(), entry(503, "1.5s"), entry(499), entry(500, "0s")], "m")
    assert found == Observation((50.0, 1500.0, 50.0, 0.0), 2, 0)


def test_an_entry_without_status_or_latency_is_no_data() -> None:
    broken: list[dict[str, object]] = [{}, {"status": 200}, {"latency": "1s"}, entry(latency="1"), entry(latency="xs")]
    assert count_requests(broken, "m") == Observation()


def test_of_our_own_requests_only_those_of_this_sending_count() -> None:
    mine, others = entry(agent=f"{AGENT}m"), (entry(agent=f"{AGENT}start-m"), entry(agent=f"{AGENT}m2"))
    assert count_requests([mine, *others, entry()], "m") == Observation((50.0, 50.0), 0, 1)

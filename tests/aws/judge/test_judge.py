"""The judge on moto's CloudWatch, through shifts of traffic that its alarm may stop."""

from __future__ import annotations

import json
from dataclasses import replace

import boto3
import pytest

from fakes.shifting import NAMESPACE, NEW, OLD, STACK, Shift, Version, alarm, put, seeds, shifting
from judge import lambda_handler
from verdicts import Counts, Minute, Outcome, decide

GOOD = Version()

# How a version answers, by what is wrong with it.
BAD = {
    "refuses old callers": Version(refused=1.0),
    "refuses one in five": Version(refused=0.2),
    "fails more often": Version(failed=0.15),
    "crashes": Version(crashed=0.2),
    "is three times slower": Version(slower=3),
    "leaves no line": Version(writes=False),
}


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("what", BAD)
def test_a_bad_version_goes_back_at_the_first_step(what: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shift = Shift(BAD[what], seed=seed, steps=(10, 20), minutes=10)
    with shifting(shift, monkeypatch) as alias:
        assert shift.run(lambda_handler, alias) == "back at 10 %"
        assert alias.aliases == {"live": OLD}
    last = shift.said[-1]
    assert last["outcome"] == "roll back"
    assert f"requests of version {NEW}" in last["sentence"]
    assert "less likely" in last["sentence"]


@pytest.mark.parametrize("seed", seeds(1))
def test_a_good_version_is_promoted(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shift = Shift(GOOD, seed=seed)
    with shifting(shift, monkeypatch) as alias:
        assert shift.run(lambda_handler, alias) == "done"
        assert alias.aliases == {"live": NEW}
    outcomes = [said["outcome"] for said in shift.said]
    assert (outcomes[0], outcomes[-1]) == ("hold", "promote")


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("rate", [0, 5])
def test_too_little_traffic_holds(rate: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shift = Shift(GOOD, rate=rate, seed=seed)
    with shifting(shift, monkeypatch) as alias:
        assert shift.run(lambda_handler, alias) == "done"
    assert {said["outcome"] for said in shift.said} == {"hold"}
    assert shift.said[-1]["sentence"].endswith("a comparison needs 100 of each")


@pytest.mark.parametrize("seed", seeds(1))
def test_an_alarm_of_the_version_that_serves_holds(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shift = Shift(GOOD, seed=seed, steps=(50, 60))
    with shifting(shift, monkeypatch) as alias:
        for name in (f"{STACK}-server-errors-{OLD}", f"{STACK}-latency-6", "other-latency-7"):
            alarm(name)
        assert shift.run(lambda_handler, alias) == "done"
    assert [said["outcome"] for said in shift.said] == ["hold", "hold"]
    assert shift.said[-1]["sentence"] == (
        "prod-server-errors-7 of version 7 rings: there is no good version to compare version 8 with"
    )


def test_a_bad_version_goes_back_though_an_alarm_rang_before(monkeypatch: pytest.MonkeyPatch) -> None:
    shift = Shift(BAD["refuses old callers"], steps=(10,), minutes=5)
    with shifting(shift, monkeypatch) as alias:
        alarm(f"{STACK}-latency-{OLD}")
        assert shift.run(lambda_handler, alias) == "back at 10 %"


def test_without_a_day_before_latency_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    shift = Shift(Version(slower=3), steps=(50,), minutes=2)
    with shifting(shift, monkeypatch) as alias:
        monkeypatch.setattr(shift, "_latency", lambda *_: None)
        assert shift.run(lambda_handler, alias) == "done"
    assert shift.said[-1]["sentence"].endswith("none of its errors beyond its share, latency not compared")


def test_where_one_version_has_all_traffic_there_is_nothing_to_judge(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with shifting(Shift(GOOD), monkeypatch):
        assert lambda_handler({}, None) == {
            "outcome": "idle",
            "sentence": "the alias live of prod-predict shares no traffic",
        }
        assert boto3.Session().client("cloudwatch").list_metrics(Namespace=NAMESPACE)["Metrics"] == []
    assert capsys.readouterr().out == ""


def test_each_verdict_is_a_line_and_a_question_about_a_past_shift_rings_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shift = Shift(BAD["refuses old callers"], steps=(10,), minutes=3)
    with shifting(shift, monkeypatch) as alias:
        shift.run(lambda_handler, alias)
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert lines == [{"level": "INFO", "event": "judge", **said} for said in shift.said]
        assert lambda_handler({"old": OLD, "new": NEW}, None) == shift.said[-1]
        assert lambda_handler({"old": NEW, "new": OLD}, None)["outcome"] != "roll back"
    assert capsys.readouterr().out == ""


def test_a_metric_that_is_no_count_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    shift = Shift(GOOD, steps=(50,), minutes=2)
    with shifting(shift, monkeypatch) as alias:
        shift.run(lambda_handler, alias)
        put(boto3.Session().client("cloudwatch"), "Pilotlight", NEW, max(shift.latencies)[1], {"ClientErrors": 1e6})
        verdict = lambda_handler({"old": OLD, "new": NEW}, None)
    assert verdict["outcome"] == "hold"
    assert "with such a count there is no comparison" in str(verdict["sentence"])


FINE = Counts(100, 2, 1, 0.0, 100, 0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 101.0])
@pytest.mark.parametrize("name", ["client_errors", "server_errors", "slow", "failures"])
def test_a_number_that_cannot_be_holds_however_bad_the_others_are(name: str, value: float) -> None:
    bad = Minute("12:00", FINE, replace(FINE, client_errors=100))
    broken = Minute("12:01", FINE, replace(FINE, **{name: value}))
    assert decide(OLD, NEW, [bad, broken], []).outcome is Outcome.HOLD
    assert decide(OLD, NEW, [bad], []).outcome is Outcome.ROLL_BACK


def test_lines_that_are_missing_hold_before_they_roll_back() -> None:
    silent = Minute("12:00", FINE, Counts(invocations=100))
    outcomes = [decide(OLD, NEW, [silent] * count, []).outcome for count in range(1, 8)]
    assert outcomes == [Outcome.HOLD] * 5 + [Outcome.ROLL_BACK] * 2


def test_a_few_slow_requests_are_those_of_new_instances() -> None:
    slow = [Minute("12:00", FINE, replace(FINE, slow=9.0))]
    assert decide(OLD, NEW, slow, []).outcome is Outcome.PROMOTE
    assert decide(OLD, NEW, slow * 3, []).outcome is Outcome.PROMOTE
    assert decide(OLD, NEW, [Minute("12:00", FINE, replace(FINE, slow=30.0))], []).outcome is Outcome.ROLL_BACK

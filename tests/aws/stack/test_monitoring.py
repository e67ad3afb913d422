"""The alarms that stop no release: each of what no version is to blame for, and told to people."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest

import emf
from pilotlight.telemetry import ColdStart, Served
from templates import monitoring, of_type, properties, stack

ALARM = "AWS::CloudWatch::Alarm"
FILTER = "AWS::Logs::MetricFilter"
TOPIC = "arn:aws:sns:us-east-1:123456789012:pager"
ALL = {"Authorization": "api-key", "SilenceHours": "6", "AlarmTopicArn": TOPIC}
FUNCTION, AUTHORIZER, API = (
    ("FunctionName", "PredictFunction"),
    ("FunctionName", "AuthorizerFunction"),
    ("ApiId", "HttpApi"),
)


@pytest.fixture(autouse=True)
def fresh_dimensions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have lines name the function of the test: the module keeps what one process says."""
    monkeypatch.setattr(emf, "_dimensions", emf._dimensions.__wrapped__)


def watched(alarm: dict[str, Any]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return the dimension of each metric of an alarm, by its namespace and name."""
    queries = [entry["MetricStat"]["Metric"] for entry in alarm.get("Metrics", []) if "MetricStat" in entry] or [alarm]
    return {
        (query["Namespace"], query["MetricName"]): (dimension["Name"], dimension["Value"])
        for query in queries
        for dimension in query["Dimensions"]
    }


WATCHED = {
    "ThrottlesAlarm": {("AWS/Lambda", "Throttles"): FUNCTION},
    "GatewayErrorsAlarm": {("Pilotlight", "GatewayErrors"): API, ("AWS/Lambda", "Errors"): FUNCTION},
    "AuthorizerErrorsAlarm": {("AWS/Lambda", "Errors"): AUTHORIZER},
    "SilenceAlarm": {("Pilotlight", "Requests"): FUNCTION},
    "RefusalsAlarm": {("Pilotlight", "Refusals"): API, ("AWS/ApiGateway", "Count"): API},
    "CallerErrorsAlarm": {
        ("AWS/ApiGateway", "4xx"): API,
        ("Pilotlight", "Refusals"): API,
        ("AWS/ApiGateway", "Count"): API,
    },
    "UnknownEventsAlarm": {("Pilotlight", "UnknownEvents"): FUNCTION},
    "LongInitsAlarm": {("Pilotlight", "LongInits"): FUNCTION},
}


def test_each_alarm_watches_the_metrics_of_its_cause_and_tells_people() -> None:
    resources = monitoring(**ALL)
    assert {name: watched(properties(resources, name)) for name in of_type(resources, ALARM)} == WATCHED
    for name in WATCHED:
        alarm = properties(resources, name)
        assert alarm["AlarmActions"] == alarm["OKActions"] == [TOPIC]
        assert re.fullmatch(r"pilotlight-dev-[a-z-]+", alarm["AlarmName"])


def test_no_release_looks_at_them() -> None:
    looked_at = str(properties(stack(**ALL), "PredictFunctionDeploymentGroup")["AlarmConfiguration"])
    assert [name for name in WATCHED if f"'{name}'" in looked_at] == []


def test_silence_is_watched_where_hours_are_given_and_the_authorizer_where_there_is_one() -> None:
    assert WATCHED.keys() - of_type(monitoring(), ALARM) == {"AuthorizerErrorsAlarm", "SilenceAlarm"}
    alarm = properties(monitoring(SilenceHours="6"), "SilenceAlarm")
    assert (alarm["Period"], alarm["EvaluationPeriods"]) == (3600, "6")
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    assert alarm["TreatMissingData"] == "breaching"


def counted(line: dict[str, Any], group: str) -> set[str]:
    """Return the metrics that the filters on a log group make of a line."""
    resources = monitoring()
    found = set()
    for name in of_type(resources, FILTER):
        one = properties(resources, name)
        if one["LogGroupName"] == group and holds(one["FilterPattern"], line):
            (made,) = one["MetricTransformations"]
            assert all(line[entry["Value"].removeprefix("$.")] for entry in made["Dimensions"])
            found.add(made["MetricName"])
    return found


def holds(pattern: str, line: dict[str, Any]) -> bool:
    """Whether CloudWatch's filter takes a line, for comparisons joined by && or by ||."""
    terms = [
        compared(field(line, name), sign, value.strip('"'))
        for name, sign, value in re.findall(r'\$\.([\w.]+) (!?=|>|NOT EXISTS)(?: ("[^"]+"|\d+))?', pattern)
    ]
    assert len(terms) == pattern.count("$.")
    return any(terms) if "||" in pattern else all(terms)


def compared(found: Any, sign: str, value: str) -> bool:
    match sign:
        case "NOT EXISTS":
            return found is None
        case ">":
            return found is not None and found > float(value)
    return fnmatchcase("" if found is None else str(found), value) == (sign == "=")


def field(line: dict[str, Any], path: str) -> Any:
    found: Any = line
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


@pytest.mark.parametrize(
    ("status", "function_status", "metrics"),
    [
        ("200", "200", set()),
        ("503", "503", set()),  # the function's own, which ServerErrors has
        ("500", "-", {"GatewayErrors"}),  # its authorizer or a permission
        ("503", "200", {"GatewayErrors"}),
        ("401", "-", {"Refusals"}),
        ("403", "-", {"Refusals"}),
        ("429", "-", set()),
    ],
)
def test_the_access_log_says_what_the_gateway_itself_answered(
    status: str, function_status: str, metrics: set[str]
) -> None:
    format_ = properties(stack(), "ApiStage")["AccessLogSettings"]["Format"]
    names = dict(re.findall(r'"(\w+)":"\$context\.([\w.]+)"', format_))
    assert (names["api"], names["function_status"]) == ("apiId", "integration.status")
    line = {**dict.fromkeys(names, "-"), "status": status, "function_status": function_status, "api": "a1b2"}
    assert counted(line, "AccessLogGroup") == metrics


def test_requests_of_all_versions_are_counted_from_their_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "predict")
    served = emf.to_line(Served("id", "POST", "/predict", 404, 1.25, "m", 3), "Pilotlight", 0)
    assert counted(served, "PredictLogGroup") == {"Requests"}
    probe = emf.to_line(Served("id", "GET", "/health/live", 200, 1.25, "m", 3), "Pilotlight", 0)
    assert counted(probe, "PredictLogGroup") == set()
    emf.warn("a stray event", counted="UnknownEvents", namespace="Pilotlight")
    assert counted(json.loads(capsys.readouterr().out), "PredictLogGroup") == {"UnknownEvents"}


@pytest.mark.parametrize(
    ("state", "phases", "metrics"),
    [
        ("ready", {"total": 7999.0}, set()),
        ("ready", {"total": 8000.5, "load": 7000.0}, {"LongInits"}),
        ("waiting", {"total": 9000.0}, {"LongInits"}),
        ("ready", {"total": 45_000.0, "prime": 90.0}, set()),  # with provisioned concurrency, or before a snapshot
        ("failed", {}, set()),
    ],
)
def test_a_long_start_on_demand_is_counted_from_its_line(
    state: str, phases: dict[str, float], metrics: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "predict")
    line = emf.to_line(ColdStart(state, "m", 3, phases, 1, 1), "Pilotlight", 0)
    assert counted(line, "PredictLogGroup") == metrics

"""What is watched: the new version alone, by metrics that are really written."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Iterator
from typing import Any

import pytest

import emf
from judge import WORSE
from pilotlight.telemetry import ColdStart, Served
from templates import MODES, Resources, judge, of_type, properties, refused, stack, text, the

ALARM = "AWS::CloudWatch::Alarm"
SERVED = Served("id", "POST", "/predict", 200, 1.25, "example", 3, rows=4, out_of_range=1)
READY = ColdStart("ready", "example", 3, {"total": 99.5}, 1000, 1)
FAILED = ColdStart("failed", "", 0, {}, 0, 0, "SettingsError: no store")


def metrics(alarm: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the metrics that an alarm looks at, in one form."""
    if "MetricName" in alarm:
        yield alarm
    for entry in alarm.get("Metrics", []):
        if "MetricStat" in entry:
            yield entry["MetricStat"]["Metric"]


def dimensions(metric: dict[str, Any]) -> dict[str, Any]:
    return {dimension["Name"]: dimension["Value"] for dimension in metric["Dimensions"]}


def version(resources: Resources) -> dict[str, Any]:
    return {"Fn::GetAtt": [the(resources, "AWS::Lambda::Version"), "Version"]}


@pytest.fixture
def lambda_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "predict")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_VERSION", "7")
    monkeypatch.setattr(emf, "_dimensions", emf._dimensions.__wrapped__)  # it keeps what one process says


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_every_alarm_looks_at_the_new_version_alone(mode: dict[str, str]) -> None:
    resources = stack(**mode)
    assert len(of_type(resources, ALARM)) == 6
    for name in of_type(resources, ALARM):
        for metric in metrics(properties(resources, name)):
            named = dimensions(metric)
            if name != "WorseAlarm" or len(named) > 1:  # which hears of the judge's failures too
                assert named["FunctionName"] == {"Ref": "PredictFunction"}
                assert named["ExecutedVersion"] == version(resources)


def test_our_own_metrics_have_the_dimensions_that_the_function_writes(lambda_environment: None) -> None:
    resources = stack(MetricsNamespace="Elsewhere")
    found = {
        metric["MetricName"]: metric
        for name in of_type(resources, ALARM)
        for metric in metrics(properties(resources, name))
        if len(dimensions(metric)) > 1
    }
    ours = {name: metric for name, metric in found.items() if metric["Namespace"] != "AWS/Lambda"}
    (directive,) = emf.to_line(SERVED, "Elsewhere", 0)["_aws"]["CloudWatchMetrics"]  # type: ignore[index]
    written = {metric["Name"] for metric in directive["Metrics"]}
    assert ours.keys() - written == {"InitFailures", WORSE}  # which the metric filter and the judge make
    for metric in ours.values():
        assert metric["Namespace"] == directive["Namespace"]
        assert [sorted(dimensions(metric))] == [sorted(names) for names in directive["Dimensions"]]


def test_lambdas_own_errors_are_those_of_the_version_behind_the_alias() -> None:
    alarm = properties(stack(), "FunctionErrorsAlarm")
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "Errors")
    assert dimensions(alarm).keys() == {"FunctionName", "Resource", "ExecutedVersion"}
    assert dimensions(alarm)["Resource"] == {"Fn::Sub": "${PredictFunction}:live"}


def test_alarms_of_a_release_are_its_own_and_start_without_a_past() -> None:
    resources = stack()
    (number,) = of_type(resources, "AWS::Lambda::Version")
    for name in of_type(resources, ALARM):
        assert properties(resources, name)["AlarmName"]["Fn::Sub"].endswith(f"-${{{number}.Version}}")


def test_no_data_rings_no_alarm() -> None:
    resources = stack()
    assert {properties(resources, name)["TreatMissingData"] for name in of_type(resources, ALARM)} == {"notBreaching"}


def test_thresholds_are_parameters() -> None:
    resources = stack(ServerErrorsThreshold="7", LatencyBudgetMs="250", OutOfRangeThreshold="12")
    found = {name: properties(resources, name)["Threshold"] for name in of_type(resources, ALARM)}
    assert found == {
        "ServerErrorsAlarm": "7",
        "FunctionErrorsAlarm": "7",
        "LatencyAlarm": "250",
        "InitFailuresAlarm": 1,
        "OutOfRangeAlarm": "12",
        "WorseAlarm": 1,
    }


COMPARED = {"GreaterThanThreshold": operator.gt, "GreaterThanOrEqualToThreshold": operator.ge}
COUNTERS = ["ServerErrorsAlarm", "FunctionErrorsAlarm", "InitFailuresAlarm"]
MINUTE = {"ServerErrorsThreshold": "1", "LatencyBudgetMs": "1000", "OutOfRangeThreshold": "5"}


def rings(name: str, *values: float | None, **given: str) -> bool:
    """Whether an alarm rings after such datapoints, oldest first; None is a period without data."""
    alarm = properties(stack(**MINUTE | given), name)
    beyond = [
        value is not None and COMPARED[alarm["ComparisonOperator"]](value, float(alarm["Threshold"]))
        for value in values[-alarm["EvaluationPeriods"] :]
    ]
    return bool(sum(beyond) >= alarm["DatapointsToAlarm"])


@pytest.mark.parametrize("name", COUNTERS)
def test_one_failure_rings_also_when_its_data_come_two_minutes_late(name: str) -> None:
    assert rings(name, 1)
    assert rings(name, None, 3, 0, None)
    assert not rings(name, 3, 0, None, None)
    assert not rings(name, 0, 0, 0)


@pytest.mark.parametrize("name", ["ServerErrorsAlarm", "FunctionErrorsAlarm"])
def test_failures_ring_from_the_threshold_on(name: str) -> None:
    assert not rings(name, 6, 6, 6, ServerErrorsThreshold="7")
    assert rings(name, 7, ServerErrorsThreshold="7")


def test_latency_rings_beyond_the_budget_in_two_minutes_of_three() -> None:
    assert not rings("LatencyAlarm", 1000, 1000, 1000)
    assert not rings("LatencyAlarm", 1001, 1001, 20, None)
    assert rings("LatencyAlarm", 1001, None, 1001)


def test_a_share_out_of_range_rings_beyond_the_threshold_at_once() -> None:
    assert not rings("OutOfRangeAlarm", 5)
    assert rings("OutOfRangeAlarm", 0, 5.1)


def test_failures_are_summed_up_minute_by_minute_and_predictions_over_five() -> None:
    resources = stack()
    counted = {name: properties(resources, name) for name in (*COUNTERS, "LatencyAlarm")}
    assert {alarm["Period"] for alarm in counted.values()} == {60}
    assert {counted[name]["Statistic"] for name in COUNTERS} == {"Sum"}
    queries = [entry["MetricStat"] for entry in properties(resources, "OutOfRangeAlarm")["Metrics"][1:]]
    assert [(query["Metric"]["MetricName"], query["Stat"], query["Period"]) for query in queries] == [
        ("OutOfRange", "Sum", 300),
        ("Rows", "Sum", 300),
    ]


def test_latency_is_the_99th_percentile_and_one_slow_minute_is_not_enough() -> None:
    alarm = properties(stack(), "LatencyAlarm")
    assert alarm["ExtendedStatistic"] == "p99"
    assert (alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (2, 3)


def test_predictions_out_of_range_count_as_a_share_of_enough_rows() -> None:
    alarm = properties(stack(), "OutOfRangeAlarm")
    (result,) = (entry for entry in alarm["Metrics"] if entry["ReturnData"])
    assert result["Expression"] == "IF(rows >= 20, 100 * outside / rows, 0)"
    assert {entry["Id"] for entry in alarm["Metrics"]} == {"share", "outside", "rows"}


@pytest.mark.parametrize(
    ("worse", "failures", "rung"), [(None, None, 0), (0, 2, 0), (1, None, 1), (0, 3, 1), (None, 3, 1)]
)
def test_the_judge_rings_for_a_worse_version_and_where_it_fails(
    worse: float | None, failures: float | None, rung: int
) -> None:
    (result,) = (entry for entry in properties(stack(), "WorseAlarm")["Metrics"] if entry["ReturnData"])
    parts = re.fullmatch(r"IF\((.+), 1, 0\)", result["Expression"])
    assert parts
    filled = re.sub(r"FILL\((\w+), 0\)", r"(\1 or 0)", parts[1]).replace("OR", "or")
    values = {"worse": worse, "failures": failures}
    assert bool(eval(filled, {}, values)) == rung  # noqa: S307 - the template's
    assert rings("WorseAlarm", rung) == rung


def test_the_alarm_hears_the_judge_of_this_stack() -> None:
    function = properties(judge(), "JudgeFunction")
    (failures,) = (
        metric for metric in metrics(properties(stack(), "WorseAlarm")) if metric["Namespace"] == "AWS/Lambda"
    )
    assert (failures["MetricName"], dimensions(failures)) == ("Errors", {"FunctionName": "pilotlight-dev-judge"})
    assert function["FunctionName"] == "pilotlight-dev-judge"
    assert function["Environment"]["Variables"] == {
        "STACK": "pilotlight-dev",
        "FUNCTION": properties(stack(), "PredictFunction")["FunctionName"],
        "METRICS_NAMESPACE": "Pilotlight",
    }


def matches(pattern: str, line: dict[str, Any]) -> bool:
    """Whether CloudWatch's filter takes a line, for patterns that compare fields with strings, joined by &&."""
    assert re.fullmatch(r'\{ (\(\$\.\w+ = "\w+"\)( && )?)+ \}', pattern)
    return all(line.get(name) == value for name, value in re.findall(r'\$\.(\w+) = "(\w+)"', pattern))


def test_a_failed_start_counts_for_its_version_by_the_line_that_it_leaves(lambda_environment: None) -> None:
    resources = stack()
    filter_ = properties(resources, "InitFailuresFilter")
    line = json.loads(json.dumps(emf.to_line(FAILED, "Pilotlight", 0)))
    assert filter_["LogGroupName"] == properties(resources, "PredictFunction")["LoggingConfig"]["LogGroup"]
    assert matches(filter_["FilterPattern"], line)
    (made,) = filter_["MetricTransformations"]
    found = {entry["Key"]: line[entry["Value"].removeprefix("$.")] for entry in made["Dimensions"]}
    assert found == {"FunctionName": "predict", "ExecutedVersion": "7"}
    alarm = properties(resources, "InitFailuresAlarm")
    assert (made["MetricNamespace"], made["MetricName"]) == (alarm["Namespace"], alarm["MetricName"])


@pytest.mark.parametrize("record", [READY, SERVED], ids=["ready", "served"])
def test_other_lines_count_as_no_failed_start(record: ColdStart | Served, lambda_environment: None) -> None:
    pattern = properties(stack(), "InitFailuresFilter")["FilterPattern"]
    assert not matches(pattern, emf.to_line(record, "Pilotlight", 0))


def test_people_have_one_alarm_over_all_others_with_a_name_that_stays() -> None:
    resources = stack()
    alarm = properties(resources, the(resources, "AWS::CloudWatch::CompositeAlarm"))
    assert alarm["AlarmName"] == "pilotlight-dev-release"
    rung = set(re.findall(r'ALARM\("\$\{(\w+)\}"\)', alarm["AlarmRule"]["Fn::Sub"]))
    assert rung == set(of_type(resources, ALARM))


def test_the_alarm_tells_the_stacks_own_topic_or_the_one_that_is_given() -> None:
    given = "arn:aws:sns:us-east-1:123456789012:pager"
    own, foreign = stack(), stack(AlarmTopicArn=given)
    assert properties(own, "ReleaseAlarm")["AlarmActions"] == [{"Ref": "AlarmTopic"}]
    assert properties(foreign, "ReleaseAlarm")["AlarmActions"] == [given]
    assert of_type(foreign, "AWS::SNS::Topic") == of_type(foreign, "AWS::SNS::TopicPolicy") == []


def test_only_cloudwatch_of_this_account_publishes_to_the_topic() -> None:
    (statement,) = properties(stack(), "AlarmTopicPolicy")["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_an_address_is_subscribed_only_where_there_is_one() -> None:
    assert of_type(stack(), "AWS::SNS::Subscription") == []
    subscription = properties(stack(AlarmEmail="someone@example.com"), "AlarmSubscription")
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "someone@example.com")


def test_an_address_and_a_topic_that_is_there_already_exclude_each_other() -> None:
    (sentence,) = refused(AlarmEmail="someone@example.com", AlarmTopicArn="arn:aws:sns:us-east-1:123456789012:pager")
    assert "with AlarmTopicArn, subscribe to that topic instead" in sentence


def test_no_log_level_makes_the_alarms_blind() -> None:
    (sentence,) = refused(LogLevel="WARNING")
    assert sentence == "LogLevel is 'WARNING'; expected one of DEBUG, INFO"
    assert "WARNING" not in text(stack())

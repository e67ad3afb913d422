"""Two versions of the function in AWS's runtime, what each writes, and which alarms of a release that rings.

CloudWatch's part is played here: it makes metrics of log lines and compares their sum with an alarm's threshold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import onnx_models
from fakes.embedded_metrics import metric_data
from harness import Pinned, pinned, prepared, stored
from pilotlight_cli.local.events import HttpRequest, http_api_event
from pilotlight_cli.local.lambda_runtime import FunctionFailed, LambdaRuntime, lambda_runtime
from templates import properties, stack

FUNCTION = "pilotlight"  # what the runtime calls every function

# The head of a table, one entry a row: a request for seven makes the model break its own signature.
GOOD, BAD = 1, 7


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    folder = tmp_path_factory.mktemp("model")
    golden = folder / "golden.json"
    golden.write_text(json.dumps(onnx_models.HEAD_GOLDEN))
    return pinned(onnx_models.head(folder), "head", folder, golden=golden)


@pytest.fixture
def versions(model: Pinned) -> Iterator[dict[str, LambdaRuntime]]:
    with ExitStack() as opened:
        store = opened.enter_context(stored("aws", model))
        function = opened.enter_context(prepared("aws", model, store, {}))
        yield {number: opened.enter_context(lambda_runtime(function, version=number)) for number in ("1", "2")}


def ask(version: LambdaRuntime, index: int) -> object:
    """Return the status of the reply to a request for an entry. Its line is there on return."""
    body = json.dumps({"features": [index]}).encode()
    request = HttpRequest("POST", "/predict", (("content-type", "application/json"),), body)
    return answered(version, request)


def answered(version: LambdaRuntime, request: HttpRequest) -> object:
    """Return the status of a reply, once the line of its request has been read: that may be later."""
    before = len(version.log.events("request"))
    status = version.invoke(http_api_event(request))["statusCode"]
    assert version.log.wait_for("request", 60, after=before) is not None
    return status


def rung(versions: dict[str, LambdaRuntime]) -> list[str]:
    """Return the versions whose alarm on server errors rings after all that was written, by all versions."""
    alarm = properties(stack(), "ServerErrorsAlarm")
    data = metric_data(line for version in versions.values() for line in version.log.lines)[alarm["Namespace"]]
    assert {dimension["Name"] for dimension in alarm["Dimensions"]} == {"FunctionName", "ExecutedVersion"}
    assert (alarm["Statistic"], alarm["ComparisonOperator"]) == ("Sum", "GreaterThanOrEqualToThreshold")

    def total(version: str) -> float:
        named = {"FunctionName": FUNCTION, "ExecutedVersion": version}
        of_version = [one for one in data if {by["Name"]: by["Value"] for by in one["Dimensions"]} == named]
        return sum(float(one["Value"]) for one in of_version if one["MetricName"] == alarm["MetricName"])

    return [version for version in versions if total(version) >= float(alarm["Threshold"])]


def test_errors_of_a_version_raise_the_alarm_of_that_version_alone(versions: dict[str, LambdaRuntime]) -> None:
    assert [ask(version, GOOD) for version in versions.values()] == [200, 200]
    assert rung(versions) == []
    assert [ask(versions["2"], BAD), ask(versions["1"], GOOD)] == [500, 200]
    assert rung(versions) == ["2"]


def test_what_callers_do_wrong_raises_none(versions: dict[str, LambdaRuntime]) -> None:
    assert answered(versions["2"], HttpRequest("GET", "/nowhere")) == 404
    refused = json.dumps({"instances": [[9], [9]]}).encode()  # more than the model takes, which no signature says
    headers = (("content-type", "application/json"),)
    assert answered(versions["2"], HttpRequest("POST", "/predict_batch", headers, refused)) == 400
    assert rung(versions) == []


@pytest.mark.parametrize("settings", [{"PILOTLIGHT_THREADS": "none"}, {"PILOTLIGHT_LOCK": "nowhere.lock"}])
def test_a_version_that_cannot_start_leaves_the_line_that_its_alarm_counts(
    settings: dict[str, str], model: Pinned
) -> None:
    with (
        stored("aws", model) as store,
        prepared("aws", model, store, settings) as function,
        lambda_runtime(function, version="3") as runtime,
    ):
        with pytest.raises(FunctionFailed):
            ask(runtime, GOOD)
        line = runtime.log.wait_for("cold_start", 60)
    assert line is not None
    (made,) = properties(stack(), "InitFailuresFilter")["MetricTransformations"]
    assert [line[one["Value"].removeprefix("$.")] for one in made["Dimensions"]] == [FUNCTION, "3"]
    assert line["state"] == "failed"

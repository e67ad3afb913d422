from __future__ import annotations

import json
from typing import Any

import pytest

import emf
from pilotlight.telemetry import ColdStart, Served

STARTED = ColdStart("ready", "example", 3, {"import": 10.5, "total": 99.5}, 1000, 1)
SERVED = Served("id", "POST", "/predict", 200, 1.25, "example", 3, rows=4, out_of_range=1)


@pytest.fixture(autouse=True)
def lambda_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "predict")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_VERSION", "7")
    monkeypatch.setattr(emf, "_dimensions", emf._dimensions.__wrapped__)  # it keeps what one process says


def metrics(line: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics that CloudWatch takes from a line, by the rules of the embedded metric format."""
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    for names in directive["Dimensions"]:
        assert all(isinstance(line[name], str) for name in names)
    return {metric["Name"]: line[metric["Name"]] for metric in directive["Metrics"]}


def test_a_request_counts_by_function_and_version_alone() -> None:
    line = json.loads(json.dumps(emf.to_line(SERVED, "Pilotlight", 12.5)))
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["FunctionName", "ExecutedVersion"]]
    assert (line["FunctionName"], line["ExecutedVersion"]) == ("predict", "7")
    assert (directive["Namespace"], line["_aws"]["Timestamp"]) == ("Pilotlight", 12500)
    assert line["model_version"] == 3
    assert metrics(line) == {
        "Requests": 1,
        "ClientErrors": 0,
        "ServerErrors": 0,
        "Latency": 1.25,
        "Rows": 4,
        "OutOfRange": 1,
    }


@pytest.mark.parametrize(
    ("status", "client", "server"), [(200, 0, 0), (400, 1, 0), (499, 1, 0), (500, 0, 1), (503, 0, 1)]
)
def test_errors_are_the_callers_or_ours(status: int, client: int, server: int) -> None:
    record = Served("id", "POST", "/predict", status, 1.25, "example", 3, code="x")
    found = metrics(emf.to_line(record, "Pilotlight", 0))
    assert (found["ClientErrors"], found["ServerErrors"]) == (client, server)


def test_a_cold_start_gives_its_time() -> None:
    assert metrics(emf.to_line(STARTED, "Pilotlight", 0)) == {"InitTime": 99.5}


def test_a_start_that_failed_is_a_line_with_the_fields_that_the_metric_filter_reads() -> None:
    line = emf.to_line(ColdStart("failed", "", 0, {}, 0, 0, "SettingsError: no store"), "Pilotlight", 0)
    assert (line["event"], line["state"]) == ("cold_start", "failed")
    assert (line["FunctionName"], line["ExecutedVersion"]) == ("predict", "7")
    assert "_aws" not in line


def test_a_health_check_counts_as_nothing() -> None:
    line = emf.to_line(Served("id", "GET", "/health/ready", 503, 0.1, "example", 3), "Pilotlight", 0)
    assert "_aws" not in line


def test_each_record_is_one_line_and_those_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    report = emf.reporter("WARNING", "Mine")
    report(SERVED)
    report(Served("id", "POST", "/predict", 500, 1.0, "example", 3, code="internal", error="Traceback:\n  line"))
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["level"], line["error"]) == ("ERROR", "Traceback:\n  line")
    assert line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Mine"


ROOT = "1-5759e988-bd862e3fe1be46a994272793"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("headers", "environ", "expected"),
    [
        ({}, {}, {}),
        ({}, {"_X_AMZN_TRACE_ID": f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=1"}, {"xray_trace_id": ROOT}),
        ({"x-amzn-trace-id": f"Self=1-67891234-12456789abcdef012345678; Root={ROOT}"}, {}, {"xray_trace_id": ROOT}),
        ({"x-amzn-trace-id": f"Root={ROOT[:-1]}0"}, {"_X_AMZN_TRACE_ID": f"Root={ROOT}"}, {"xray_trace_id": ROOT}),
        ({"x-amzn-trace-id": ROOT}, {}, {}),
        ({"x-amzn-trace-id": f"Root={ROOT}0"}, {}, {}),
        ({"x-amzn-trace-id": "Root=1-5759e988-bd862e3fe1be46a99427279z"}, {}, {}),
        ({"x-amzn-trace-id": "Root"}, {}, {}),
        (
            {"traceparent": f"00-{TRACE}-{SPAN}-01"},
            {},
            {"trace_id": TRACE, "span_id": SPAN, "trace_flags": "01"},
        ),
        ({"traceparent": "nonsense"}, {}, {}),
    ],
)
def test_a_line_names_the_traces_of_its_request(
    headers: dict[str, str], environ: dict[str, str], expected: dict[str, object]
) -> None:
    assert emf.trace_fields(headers, environ) == expected

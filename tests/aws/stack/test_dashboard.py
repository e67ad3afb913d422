"""The dashboard's body: JSON, and made of metrics and fields that are really written."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

import emf
from pilotlight.telemetry import ColdStart, Served, fields
from templates import MODES, monitoring, properties

SERVED = Served("id", "POST", "/predict", 503, 1.25, "example", 3, code="not_ready", error="why")
READY = ColdStart("ready", "example", 3, {"total": 99.5}, 1000, 1)
PHASES = {f"phases_ms.{phase}" for phase in ("import", "lock", "runtime", "fetch", "load", "prime", "total")}


def body(**given: str) -> Any:
    """Return the dashboard as CloudWatch gets it, with each reference replaced by its own name."""
    text = properties(monitoring(**given), "Dashboard")["DashboardBody"]["Fn::Sub"]
    return json.loads(re.sub(r"\$\{([^!}]+)\}", r"\1", text).replace("${!", "${"))


def widgets(kind: str) -> list[dict[str, Any]]:
    return [widget["properties"] for widget in body()["widgets"] if widget["type"] == kind]


def expressions() -> list[str]:
    entries = [entry for widget in widgets("metric") for row in widget["metrics"] for entry in row]
    return [entry["expression"] for entry in entries if isinstance(entry, dict) and "expression" in entry]


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_the_body_is_json_in_every_mode(mode: dict[str, str]) -> None:
    assert {widget["type"] for widget in body(**mode)["widgets"]} == {"alarm", "metric", "log"}


def test_widgets_lie_beside_each_other() -> None:
    cells = [
        (x, y)
        for widget in body()["widgets"]
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_versions_are_found_by_the_dimensions_that_are_written() -> None:
    names = {name for record in (SERVED, READY) for name in metrics(record)} | {"InitFailures"}
    for expression in expressions():
        assert expression.startswith("SEARCH('{")
        asked = set(re.findall(r'MetricName="(\w+)"', expression))
        if expression.startswith("SEARCH('{AWS/Lambda,FunctionName,Resource,ExecutedVersion}"):
            assert asked == {"Errors"}
        else:
            assert expression.startswith(
                'SEARCH(\'{"Pilotlight",FunctionName,ExecutedVersion} FunctionName="PredictFunction"'
            )
            assert asked
            assert asked <= names


def metrics(record: ColdStart | Served) -> set[str]:
    line: Any = emf.to_line(record, "Pilotlight", 0)
    return {metric["Name"] for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}


def test_log_queries_ask_for_fields_that_lines_have() -> None:
    known = {*fields(SERVED), *fields(READY), *PHASES, "level"}
    for widget in widgets("log"):
        source, *steps = widget["query"].split(" | ")
        assert source == "SOURCE 'PredictLogGroup'"
        for step in steps:
            asked = re.sub(r"\bas \w+|'[^']*'|@\w+|\b\w+(?=\()", "", step.partition(" ")[2])
            named = set(re.findall(r"[a-z_][a-z_.]*", asked)) - {"and", "by", "desc"}
            assert named <= known, step


def test_models_are_told_apart_by_their_version() -> None:
    assert [widget["title"] for widget in widgets("log") if "by model_name, model_version" in widget["query"]] == [
        "Traffic by model version",
        "Cold starts by model version",
        "Phases of a cold start, median (ms)",
    ]


def test_the_budget_is_drawn_into_the_latency() -> None:
    (latency,) = (entry for entry in body(LatencyBudgetMs="250")["widgets"] if "annotations" in entry["properties"])
    assert latency["properties"]["annotations"] == {"horizontal": [{"label": "budget", "value": 250}]}

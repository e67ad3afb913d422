"""The log-based metrics and the alert policy, held against lines that the function really writes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

import cloud_logging
from fakes.monitoring_api import MonitoringApi
from harness import in_functions_framework, sample, stored
from log_entries import field, matches, to_entry
from pilotlight.http.routes import ROUTES, Route
from pilotlight.telemetry import ColdStart, Record, Scored, Served
from pilotlight_cli.assets import ROOT

FOLDER = ROOT / "deploy/gcp/monitoring"
METRICS = {file.stem: yaml.safe_load(file.read_text()) for file in sorted(FOLDER.glob("metrics/*.yaml"))}
POLICY = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
PREFIX = "logging.googleapis.com/user/"
OF_RECORDS = 'resource.label.subscription_id=has_substring("-records-")'

ROW = [1.0] * 30
ASKED: list[tuple[str, str, object]] = [
    ("POST", "/predict", {"features": ROW}),
    ("POST", "/predict_batch", {"instances": [ROW] * 3}),
    ("POST", "/predict", {"features": ROW[1:]}),
    ("GET", "/nowhere", None),
    ("GET", "/health", None),
    ("GET", "/health/ready", None),
]

# What the real function cannot be made to write here, in the same words.
OTHERS: list[Record] = [
    Served("id", "POST", "/predict", 500, 2.5, "breast-cancer", 1, code="internal", error="Traceback"),
    Served("id", "POST", "/predict", 503, 2.5, "breast-cancer", 1, code="not_ready"),
    Served("id", "POST", "/predict_batch", 200, 2.5, "breast-cancer", 1, rows=4, out_of_range=2),
    Served("id", "GET", "/health/ready", 503, 2.5, "breast-cancer", 1, code="not_ready"),
    Scored("id", "rows", 3, 0, 0, 1, 3, 0, 2.5, "breast-cancer", 1),
    Scored("id", "rows", 2, 1, 0, 1, 1, 0, 2.5, "breast-cancer", 1),
    ColdStart("waiting", "breast-cancer", 1, {"total": 30000.0}, 0, 9, "StoreUnavailable: 503"),
    ColdStart("failed", "breast-cancer", 1, {"total": 12.0}, 0, 1, "DigestMismatch: other bytes"),
    ColdStart("failed", "", 0, {}, 0, 0, "FormatError: no lock"),
]


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return a function's whole log: of a start, of requests, and of what goes wrong."""
    model = sample(tmp_path_factory.mktemp("sample"))
    with stored("gcp", model) as store, in_functions_framework(model, store) as runtime:
        for method, path, document in ASKED:
            requests.request(method, f"{runtime.url}{path}", json=document, timeout=30)
        for count, _ in enumerate(ASKED):
            assert runtime.log.wait_for("request", 30, after=count) is not None
        lines = [line for line in runtime.log.lines if line.startswith("{")]
    return [to_entry(line) for line in lines]


@pytest.fixture
def log(entries: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    report = cloud_logging.reporter("INFO", "Pilotlight")
    for record in OTHERS:
        report(record)
    return [*entries, *map(to_entry, capsys.readouterr().out.splitlines())]


COUNTS = {
    "pilotlight_requests": 7,
    "pilotlight_client_errors": 2,
    "pilotlight_server_errors": 2,
    "pilotlight_out_of_range": 1,
    "pilotlight_init_failures": 2,
    "pilotlight_latency": 7,
    "pilotlight_rows": 3,
    "pilotlight_init_time": 1,
    "pilotlight_records": 2,
    "pilotlight_failed_records": 1,
}


def test_every_metric_is_counted_here() -> None:
    assert METRICS.keys() == COUNTS.keys()


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_a_metric_finds_its_lines_and_what_it_takes_from_them(name: str, count: int, log: list[dict[str, Any]]) -> None:
    metric = METRICS[name]
    found = [entry for entry in log if matches(entry, metric["filter"])]
    assert len(found) == count
    described = metric["metricDescriptor"]
    assert {label["key"] for label in described["labels"]} == metric["labelExtractors"].keys()
    for extractor in metric["labelExtractors"].values():
        assert all(field(entry, extracted(extractor)) is not None for entry in found)
    assert ("valueExtractor" in metric) == (described["valueType"] == "DISTRIBUTION") == ("bucketOptions" in metric)
    if "valueExtractor" in metric:
        values = [field(entry, extracted(metric["valueExtractor"])) for entry in found]
        assert all(isinstance(value, (int, float)) and value > 0 for value in values)
        buckets = metric["bucketOptions"]["exponentialBuckets"]
        assert max(values) < buckets["scale"] * buckets["growthFactor"] ** buckets["numFiniteBuckets"]


def extracted(extractor: str) -> str:
    """Return the path in `EXTRACT(path)`."""
    found = re.fullmatch(r"EXTRACT\(([A-Za-z_.]+)\)", extractor)
    assert found
    return found[1]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_no_metric_of_requests_finds_a_health_check(route: Route, capsys: pytest.CaptureFixture[str]) -> None:
    record = Served("id", route.method, route.path, 200, 2.5, "breast-cancer", 1, rows=1, out_of_range=1)
    cloud_logging.reporter("INFO", "Pilotlight")(record)
    entry = to_entry(capsys.readouterr().out)
    names = ("pilotlight_requests", "pilotlight_latency", "pilotlight_rows", "pilotlight_out_of_range")
    assert {matches(entry, METRICS[name]["filter"]) for name in names} == {not record.is_probe}


def test_every_metric_of_requests_leaves_out_the_same_routes() -> None:
    filters = [metric["filter"] for metric in METRICS.values() if 'event="request"' in metric["filter"]]
    excluded = [[line for line in query.splitlines() if "jsonPayload.route" in line] for query in filters]
    assert len(filters) == 6
    assert all(lines == excluded[0] and len(lines) == 1 for lines in excluded)


def test_a_line_of_another_service_on_cloud_run_is_no_metric_of_ours() -> None:
    entry = to_entry(json.dumps({"severity": "ERROR", "message": "not ours", "status": 500}))
    assert not any(matches(entry, metric["filter"]) for metric in METRICS.values())


def filters(condition: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield a condition's filters, and how what they find is put together."""
    threshold = condition["conditionThreshold"]
    yield threshold["filter"], threshold["aggregations"]
    if "denominatorFilter" in threshold:
        yield threshold["denominatorFilter"], threshold["denominatorAggregations"]


@pytest.mark.parametrize("condition", POLICY["conditions"], ids=lambda condition: condition["displayName"])
def test_an_alert_looks_at_metrics_that_are_there_in_a_way_that_their_kind_allows(condition: dict[str, Any]) -> None:
    for query, aggregations in filters(condition):
        if "pubsub.googleapis.com" in query:  # Pub/Sub's own, of what the function for records gets
            assert query.endswith('resource.type="pubsub_subscription" AND ' + OF_RECORDS)
            assert [each["groupByFields"] for each in aggregations] == [["resource.label.subscription_id"]]
            continue
        found = re.fullmatch(rf'metric.type="{PREFIX}(\w+)" AND resource.type="cloud_run_revision"', query)
        assert found
        is_counter = METRICS[found[1]]["metricDescriptor"]["valueType"] == "INT64"
        (aggregation,) = aggregations
        aligner, reducer = aggregation["perSeriesAligner"], aggregation["crossSeriesReducer"]
        assert (aligner, reducer) == (
            ("ALIGN_DELTA", "REDUCE_SUM") if is_counter else ("ALIGN_PERCENTILE_99", "REDUCE_MAX")
        )
        assert aggregation["groupByFields"] == ["resource.label.service_name", "resource.label.revision_name"]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("gcloud"), reason="NO GCLOUD HERE: it was not asked whether it takes these files")
def test_gcloud_takes_every_file_as_it_is_at_first_and_again(tmp_path: Path) -> None:
    kept = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    with MonitoringApi() as api:
        environ = kept | {
            "CLOUDSDK_CONFIG": str(tmp_path),
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING": api.url,
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_MONITORING": api.url,
        }
        for methods in (["POST"] * 11, ["PUT"] * 10 + ["PATCH"]):
            api.written.clear()
            command = [str(FOLDER / "apply.sh"), "mine", "projects/mine/notificationChannels/7"]
            done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert api.written == methods
            assert {name: without(document, "name") for name, document in api.metrics.items()} == METRICS
            (policy,) = api.policies
            assert policy["notificationChannels"] == ["projects/mine/notificationChannels/7"]
            assert without(policy, "name", "notificationChannels") == POLICY


def without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}

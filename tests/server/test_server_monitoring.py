"""Prometheus and Alertmanager with our files, beside the server: the dashboard's panels, and an alert that arrives."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

import grpc_inference_pb2 as pb
from docs import pages
from grpc_calls import Serving, connected, serving_grpc
from harness import sample
from prometheus import COMPOSE, Prometheus, checked, needs_prometheus, receiving, watching
from repository import sample_request
from waiting import wait_until

DASHBOARD = json.loads((COMPOSE / "grafana/pilotlight.json").read_text())
# What Grafana puts in for its variables.
VALUES = {"$job": "pilotlight", "$model": ".+", "$__rate_interval": "10s"}

pytestmark = needs_prometheus


@pytest.fixture(scope="module")
def webhook() -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    with receiving() as found:
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    model = sample(tmp_path_factory.mktemp("sample"))
    with serving_grpc(model, PILOTLIGHT_SERVER_WORKERS="2", PILOTLIGHT_SERVER_BATCH="8") as found:
        yield found


@pytest.fixture(scope="module")
def prometheus(
    server: Serving, webhook: tuple[str, object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    target = server.runtime.url.removeprefix("http://")
    with watching(tmp_path_factory.mktemp("prometheus"), target, webhook[0]) as found:
        yield found


def test_the_files_are_well_formed() -> None:
    checked("promtool", "check", "config", COMPOSE / "prometheus/prometheus.yaml")
    checked("amtool", "check-config", COMPOSE / "alertmanager.yaml")


def expressions() -> dict[str, str]:
    """Return each query of the dashboard, as Grafana would send it, by its panel's title and its own letter."""
    found = {}
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in VALUES.items():
                expression = expression.replace(name, value)
            assert "$" not in expression
            found[f"{panel['title']} {target['refId']}"] = expression
    return found


def test_every_metric_is_on_the_dashboard() -> None:
    rows = pages.table(pages.section(pages.read("docs/reference/logs-and-metrics.md"), "## Metrics of the server"))
    shown = " ".join(expressions().values())
    assert [row[0] for row in rows if row[0].strip("`") not in shown] == []


def test_every_query_of_the_dashboard_returns_a_series(server: Serving, prometheus: Prometheus) -> None:
    path, body = sample_request()
    without = expressions()

    def all_do() -> bool:
        requests.post(f"{server.runtime.url}{path}", json=body, timeout=60)  # its own connection: to either worker
        requests.post(f"{server.runtime.url}{path}", json={}, timeout=60)
        with connected(server.address) as client:
            client.call("ModelMetadata", pb.ModelMetadataRequest(name="breast-cancer"))
        for name, expression in list(without.items()):
            series = prometheus.query(expression)
            if series and not any(math.isnan(float(each["value"][1])) for each in series):
                del without[name]
        return not without

    assert len(without) >= len(DASHBOARD["panels"]) > 1
    wait_until(all_do, limit=60)


def test_every_alert_is_evaluated_and_one_that_rings_arrives(
    server: Serving, prometheus: Prometheus, webhook: tuple[str, list[Mapping[str, Any]]]
) -> None:
    wait_until(lambda: all(rule["health"] == "ok" for rule in prometheus.rules()), limit=60)
    assert len(prometheus.rules()) == 5
    wait_until(lambda: bool(prometheus.query('up{job="pilotlight"} == 1')), limit=60)
    wait_until(lambda: not prometheus.query("ALERTS"), limit=60)  # before the first scrape nothing was ready
    stopped = datetime.now(UTC)
    server.runtime.stop()

    def arrived() -> list[Mapping[str, Any]]:
        alerts = [alert for message in webhook[1] for alert in message["alerts"]]
        return [alert for alert in alerts if datetime.fromisoformat(alert["startsAt"]) > stopped]

    wait_until(lambda: bool(arrived()), limit=60)
    assert arrived()[0]["labels"] == {"alertname": "PilotlightNotReady", "job": "pilotlight", "severity": "critical"}
    assert "cold_start says" in arrived()[0]["annotations"]["description"]

"""A shift of traffic as CodeDeploy makes it, on moto's CloudWatch, with callers and two versions that answer them.

moto's CloudWatch lacks percentiles, which are computed here; CloudWatch's evaluation of the alarm is played too.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import numpy as np
import pytest
from moto import mock_aws
from moto.backends import get_backend
from moto.cloudwatch.models import Statistics

import judge
from fakes.codedeploy_api import ACCOUNT
from fakes.lambda_api import FakeLambda, lambda_api
from pilotlight_cli.local.stores import acting_in
from templates import properties, stack

STACK, FUNCTION, NAMESPACE = "prod", "prod-predict", "Pilotlight"
OLD, NEW = "7", "8"

Handler = Callable[[Mapping[str, Any], object], dict[str, Any]]


@dataclass(frozen=True)
class Version:
    """How a version answers: its shares of 4xx, of 5xx and of crashes, and how many times as slow it is."""

    refused: float = 0.02
    failed: float = 0.01
    crashed: float = 0.0
    slower: float = 1.0
    writes: bool = True


@dataclass
class Shift:
    """A shift in `steps`, `minutes` each, with `rate` requests a minute."""

    new: Version
    old: Version = field(default_factory=Version)
    rate: int = 300
    seed: int = 0
    steps: tuple[int, ...] = (10, 30, 60, 90)
    minutes: int = 1
    said: list[dict[str, Any]] = field(default_factory=list)
    latencies: dict[tuple[str, datetime], list[float]] = field(default_factory=dict)

    def run(self, handler: Handler, alias: FakeLambda) -> str:
        """Return how the deployment ends: `done`, or the step at which it goes back."""
        random = np.random.default_rng(self.seed)
        cloudwatch = boto3.Session().client("cloudwatch")
        begin = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2)
        self._latency(cloudwatch, OLD, begin - timedelta(hours=5), random.lognormal(3, 0.5, 2000))
        for number in range(len(self.steps) * self.minutes):
            percent = self.steps[number // self.minutes]
            alias.weights["live"] = {NEW: percent / 100}
            new = int(random.binomial(self.rate, percent / 100))
            at = begin + timedelta(minutes=number)
            self._minute(cloudwatch, random, at, {NEW: new, OLD: self.rate - new})
            self.said.append(handler({}, None))
            if rings(cloudwatch):
                alias.weights.clear()
                return f"back at {percent} %"
        alias.aliases["live"] = NEW
        alias.weights.clear()
        return "done"

    def _minute(self, cloudwatch: Any, random: np.random.Generator, at: datetime, sent: dict[str, int]) -> None:
        for name, version in ((OLD, self.old), (NEW, self.new)):
            crashed = int(random.binomial(sent[name], version.crashed))
            answered = sent[name] - crashed
            ours = {
                "Requests": answered,
                "ClientErrors": int(random.binomial(answered, version.refused)),
                "ServerErrors": int(random.binomial(answered, version.failed)),
            }
            if not sent[name]:
                continue
            put(cloudwatch, "AWS/Lambda", name, at, {"Invocations": sent[name], "Errors": crashed}, behind_alias=True)
            if version.writes and answered:
                put(cloudwatch, NAMESPACE, name, at, ours)
                self._latency(cloudwatch, name, at, version.slower * random.lognormal(3, 0.5, answered))

    def _latency(self, cloudwatch: Any, name: str, at: datetime, values: Any) -> None:
        self.latencies[name, at] = [float(value) for value in values]
        put(cloudwatch, NAMESPACE, name, at, {"Latency": float(np.sum(values))}, count=len(values))


def put(
    cloudwatch: Any,
    namespace: str,
    version: str,
    at: datetime,
    sums: Mapping[str, float],
    *,
    behind_alias: bool = False,
    count: int = 1,
) -> None:
    """Put sums of metrics of a version."""
    named = {"FunctionName": FUNCTION, "ExecutedVersion": version}
    if behind_alias:
        named["Resource"] = f"{FUNCTION}:live"
    cloudwatch.put_metric_data(
        Namespace=namespace,
        MetricData=[
            {
                "MetricName": metric,
                "Timestamp": at,
                "Dimensions": [{"Name": key, "Value": value} for key, value in named.items()],
                "StatisticValues": {"Sum": value, "Minimum": 0, "Maximum": value, "SampleCount": count},
            }
            for metric, value in sums.items()
        ],
    )


def rings(cloudwatch: Any) -> bool:
    """Whether the alarm of the release rings, by the metric that the template names."""
    queries = {entry["Id"]: entry for entry in properties(stack(), "WorseAlarm")["Metrics"]}
    assert queries["ring"]["Expression"] == "IF(FILL(worse, 0) > 0 OR FILL(failures, 0) >= 3, 1, 0)"
    worse = queries["worse"]["MetricStat"]
    assert [one["Name"] for one in worse["Metric"]["Dimensions"]] == ["FunctionName", "ExecutedVersion"]
    metric = {
        "Namespace": NAMESPACE,
        "MetricName": worse["Metric"]["MetricName"],
        "Dimensions": [
            {"Name": "FunctionName", "Value": FUNCTION},
            {"Name": "ExecutedVersion", "Value": NEW},
        ],
    }
    now = datetime.now(UTC)
    found = cloudwatch.get_metric_data(
        MetricDataQueries=[
            {"Id": "worse", "MetricStat": {"Metric": metric, "Period": worse["Period"], "Stat": worse["Stat"]}}
        ],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=1),
    )
    return any(value > 0 for value in found["MetricDataResults"][0]["Values"])


@contextmanager
def shifting(shift: Shift, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLambda]:
    """Give the alias of the function, with moto's CloudWatch behind every client."""

    def statistic(self: Statistics, stat: str) -> object:
        if stat != "p95" and not stat.startswith("PR("):
            return known(self, stat)
        values = [
            value
            for datum in self.metric_data
            for (version, at), some in shift.latencies.items()
            if {one.name: one.value for one in datum.dimensions}["ExecutedVersion"] == version
            and datum.timestamp.replace(tzinfo=UTC) == at  # moto's have no zone
            for value in some
        ]
        if stat == "p95":
            return sorted(values)[math.ceil(0.95 * len(values)) - 1]
        limit = float(stat.removeprefix("PR(:").removesuffix(")"))
        return 100 * sum(value <= limit for value in values) / len(values)

    known = Statistics.get_statistics_for_type
    alias = FakeLambda(FUNCTION, {}, {"live": OLD})
    settings = {"STACK": STACK, "FUNCTION": FUNCTION, "METRICS_NAMESPACE": NAMESPACE}
    with monkeypatch.context() as patched, lambda_api(alias) as found:
        patched.setattr(Statistics, "get_statistics_for_type", statistic)
        with acting_in({**ACCOUNT, **found, **settings}), _cloudwatch():
            judge.client.cache_clear()
            yield alias


@contextmanager
def _cloudwatch() -> Iterator[None]:
    """Take calls to AWS, with nothing in CloudWatch; servers of this process keep what they have."""
    aws = mock_aws()
    aws.start(reset=False)
    try:
        for backend in get_backend("cloudwatch").values():
            backend.reset()
        yield
    finally:
        aws.stop(remove_data=False)


def alarm(name: str) -> None:
    """Make an alarm that rings."""
    cloudwatch = boto3.Session().client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        MetricName="m",
        Namespace="n",
        Period=60,
        Statistic="Sum",
        Threshold=1,
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason=json.dumps(name))


def seeds(default: int) -> list[int]:
    """Return the seeds of simulated shifts; JUDGE_TEST_SEEDS says how many."""
    return list(range(int(os.environ.get("JUDGE_TEST_SEEDS", default))))

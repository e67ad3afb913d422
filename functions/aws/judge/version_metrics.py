"""Reads what CloudWatch counted of two versions, minute by minute.

The function writes its own metrics with the dimensions FunctionName and ExecutedVersion; Lambda's metrics of a version
behind an alias have Resource too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from verdicts import Counts, Minute

# boto3 makes the type of its client.
CloudWatch = Any

# Longer than any shift that template.yaml allows.
_WINDOW = timedelta(hours=3)

# What the version that serves is measured by: the 95th percentile of its latency on the day before. A request of more
# than twice that is slow.
_DAY = timedelta(days=1)
_USUAL = "p95"
_SLOW = 2

# Periods, in seconds.
_MINUTE, _HOUR = 60, 3600

_COUNTS = {
    "requests": "Requests",
    "client_errors": "ClientErrors",
    "server_errors": "ServerErrors",
    "invocations": "Invocations",
    "failures": "Errors",
}
_OF_LAMBDA = ("Invocations", "Errors")


@dataclass(frozen=True, slots=True)
class Versions:
    """Two versions of a function behind an alias, and the namespace of the function's own metrics."""

    function: str
    alias: str
    namespace: str
    old: str
    new: str

    def dimensions(self, version: str, *, behind_alias: bool = False) -> list[dict[str, str]]:
        """Return the dimensions of a version's metrics."""
        named = {"FunctionName": self.function, "ExecutedVersion": version}
        if behind_alias:
            named["Resource"] = f"{self.function}:{self.alias}"
        return [{"Name": name, "Value": value} for name, value in named.items()]


def read_minutes(cloudwatch: CloudWatch, versions: Versions, now: datetime) -> list[Minute]:
    """Return the minutes of the last hours in which both versions were invoked, oldest first."""
    start, end = _start_of_minute(now - _WINDOW), _start_of_minute(now) + timedelta(minutes=1)
    pair = {"old": versions.old, "new": versions.new}
    queries = [
        _query(versions, f"{side}_{field}", version, metric, "Sum")
        for side, version in pair.items()
        for field, metric in _COUNTS.items()
    ]
    found = _read(cloudwatch, queries, start, end)
    shared = sorted(found["old_invocations"].keys() & found["new_invocations"].keys())
    if not shared:
        return []
    slow = _read_slow(cloudwatch, versions, shared[0], end)

    def counts(side: str, at: datetime) -> Counts:
        values = {field: found[f"{side}_{field}"].get(at, 0) for field in _COUNTS}
        return Counts(**values, slow=slow[side].get(at, 0) if slow else None)

    return [Minute(f"{at:%H:%M}", counts("old", at), counts("new", at)) for at in shared]


def ringing(cloudwatch: CloudWatch, stack: str, version: str) -> list[str]:
    """Return the names of a version's alarms that ring."""
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{stack}-", StateValue="ALARM")
    names = [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]
    return [name for name in names if name.endswith(f"-{version}") and not name.startswith(f"{stack}-records-")]


def _read_slow(
    cloudwatch: CloudWatch, versions: Versions, start: datetime, end: datetime
) -> dict[str, dict[datetime, float]] | None:
    """Return how many requests of each version were slow in each minute; None without a day before to measure by."""
    before = [_query(versions, "usual", versions.old, "Latency", _USUAL)]
    usual = _read(cloudwatch, before, start.replace(minute=0) - _DAY, start)["usual"]
    if not usual:
        return None
    limit = _SLOW * median(usual.values())
    pair = {"old": versions.old, "new": versions.new}
    queries = [
        _query(versions, f"{side}_{name}", version, "Latency", stat)
        for side, version in pair.items()
        for name, stat in (("all", "SampleCount"), ("quick", f"PR(:{limit:.6f})"))
    ]
    found = _read(cloudwatch, queries, start, end)
    return {
        side: {at: float(round(number * (1 - found[f"{side}_quick"].get(at, 100) / 100))) for at, number in entries}
        for side in pair
        for entries in [found[f"{side}_all"].items()]
    }


def _query(versions: Versions, name: str, version: str, metric: str, stat: str) -> dict[str, Any]:
    of_lambda = metric in _OF_LAMBDA
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/Lambda" if of_lambda else versions.namespace,
                "MetricName": metric,
                "Dimensions": versions.dimensions(version, behind_alias=of_lambda),
            },
            "Period": _HOUR if stat == _USUAL else _MINUTE,
            "Stat": stat,
        },
    }


def _read(
    cloudwatch: CloudWatch, queries: Sequence[dict[str, Any]], start: datetime, end: datetime
) -> dict[str, dict[datetime, float]]:
    """Return the values of each query by the time at which their period begins."""
    found: dict[str, dict[datetime, float]] = {query["Id"]: {} for query in queries}
    for page in cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=start, EndTime=end, ScanBy="TimestampAscending"
    ):
        for result in page["MetricDataResults"]:
            found[result["Id"]].update(zip(result["Timestamps"], result["Values"], strict=True))
    return found


def _start_of_minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)

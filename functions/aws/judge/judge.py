"""Compares the version that is being released with the one that serves, every minute while traffic is shared.

CodeDeploy moves on by the clock, and hears alarms alone. So a verdict is a metric, WORSE, of the new version: 1 to roll
back, else 0. deploy/aws/release-alarms.yaml makes it one of the release's alarms.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.config import Config

from verdicts import Outcome, Verdict, decide
from version_metrics import CloudWatch, Versions, read_minutes, ringing

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

ALIAS = "live"
WORSE = "Worse"

_CALLS = Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})


def lambda_handler(event: Mapping[str, Any], _context: object) -> dict[str, object]:
    """Judge the shift of the alias. An event that names the versions `old` and `new` only asks for their verdict."""
    now, cloudwatch = datetime.now(UTC), client("cloudwatch")
    function, namespace = os.environ["FUNCTION"], os.environ["METRICS_NAMESPACE"]
    if "new" in event:
        asked = Versions(function, ALIAS, namespace, str(event["old"]), str(event["new"]))
        return document(asked, judge(cloudwatch, asked, os.environ["STACK"], now))
    versions = read_versions(client("lambda"), function, namespace)
    if versions is None:
        return {"outcome": "idle", "sentence": f"the alias {ALIAS} of {function} shares no traffic"}
    verdict = judge(cloudwatch, versions, os.environ["STACK"], now)
    cloudwatch.put_metric_data(
        Namespace=namespace,
        MetricData=[
            {
                "MetricName": WORSE,
                "Dimensions": versions.dimensions(versions.new),
                "Timestamp": now,
                "Value": float(verdict.outcome is Outcome.ROLL_BACK),
                "Unit": "Count",
            }
        ],
    )
    found = document(versions, verdict)
    sys.stdout.write(f"{json.dumps({'level': 'INFO', 'event': 'judge', **found})}\n")
    sys.stdout.flush()
    return found


@cache
def client(service: Literal["cloudwatch", "lambda"]) -> Any:  # noqa: ANN401 - boto3 makes the type
    """Return a client, which the process keeps: most invocations make one call, and end."""
    return boto3.Session().client(service, config=_CALLS)


def read_versions(functions: LambdaClient, function: str, namespace: str) -> Versions | None:
    """Return the versions that share the alias's traffic; None if one has all of it."""
    alias = functions.get_alias(FunctionName=function, Name=ALIAS)
    weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    new = [version for version, weight in weights.items() if weight]
    return Versions(function, ALIAS, namespace, alias["FunctionVersion"], new[0]) if new else None


def judge(cloudwatch: CloudWatch, versions: Versions, stack: str, now: datetime) -> Verdict:
    """Return the verdict on the minutes in which both versions were invoked."""
    minutes = read_minutes(cloudwatch, versions, now)
    return decide(versions.old, versions.new, minutes, ringing(cloudwatch, stack, versions.old))


def document(versions: Versions, verdict: Verdict) -> dict[str, object]:
    """Return a verdict as the function's result."""
    return {
        "old": versions.old,
        "new": versions.new,
        "outcome": verdict.outcome.value,
        "sentence": verdict.sentence,
    }

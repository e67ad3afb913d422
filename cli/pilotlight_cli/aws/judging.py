"""What the judge of a stack says of a release, and the alarm that holds one before it starts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pilotlight_cli.aws import versions
from pilotlight_cli.aws.calls import AwsError, calling

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


def judged(functions: LambdaClient, stack: str, old: str, new: str) -> str:
    """Return what the judge says of version `new` beside version `old`: `outcome: sentence`.

    Return "" for a stack without one, which an earlier release of Pilotlight deployed. Raise AwsError.
    """
    name = f"{stack}-judge"
    with calling(f"invoking {name}", "lambda:InvokeFunction"):
        try:
            response = functions.invoke(FunctionName=name, Payload=json.dumps({"old": old, "new": new}).encode())
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return ""
            raise
        payload = response["Payload"].read()
    try:
        verdict = json.loads(payload)
        return f"{verdict['outcome']}: {verdict['sentence']}"
    except (ValueError, KeyError, TypeError):
        raise AwsError(f"{name} returned {payload[:300]!r}, expected an outcome and a sentence") from None


def judged_newest(functions: LambdaClient, function: str, stack: str, before: str) -> str:
    """Return what the judge says of the newest version beside the one that served before; "" if that is the same."""
    newest = [str(version) for version in versions.published(functions, function)[:1]] if before else []
    return "" if newest in ([], [before]) else judged(functions, stack, before, newest[0])


def held(cloudwatch: Any, stack: str) -> str:  # noqa: ANN401 - boto3 makes the type
    """Return why no release may start: the alarm of the one that serves rings; else "". Raise AwsError."""
    name = f"{stack}-release"
    with calling(f"the alarm {name}", "cloudwatch:DescribeAlarms"):
        found = cloudwatch.describe_alarms(
            AlarmNames=[name], AlarmTypes=["CompositeAlarm", "MetricAlarm"], StateValue="ALARM"
        )
    if not (found.get("CompositeAlarms") or found.get("MetricAlarms")):
        return ""
    return (
        f"held: the alarm {name} rings, so there is no good version to compare a new one with, or to go back to. Wait "
        "for it to end; if this release is the fix, add --past-alarms"
    )

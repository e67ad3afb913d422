"""The function's records in CloudWatch Logs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

from pilotlight_cli.aws.calls import calling, client
from pilotlight_cli.aws.environments import Environment
from pilotlight_cli.records import EVENTS, Entry, Read


def reader(target: Environment, function: str, events: Collection[str] = EVENTS, experiment: str = "") -> Read:
    """Return what reads the records of an environment's function, `predict` or `records`. It raises AwsError.

    With the salt of an `experiment`, it reads only the lines with that in them.
    """
    logs, group = client("logs", target.region), f"/pilotlight/{target.stack}/{function}"

    def read(since: datetime) -> list[Entry]:
        with calling(f"the log group {group}", "logs:FilterLogEvents"):
            pages = logs.get_paginator("filter_log_events").paginate(
                logGroupName=group,
                startTime=int(since.timestamp() * 1000),
                **({"filterPattern": f'"{experiment}"'} if experiment else {}),
            )
            found = [entry for page in pages for event in page["events"] for entry in _entries(event, events)]
        return sorted(found, key=lambda entry: entry.time)

    return read


def _entries(event: dict[str, Any], events: Collection[str]) -> Iterator[Entry]:
    """Yield the entry of a line that is one of our records; other lines are the platform's and libraries'."""
    try:
        record = json.loads(event["message"])
    except ValueError:
        return
    if isinstance(record, dict) and record.get("event") in events:
        moment = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
        yield Entry(event["eventId"], moment, event["logStreamName"], record)

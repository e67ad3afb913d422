"""What the request log says of a revision. Cloud Monitoring would say the same, minutes later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pilotlight_cli.gcp.gcloud import Gcloud
from pilotlight_cli.gcp.plan import Seen

# How our own requests are known in the log; behind it stands the mark of one sending.
AGENT = "pilotlight-golden/"

# The newest entries, which is one page: thousands of requests a step are judged by these.
_NEWEST = 1000

_FIELDS = "httpRequest.status,httpRequest.latency,httpRequest.userAgent"


def requests_of(gcloud: Gcloud, region: str, service: str, revision: str, *, since: datetime, mark: str) -> Seen:
    """The requests that a revision answered since then; of our own, only those with this mark. Raises GcpError."""
    moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    wanted = " AND ".join(
        (
            'resource.type="cloud_run_revision"',
            'log_id("run.googleapis.com/requests")',
            f'resource.labels.location="{region}"',
            f'resource.labels.service_name="{service}"',
            f'resource.labels.revision_name="{revision}"',
            f'timestamp>="{moment}"',
        )
    )
    entries = gcloud.json("logging", "read", wanted, f"--limit={_NEWEST}", "--order=desc")
    return count((entry.get("httpRequest", {}) for entry in entries or ()), mark)


def count(requests: Iterable[Mapping[str, Any]], mark: str) -> Seen:
    """Count the requests of log entries. One without status or latency is not over, or not a request: it is no data."""
    times, failed, probes = [], 0, 0
    for request in requests:
        agent, status, took = request.get("userAgent", ""), request.get("status"), _milliseconds(request)
        if status is None or took is None or (agent.startswith(AGENT) and agent != AGENT + mark):
            continue
        times.append(took)
        failed += status >= 500
        probes += agent == AGENT + mark
    return Seen(tuple(times), failed, probes)


def _milliseconds(request: Mapping[str, Any]) -> float | None:
    """A duration as protobuf writes it in JSON: `0.0123s`."""
    latency = request.get("latency", "")
    try:
        return float(latency.removesuffix("s")) * 1000 if latency.endswith("s") else None
    except ValueError:
        return None

"""The requests of revisions in the request log, which is minutes ahead of Cloud Monitoring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pilotlight_cli.gcp.gcloud import Gcloud
from pilotlight_cli.gcp.plan import Errors, Observation

# The User-Agent of Pilotlight's own requests, followed by the id of one probe.
AGENT = "pilotlight-golden/"

# The newest entries, one page: a step with more requests, or more errors, is judged by these.
_NEWEST = 1000

_FIELDS = "httpRequest.status,httpRequest.latency,httpRequest.userAgent"


def read_requests(
    gcloud: Gcloud, region: str, service: str, revision: str, *, since: datetime, probe_id: str
) -> Observation:
    """Read a revision's requests since then; of Pilotlight's own only those of this probe. Raises GcpError."""
    wanted = _filter(region, service, since, f'resource.labels.revision_name="{revision}"')
    entries = gcloud.json("logging", "read", wanted, f"--limit={_NEWEST}", "--order=desc")
    return count_requests((entry.get("httpRequest", {}) for entry in entries or ()), probe_id)


def read_errors(gcloud: Gcloud, region: str, service: str, new: str, old: str, *, since: datetime) -> Errors:
    """Count the errors that callers got since then, by revision. Raises GcpError."""
    revisions = f'resource.labels.revision_name=("{new}" OR "{old}")'
    wanted = _filter(region, service, since, revisions, "httpRequest.status>=400")
    counts: Counter[tuple[str, int]] = Counter()
    for entry in gcloud.json("logging", "read", wanted, f"--limit={_NEWEST}", "--order=desc") or ():
        request = entry.get("httpRequest", {})
        if not request.get("userAgent", "").startswith(AGENT):
            counts[entry["resource"]["labels"]["revision_name"], request["status"] // 100] += 1
    return Errors(counts[new, 4], counts[old, 4], counts[new, 5], counts[old, 5])


def _filter(region: str, service: str, since: datetime, *more: str) -> str:
    """Return the filter of a service's requests in the log."""
    moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return " AND ".join(
        (
            'resource.type="cloud_run_revision"',
            'log_id("run.googleapis.com/requests")',
            f'resource.labels.location="{region}"',
            f'resource.labels.service_name="{service}"',
            f'timestamp>="{moment}"',
            *more,
        )
    )


def count_requests(requests: Iterable[Mapping[str, Any]], probe_id: str) -> Observation:
    """Count the requests of log entries, but for entries without status or latency: unfinished ones, or no requests."""
    latencies_ms, failed, probes = [], 0, 0
    for request in requests:
        agent, status, latency_ms = request.get("userAgent", ""), request.get("status"), _milliseconds(request)
        if status is None or latency_ms is None or (agent.startswith(AGENT) and agent != AGENT + probe_id):
            continue
        latencies_ms.append(latency_ms)
        failed += status >= 500
        probes += agent == AGENT + probe_id
    return Observation(tuple(latencies_ms), failed, probes)


def _milliseconds(request: Mapping[str, Any]) -> float | None:
    """Parse a duration in protobuf's JSON form, `0.0123s`."""
    latency = request.get("latency", "")
    try:
        return float(latency.removesuffix("s")) * 1000 if latency.endswith("s") else None
    except ValueError:
        return None

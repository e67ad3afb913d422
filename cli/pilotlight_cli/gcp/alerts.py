"""The alert policy of deploy/gcp/monitoring and its open incidents, through the Cloud Monitoring API (v3).

https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alerts
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pilotlight_cli.gcp import GcpError
from pilotlight_cli.gcp.api import Api
from pilotlight_cli.staging.sources import RECORDS

POLICY = "Pilotlight"  # displayName in deploy/gcp/monitoring/alerts.yaml

_INCIDENTS = 1000  # the newest of a project, open and closed: the most that one call returns
_LOCATION = r"[a-z]+\d?(?:-[a-z]+\d+)?"  # eu, nam4, europe-west1
_METRIC = re.compile(r'metric\.type="([^"]+)"')


def read_alarms(api: Api, project: str, service: str) -> tuple[Mapping[str, str] | None, str]:
    """Return the state of each condition of the policy by its name, and what could not be read and where to look.

    A state is "OK", "ALARM" (an incident of this Cloud Run service, or of its function of records, is open), "DISABLED"
    or "UNKNOWN".
    """
    try:
        policies = [one for one in _policies(api, project) if one.get("displayName") == POLICY]
    except GcpError as error:
        return None, f"not read; roles/monitoring.viewer allows it ({error})"
    if not policies:
        return {}, f"no alert policy {POLICY} in {project}; 'deploy/gcp/monitoring/apply.sh {project}' makes it"
    states = {
        condition["displayName"]: ("OK" if policy.get("enabled", True) else "DISABLED", _metric(condition))
        for policy in policies
        for condition in policy["conditions"]
    }
    try:
        ringing = set(_ringing(api, project, service))
    except GcpError as error:
        look = f"https://console.cloud.google.com/monitoring/alerting/incidents?project={project}"
        known = {name: "UNKNOWN" if state == "OK" else state for name, (state, _) in states.items()}
        return known, f"incidents of {len(states)} conditions not read; see {look} ({error})"
    return {name: "ALARM" if metric in ringing else state for name, (state, metric) in states.items()}, ""


def _policies(api: Api, project: str) -> Iterator[dict[str, Any]]:
    path = f"v3/projects/{project}/alertPolicies?pageSize=1000"
    page = api.get(path)
    while True:
        yield from page.get("alertPolicies", ())
        if not page.get("nextPageToken"):
            return
        page = api.get(f"{path}&pageToken={page['nextPageToken']}")


def _ringing(api: Api, project: str, service: str) -> Iterable[str]:
    """Yield the metric of each open incident of a service. The API returns the newest first."""
    for alert in api.get(f"v3/projects/{project}/alerts?pageSize={_INCIDENTS}").get("alerts", ()):
        is_ours = alert.get("policy", {}).get("displayName") == POLICY
        if is_ours and alert["state"] == "OPEN" and _is_of(alert.get("resource", {}).get("labels", {}), service):
            yield alert.get("metric", {}).get("type", "")


def _is_of(labels: Mapping[str, str], service: str) -> bool:
    """Whether a resource is a service, its function of records, or the subscription by which that gets events."""
    records = f"{service}-{RECORDS}"
    subscription = rf"eventarc-{_LOCATION}-{re.escape(records)}-.*"  # and the name of Eventarc's trigger
    return labels.get("service_name") in {service, records} or bool(
        re.fullmatch(subscription, labels.get("subscription_id", ""))
    )


def _metric(condition: Mapping[str, Any]) -> str:
    found = _METRIC.search(condition.get("conditionThreshold", {}).get("filter", ""))
    return found[1] if found else ""

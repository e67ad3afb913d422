"""What `pilotlight status` says about a function on Google Cloud."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fakes.cloud_functions import PARENT
from fakes.cloud_run import PROJECT, RunService, Target
from fakes.google_cloud import FakeGoogle, Trouble
from gcloud_fixtures import needs_gcloud
from gcp.deploy.conftest import SETTINGS, Deployment
from gcp.deploy.stand_in import gcloud
from gcp.test_monitoring import POLICY
from pilotlight_cli.gcp.platform import connect
from pilotlight_cli.gcp.services import Service
from pilotlight_cli.gcp.serving import read_deployment, read_details
from pilotlight_cli.gcp.settings import read_settings
from pilotlight_cli.gcp.state import ANNOTATION, State, annotations_with
from pilotlight_cli.project import status
from pilotlight_cli.project.status import Share
from repository import LOCK, copied_project

FIRST, SECOND = "predict-00001-abc", "predict-00002-abc"
PIN = "a" * 64
LABELS = {
    "pilotlight-model": "tumours",
    "pilotlight-version": "2",
    "pilotlight-lock": PIN[:16],
    "pilotlight-release": "cafe",
}

Read = Callable[..., status.Deployment]


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGoogle]:
    with FakeGoogle() as google:
        monkeypatch.setenv("http_proxy", google.proxy)
        monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
        for api in ("run", "monitoring"):
            monkeypatch.setenv(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}", f"http://{api}.test")
        yield google


@pytest.fixture
def service(google: FakeGoogle) -> RunService:
    """Give the service of a function that was deployed twice, with all traffic on the second revision."""
    service = google.service("predict")
    service.deploy()
    service.deploy()
    google.functions.documents["predict"] = {
        "name": f"{PARENT}/functions/predict",
        "state": "ACTIVE",
        "serviceConfig": {},
        "labels": dict(LABELS),
    }
    return service


@pytest.fixture
def read(tmp_path: Path) -> Read:
    file = tmp_path / "gcp.toml"
    file.write_text(SETTINGS)
    return lambda pin=PIN: read_deployment(file, "test", pin, gcloud)


def test_the_newest_revision_serves_this_pin_or_another(service: RunService, read: Read) -> None:
    assert read().shares == (Share(SECOND, 100, "cafe", "tumours:2", is_pin=True, lock=PIN[:16]),)
    for other in ("b" * 64, ""):
        assert read(other).shares == (Share(SECOND, 100, "cafe", "tumours:2", is_pin=False, lock=PIN[:16]),)


def test_after_a_rollback_the_labels_do_not_describe_what_serves(service: RunService, read: Read) -> None:
    service.send(Target(FIRST, 100))
    assert read().shares == (Share(FIRST, 100),)


def test_a_failed_deployment_describes_no_revision(service: RunService, google: FakeGoogle, read: Read) -> None:
    google.functions.documents["predict"]["state"] = "FAILED"
    assert read().shares == (Share(SECOND, 100),)


def test_a_rollout_has_the_new_revision_even_before_its_first_step(service: RunService, read: Read) -> None:
    service.send(Target(FIRST, 100))
    record = Service("predict", "", "", {}, (), SECOND, SECOND, {})
    state = State(FIRST, SECOND, 0, datetime(2026, 7, 31, tzinfo=UTC), PIN[:16])
    service.annotations = annotations_with(record, state)
    assert [(share.version, share.percent, share.is_pin) for share in read().shares] == [
        (FIRST, 100, None),
        (SECOND, 0, True),
    ]


def test_a_record_of_a_rollout_that_is_malformed_is_a_reason(service: RunService, read: Read) -> None:
    service.annotations = {ANNOTATION: "{"}
    found = read()
    assert found.state == "failed"
    assert "is malformed" in found.reason


def test_before_the_first_deployment_nothing_serves(google: FakeGoogle, read: Read) -> None:
    assert read() == status.Deployment("gcp", "test", "predict", "not deployed")


def test_a_function_without_a_service_is_not_deployed(google: FakeGoogle, service: RunService, read: Read) -> None:
    service.revisions.clear()
    assert read().state == "not deployed"


def test_an_account_that_may_not_look_has_no_access(google: FakeGoogle, read: Read) -> None:
    google.forbids_all = True
    assert read().state == "no access"


OK = {condition["displayName"]: "OK" for condition in POLICY["conditions"]}
LATENCY = "The 99th percentile of latency is above 1 s"
DEAD = "Events of records went to a dead-letter topic"


def incident(metric: str, service: str, state: str = "OPEN", policy: str = "Pilotlight") -> dict[str, Any]:
    """Return an incident of a revision as alerts.list has it."""
    return {
        "name": f"projects/{PROJECT}/alerts/0.abc",
        "state": state,
        "openTime": "2026-07-31T10:00:00Z",
        "resource": {"type": "cloud_run_revision", "labels": {"service_name": service, "revision_name": SECOND}},
        "metric": {"type": f"logging.googleapis.com/user/pilotlight_{metric}"},
        "policy": {"name": f"projects/{PROJECT}/alertPolicies/1", "displayName": policy},
    }


def stuck(subscription: str) -> dict[str, Any]:
    """Return an incident of a subscription."""
    return incident("", "") | {
        "resource": {"type": "pubsub_subscription", "labels": {"subscription_id": subscription}},
        "metric": {"type": "pubsub.googleapis.com/subscription/dead_letter_message_count"},
    }


@pytest.fixture
def details(google: FakeGoogle, service: RunService, tmp_path: Path) -> Callable[[], status.Details]:
    """Give a function that reads the details; the project has the alert policy, and one of somebody else's."""
    google.policies = [{"displayName": "Disks", "conditions": []}, POLICY | {"enabled": True}]
    google.functions.documents["predict"]["serviceConfig"] = {"service": f"{PARENT}/services/predict"}
    file = tmp_path / "gcp.toml"
    file.write_text(SETTINGS)
    google_cloud = connect(read_settings(file, "test"), os.environ, run=gcloud, sleep=lambda _: None)
    return lambda: read_details(google_cloud)


def test_an_incident_rings_the_condition_of_its_metric(google: FakeGoogle, details: Callable[[], Any]) -> None:
    assert (details().alarms, details().alarms_problem) == (OK, "")
    google.alerts = [
        incident("latency", "predict"),
        incident("server_errors", "another-service"),
        incident("init_failures", "predict", "CLOSED"),
        incident("out_of_range", "predict", policy="Another"),
    ]
    assert details().alarms == OK | {LATENCY: "ALARM"}


@pytest.mark.parametrize(
    ("subscription", "alarms"),
    [
        ("eventarc-europe-west1-predict-records-123456-sub-789", {DEAD: "ALARM"}),
        ("eventarc-eu-predict-records-123456-sub-789", {DEAD: "ALARM"}),
        ("eventarc-europe-west1-other-predict-records-123456-sub-789", {}),
    ],
)
def test_an_incident_of_a_subscription_is_that_of_the_function_of_records(
    subscription: str, alarms: dict[str, str], google: FakeGoogle, details: Callable[[], Any]
) -> None:
    google.alerts = [stuck(subscription)]
    assert details().alarms == OK | alarms


def test_a_policy_that_is_switched_off_says_so(google: FakeGoogle, details: Callable[[], Any]) -> None:
    google.policies[1]["enabled"] = False
    assert details().alarms == dict.fromkeys(OK, "DISABLED")


@pytest.mark.parametrize("status", [403, 404, 500])
def test_where_incidents_cannot_be_read_status_says_where_to_look(
    status: int, google: FakeGoogle, details: Callable[[], Any]
) -> None:
    google.troubles = [Trouble("GET", "/alerts", status)] * 4
    found = details()
    assert found.alarms == dict.fromkeys(OK, "UNKNOWN")
    assert "https://console.cloud.google.com/monitoring/alerting/incidents?project=pilotlight-test" in (
        found.alarms_problem
    )


def test_without_the_right_to_read_policies_status_names_the_role(
    google: FakeGoogle, details: Callable[[], Any]
) -> None:
    google.troubles = [Trouble("GET", "/alertPolicies", 403)]
    found = details()
    assert found.alarms is None
    assert "roles/monitoring.viewer" in found.alarms_problem


@needs_gcloud
def test_what_deploy_deploys_is_this_pin(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment.deploy()
    for name, value in deployment.environ.items():
        monkeypatch.setenv(name, value)
    pin = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    found = read_deployment(deployment.folder / "gcp.toml", "test", pin)
    [share] = found.shares
    assert (share.version, share.percent, share.model, share.is_pin) == (FIRST, 100, "breast-cancer:1", True)


@needs_gcloud
def test_one_environment_is_one_table(deployment: Deployment) -> None:
    deployment.deploy()
    root = copied_project(deployment.folder / "project").root
    (root / "gcp.toml").write_text(SETTINGS)
    command = [sys.executable, "-m", "pilotlight_cli.main", "-C", str(root), "status", "gcp", "--env", "test"]
    done = subprocess.run(command, env=deployment.environ, capture_output=True, text=True, check=False)
    assert [" ".join(line.split()) for line in done.stdout.splitlines() if line] == [
        "environment test on gcp: predict",
        "pinned breast-cancer:1",
        f"serves 100 %, breast-cancer:1, {FIRST}, this pin",
        "release in progress none",
        f"alarms no alert policy Pilotlight in {PROJECT}; 'deploy/gcp/monitoring/apply.sh {PROJECT}' makes it",
        "URL http://predict.run.example",
    ], done.stderr

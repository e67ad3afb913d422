"""What `pilotlight status` says about a function on Google Cloud."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fakes.cloud_functions import PARENT
from fakes.cloud_run import RunService, Target
from fakes.google_cloud import FakeGoogle
from gcloud_fixtures import needs_gcloud
from gcp.deploy.conftest import SETTINGS, Deployment
from gcp.deploy.stand_in import gcloud
from pilotlight_cli.gcp.services import Service
from pilotlight_cli.gcp.serving import read_deployment
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
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN", "http://run.test")
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
        "URL http://predict.run.example",
    ], done.stderr

"""A rollout whose process is killed for real, at each of its steps, and the one after it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes.cloud_run import RunService, Target
from fakes.google_cloud import FakeGoogle
from gcp.deploy.answers import publisher
from gcp.deploy.conftest import SETTINGS
from pilotlight_cli.gcp.golden import expected_of
from pilotlight_cli.gcp.state import BEFORE
from repository import LOCK
from waiting import wait_until

OLD, NEW = "predict-00001-abc", "predict-00002-abc"


@pytest.fixture
def google() -> Iterator[FakeGoogle]:
    """Yield a new revision waits under its tag."""
    with FakeGoogle() as fake:
        service = fake.service("predict")
        service.deploy()
        service.send(Target(OLD, 100))
        service.deploy()
        service.send(Target(OLD, 100), Target(NEW, tag="canary"))
        fake.backend = publisher(expected_of(LOCK))
        yield fake


@contextmanager
def process(google: FakeGoogle, folder: Path, *revisions: str) -> Iterator[subprocess.Popen[str]]:
    """Yield a rollout in a process of its own."""
    (folder / "gcp.toml").write_text(SETTINGS)
    environ = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "http_proxy": google.proxy,
        "no_proxy": "",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN": "http://run.test/",
    }
    command = [sys.executable, "-m", "gcp.deploy.stand_in", str(folder / "gcp.toml"), *revisions]
    with subprocess.Popen(command, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        try:
            yield started
        finally:
            started.kill()


def finish(google: FakeGoogle, folder: Path, *revisions: str) -> str:
    """Let a process go on to its end; its last words."""
    with process(google, folder, *revisions) as running:
        out, err = running.communicate()
    return out + err.strip().rpartition("\n")[2]


def kill_at(google: FakeGoogle, folder: Path, percent: int, *revisions: str) -> None:
    """Kill a process once the new revision has so much, and nobody calls; at 0 % the golden samples get no answer."""
    service: RunService = google.service("predict")
    looks = len(google.called("POST", "logging.test"))
    killed, backend = threading.Event(), google.backend

    def silent(*_: object) -> tuple[int, object]:
        killed.wait()
        return 503, {}

    def there() -> bool:
        if percent == 0:
            return bool(service.annotations)
        return service.split.get(NEW) == percent and len(google.called("POST", "logging.test")) > looks

    google.backend = silent if percent == 0 else backend
    with process(google, folder, *revisions) as running:
        try:
            wait_until(there, 90)
            running.kill()
            running.wait()
        finally:
            google.backend = backend
            killed.set()


@pytest.mark.parametrize("percent", [0, 50, 100])
def test_after_kill_9_the_next_process_ends_the_rollout(percent: int, google: FakeGoogle, tmp_path: Path) -> None:
    google.callers = lambda revision: google.log(revision, 20) if google.service("predict").split != split else None
    split = {OLD: 100 - percent, NEW: percent} if percent != 100 else {NEW: 100}
    kill_at(google, tmp_path, percent, OLD, NEW)
    google.callers = lambda revision: google.log(revision, 20)
    assert finish(google, tmp_path) == f"Outcome(kind='done', revision='{NEW}')\n"
    assert google.service("predict").traffic == [Target(NEW, 100)]
    assert google.service("predict").annotations == {BEFORE: f"{NEW}/{OLD}"}


def test_after_kill_9_of_a_bad_revision_the_next_process_goes_back(google: FakeGoogle, tmp_path: Path) -> None:
    kill_at(google, tmp_path, 50, OLD, NEW)
    google.callers = lambda revision: google.log(revision, 20, status=503 if revision == NEW else 200)
    said = finish(google, tmp_path)
    assert "with 50 % of the traffic it answered 20 of 20 requests that got 5xx" in said
    assert f"; {OLD} has all traffic again" in said
    assert google.service("predict").traffic == [Target(OLD, 100)]
    assert google.service("predict").annotations == {}

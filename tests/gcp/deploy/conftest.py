"""Fixtures: the command on a fake Google Cloud, through the real gcloud."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fakes.cloud_functions import PARENT
from fakes.google_cloud import FakeGoogle
from gcloud_fixtures import gcloud_environ, service_account_key
from gcp.deploy.answers import publisher
from pilotlight_cli import staging
from pilotlight_cli.assets import ROOT
from pilotlight_cli.gcp.golden import Expected, expected_of
from repository import LOCK
from servers.fake_gcs import FakeGcs

__all__ = ["service_account_key"]

SETTINGS = """
[test]
project = "pilotlight-test"
region = "europe-west1"
function = "predict"
store = "gs://models/team"
memory = "512Mi"
cpu = 1
concurrency = 8
min_instances = 1
max_instances = 3
service_account = "run@pilotlight-test.iam.gserviceaccount.com"
steps = [50, 100]
step_seconds = 600
step_requests = 20
error_budget = 0.05
latency_budget_ms = 1000
variables = {PILOTLIGHT_CORS_ORIGINS = "https://a.example,https://b.example"}
"""


@dataclass
class Deployment:
    """A terminal with a checkout, gcloud, and rights in a project."""

    google: FakeGoogle
    gcs: FakeGcs
    expected: Expected
    environ: dict[str, str]
    folder: Path
    options: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "gcp.toml").write_text(SETTINGS)
        self.options = ["--env", "test", "--settings", str(self.folder / "gcp.toml"), "--lock", str(LOCK)]

    @property
    def package(self) -> Path:
        """The folder of a deployment's package."""
        return self.folder / "package"

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `pilotlight ...` as a process; its messages are on standard error."""
        command = [sys.executable, "-m", "pilotlight_cli.main", *words, *self.options]
        return subprocess.Popen(
            command, env=self.environ, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run `pilotlight ...`, and check its exit code."""
        with self.start(*words) as process:
            out, err = process.communicate()
        assert process.returncode == code, out + err
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def deploy(self, *options: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run `pilotlight deploy gcp`."""
        return self.run("deploy", "gcp", "--yes", "--out", str(self.package), *options, code=code)

    def rollout(self, *options: str, code: int = 0) -> dict[str, Any]:
        """Run `pilotlight rollout gcp --json`, and return its document."""
        document: dict[str, Any] = json.loads(self.run("rollout", "gcp", "--json", *options, code=code).stdout)
        return document


@pytest.fixture(scope="session")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Have uv's cache hold the library that a package has in it: in gcloud's environment there is no index to ask."""
    staging.build("gcp", LOCK, tmp_path_factory.mktemp("fetched") / "package", lambda _: None)


@pytest.fixture
def deployment(service_account_key: Path, tmp_path: Path, fetched: None) -> Iterator[Deployment]:
    """Give an empty project with a bucket, whose callers call often enough whatever revision has traffic."""
    expected = expected_of(LOCK)
    with FakeGoogle() as google, FakeGcs("models") as gcs:
        google.backend = publisher(expected)
        google.callers = lambda revision: google.log(revision, 20)
        environ = gcloud_environ(google, service_account_key, tmp_path / "gcloud")
        environ |= {"STORAGE_EMULATOR_HOST": gcs.url, "UV_OFFLINE": "1"}
        yield Deployment(google, gcs, expected, environ, tmp_path)


@pytest.fixture
def deployed(deployment: Deployment) -> Deployment:
    """Give the project after a first deployment, made by hand."""
    service = deployment.google.service("predict")
    service.deploy()
    service.environment = {"LEFT": "over"}
    deployment.google.functions.documents["predict"] = {
        "name": f"{PARENT}/functions/predict",
        "environment": "GEN_2",
        "state": "ACTIVE",
        "buildConfig": {"runtime": "python312", "entryPoint": "hello"},
        "serviceConfig": {"environmentVariables": dict(service.environment)},
        "labels": {"team": "fraud"},
    }
    return deployment

"""`pilotlight call` on Google Cloud: through the real gcloud, to a function that wants an identity token."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gcloud_fixtures import needs_gcloud
from gcp.deploy.conftest import SETTINGS, Deployment
from repository import copied_project

pytestmark = needs_gcloud

BODY = json.dumps({"features": {"mean radius": 17.99, "unit": "größer"}}, ensure_ascii=False)
INVOKER = 'invoker = "invoker@pilotlight-test.iam.gserviceaccount.com"\n'


def call(deployment: Deployment, *arguments: str, code: int = 0, more: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command in a copy of the sample's project."""
    root = deployment.folder / "project"
    if not root.exists():
        copied_project(root)
    (root / "gcp.toml").write_text(SETTINGS + more)
    command = [sys.executable, "-m", "pilotlight_cli.main", "-C", str(root), "call", "--env", "test", *arguments]
    done = subprocess.run(command, env=deployment.environ, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture
def bodies(deployed: Deployment) -> list[bytes]:
    """Give the bodies that the function got; it answers with what it got."""
    found: list[bytes] = []

    def answer(_method: str, path: str, body: bytes) -> tuple[int, object]:
        found.append(body)
        return (200 if path == "/predict" else 404), json.loads(body)

    deployed.google.backend = answer
    return found


def test_a_prediction_carries_an_identity_token_and_its_answer_is_printed(
    deployed: Deployment, bodies: list[bytes]
) -> None:
    assert json.loads(call(deployed, BODY).stdout) == json.loads(BODY)
    assert bodies == [BODY.encode()]
    failed = call(deployed, BODY, "--path", "/nothing", code=1)
    assert "/nothing returned 404: " in failed.stderr
    deployed.google.backend = lambda *_: (403, {})
    assert "the caller needs roles/run.invoker on the service" in call(deployed, BODY, code=1).stderr


@pytest.mark.parametrize("form", ["curl", "python"])
def test_what_is_printed_sends_the_same_request(deployed: Deployment, bodies: list[bytes], form: str) -> None:
    text = call(deployed, BODY, "--print", form, more=INVOKER).stdout
    command = ["sh", "-c", text] if form == "curl" else [sys.executable, "-c", text]
    done = subprocess.run(command, env=deployed.environ, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout or "null") == json.loads(BODY), done.stderr
    assert bodies == [BODY.encode()]


def test_a_function_that_is_not_deployed_is_named(deployment: Deployment, tmp_path: Path) -> None:
    said = call(deployment, BODY, code=1).stderr
    assert "the function predict is not deployed; 'pilotlight deploy gcp --env test' deploys it" in said

"""Models that ORAS pushed to Debian's registry, published from there."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pilotlight.errors import ObjectRefused
from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.main import app
from pilotlight_cli.sources import obtained
from repository import SAMPLE
from sources.conftest import environ_with

MODEL = (SAMPLE / "model.onnx").read_bytes()


@pytest.fixture
def pushed(oci_registry: str, registry_packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the digest of `team/churn:v1`, a file, beside `team/folder:v1`, a folder; and be signed in."""
    folder = tmp_path / "model"
    folder.mkdir()
    shutil.copy(SAMPLE / "model.onnx", folder)
    (folder / "MLmodel").write_text("flavors: {onnx: {data: model.onnx}}")
    sign_in(oci_registry, "ann:secret", tmp_path, monkeypatch)
    push(registry_packages, tmp_path, oci_registry, "team/folder:v1", "model")
    return push(registry_packages, folder, oci_registry, "team/churn:v1", "model.onnx")


def push(packages: Path, folder: Path, *arguments: str) -> str:
    script = str(Path(__file__).with_name("push_files.py"))
    done = subprocess.run(
        [*isolated_python(), script, *arguments],
        env=environ_with(packages),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def sign_in(registry: str, user: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Docker's stored credentials for a registry, as `docker login` writes them."""
    auth = base64.b64encode(user.encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {registry: {"auth": auth}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))


def test_an_artifact_is_pulled_by_tag_and_by_digest_and_published(
    pushed: str, oci_registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_tag = obtained(f"oci://{oci_registry}/team/churn:v1")
    assert by_tag.path.read_bytes() == MODEL
    assert by_tag.notes == (f"oci://{oci_registry}/team/churn:v1 is {pushed}",)
    assert by_tag.origin == f"oci://{oci_registry}/team/churn@{pushed}"
    store = tmp_path / "store"
    command = ["publish", by_tag.origin, "--name", "churn", "--store", store.as_uri(), "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    manifest = json.loads(result.stdout)["manifest"]
    assert manifest["source"] == by_tag.origin
    assert manifest["artifact"]["files"][0]["sha256"] == hashlib.sha256(MODEL).hexdigest()


@pytest.mark.usefixtures("pushed")
def test_a_folder_is_pulled_and_its_layout_known(oci_registry: str) -> None:
    source = obtained(f"oci://{oci_registry}/team/folder:v1")
    assert source.path.read_bytes() == MODEL
    assert source.notes[1] == f"{source.origin} is an MLflow model of the flavor onnx; model.onnx is taken"


@pytest.mark.parametrize(
    ("password", "why"), [("secret", ""), ("wrong", "access denied .401: authentication required")]
)
@pytest.mark.usefixtures("pushed")
def test_a_credential_helper_signs_in(
    password: str, why: str, oci_registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker-credential-box"
    answer = json.dumps({"ServerURL": oci_registry, "Username": "ann", "Secret": password})
    program.write_text(f"#!/bin/sh\n[ \"$1 $(cat)\" = 'get {oci_registry}' ] && echo '{answer}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {oci_registry: "box"}}))
    with pytest.raises(ObjectRefused, match=why) if why else nullcontext():
        assert obtained(f"oci://{oci_registry}/team/churn:v1").path.read_bytes() == MODEL


@pytest.mark.usefixtures("pushed")
def test_what_a_registry_does_not_have_or_refuses_is_said(
    oci_registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ObjectRefused, match="manifests/v9: not found .404: manifest unknown.; check the name and the"):
        obtained(f"oci://{oci_registry}/team/churn:v9")
    sign_in(oci_registry, "ann:wrong", tmp_path, monkeypatch)
    with pytest.raises(ObjectRefused, match="access denied .401: authentication required.; sign in with 'docker login"):
        obtained(f"oci://{oci_registry}/team/churn:v1")

"""The package for Google Cloud: what is uploaded of it, and what Google's builder makes of it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from fakes.cloud_run import PROJECT
from fakes.google_cloud import FakeGoogle
from gcloud_fixtures import gcloud_environ, needs_gcloud
from harness import sample
from pilotlight_cli.gcp.functions import BUILD
from pilotlight_cli.staging import build
from pilotlight_cli.staging.bytecode import interpreter
from repository import LOCK, SAMPLE


def quiet(_: str) -> None:
    pass


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """As `make build CLOUD=gcp` makes it."""
    return build("gcp", LOCK, tmp_path / "package", quiet).folder


@pytest.fixture
def staged(package: Path) -> set[str]:
    """Return the files in it, without the one that is for gcloud."""
    files = {file.relative_to(package).as_posix() for file in package.rglob("*") if file.is_file()}
    return files - {".gcloudignore"}


@pytest.fixture
def littered(package: Path, staged: set[str]) -> Path:
    """Return the package with what ends up in folders."""
    for name in (".env", "notes.txt", ".venv/lib/x.py", "__pycache__/main.cpython-313.pyc", ".git/config", "key.json"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("not for upload")
    for name in ("pilotlight/.secret", "pilotlight/__pycache__/boot.cpython-313.pyc", "pilotlight/runtimes/x.pyc"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("not for upload")
    return package


@pytest.fixture
def google() -> Iterator[FakeGoogle]:
    with FakeGoogle() as fake:
        yield fake


def test_every_part_of_the_package_is_allowed_by_name_and_nothing_else(package: Path) -> None:
    lines = (package / ".gcloudignore").read_text().splitlines()
    parts = sorted(path.name for path in package.iterdir() if path.name != ".gcloudignore")
    assert lines[1:3] == ["/*", "!."]
    assert [line for line in lines if line.startswith("!/")] == [f"!/{name}" for name in parts]
    assert lines[-3:] == ["__pycache__", "*.pyc", ".?*"]


@needs_gcloud
def test_gcloud_lists_what_was_staged_and_nothing_else(
    littered: Path, staged: set[str], google: FakeGoogle, service_account_key: Path, tmp_path: Path
) -> None:
    environ = gcloud_environ(google, service_account_key, tmp_path / "config")
    command = ["gcloud", "meta", "list-files-for-upload", str(littered)]
    listed = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout.splitlines()
    assert set(listed) == staged


@needs_gcloud
def test_gcloud_uploads_what_was_staged_and_nothing_else(
    littered: Path, staged: set[str], google: FakeGoogle, service_account_key: Path, tmp_path: Path
) -> None:
    """A deployment reads .gcloudignore in another way than the list does."""
    environ = gcloud_environ(google, service_account_key, tmp_path / "config")
    options = ["--gen2", "--runtime=python313", "--entry-point=predict", "--trigger-http", f"--source={littered}"]
    where = [f"--project={PROJECT}", "--region=europe-west1", "--no-allow-unauthenticated", "--quiet"]
    command = ["gcloud", "functions", "deploy", "predict", *options, *where]
    subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    [archive] = google.functions.uploads.values()
    names = zipfile.ZipFile(io.BytesIO(archive)).namelist()
    assert {name for name in names if not name.endswith("/")} == staged


@needs_gcloud
def test_a_new_project_is_deployed_by_a_command_typed_by_hand(
    google: FakeGoogle, service_account_key: Path, tmp_path: Path
) -> None:
    pilotlight = [sys.executable, "-m", "pilotlight_cli.main"]
    run([*pilotlight, "init", "tumours", "--cloud", "gcp", "--model", str(SAMPLE / "model.onnx")], tmp_path)
    project = tmp_path / "tumours"
    run([*pilotlight, "build"], project)
    options = ["--gen2", "--runtime=python313", "--entry-point=predict", "--trigger-http", "--source", "build/gcp"]
    where = [f"--project={PROJECT}", "--region=europe-west1", "--no-allow-unauthenticated", "--quiet"]
    environ = gcloud_environ(google, service_account_key, tmp_path / "config")
    run(["gcloud", "functions", "deploy", "tumours", *options, *where], project, environ)
    [archive] = google.functions.uploads.values()
    uploaded = zipfile.ZipFile(io.BytesIO(archive)).read("model.lock")
    assert uploaded == (project / "model.lock").read_bytes()


def test_what_googles_builder_does_works_in_an_empty_environment(package: Path, tmp_path: Path) -> None:
    """compileall, pip install with hashes, pip check, and the import with which functions-framework starts."""
    python = tmp_path / "venv" / "bin" / "python"
    store = sample(tmp_path / "store").store
    run([interpreter() or sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], tmp_path)
    run([str(python), "-m", "compileall", "-q", "."], package, BUILD)
    bytecode = {file: file.read_bytes() for file in package.rglob("*.pyc")}
    assert bytecode
    assert {content[4] & 1 for content in bytecode.values()} == {
        1
    }  # PEP 552: by hash, which no file's time makes stale
    uv = [find_uv_bin(), "pip"]
    at = ["--no-config", "--python", str(python)]
    run(
        [*uv, "install", "--quiet", *at, "--require-hashes", "--only-binary", ":all:", "-r", "requirements.txt"],
        package,
    )
    run([*uv, "check", *at], package)
    (tmp_path / "tmp").mkdir()
    environ = {"PILOTLIGHT_STORE": store.url, "TMPDIR": str(tmp_path / "tmp"), "PATH": os.defpath}
    code = "import sys; sys.path.insert(0, '.'); import main; main._prepare(); print(main.predict.__name__)"
    printed = run([str(python), "-I", "-W", "error", "-c", code], package, environ)
    assert '"event":"cold_start","state":"ready"' in printed
    assert printed.splitlines()[-1] == "predict"
    run([str(python), "-I", "-c", "import functions_framework, gunicorn"], package, environ)


def run(command: list[str], folder: Path, environ: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

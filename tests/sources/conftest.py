"""Real registries on this machine: MLflow's server from the package index, Debian's registry of OCI artifacts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from pilotlight_cli.assets import ROOT
from pilotlight_cli.hostenv import host_packages, isolated_python
from pilotlight_cli.local.process import free_port, tethered
from repository import SAMPLE
from waiting import wait_until

USERS = "ann:$2b$05$BDHKT.cR13kFlP5xPLrWZe6a1RKcO3Jhsje18.N3QvjgJenKej4BW"  # the password is `secret`


@pytest.fixture(scope="session")
def registry_packages() -> Path:
    """Give an environment with MLflow and ORAS, which is too large to share the tests'."""
    return host_packages(ROOT / "tools" / "registries.txt")


@pytest.fixture(scope="session")
def mlflow_server(registry_packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of an MLflow server that has nothing yet."""
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    options += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        f"{folder}/artifacts",
    ]
    environ = environ_with(registry_packages) | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    url = f"http://127.0.0.1:{port}"
    with running([*isolated_python(), "-m", "mlflow", "server", *options], environ, f"{url}/health", folder):
        yield url


@pytest.fixture(scope="session")
def mlflow_folders(registry_packages: Path, mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give model folders that MLflow wrote; it has registered `churn` with the server too."""
    folder = tmp_path_factory.mktemp("folders")
    script = str(Path(__file__).with_name("log_models.py"))
    done = subprocess.run(
        [*isolated_python(), script, str(folder), mlflow_server, str(SAMPLE / "model.onnx")],
        env=environ_with(registry_packages),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def oci_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a registry that lets in the user `ann` alone, with the password `secret`."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip(
            "docker-registry is not on this machine (Debian's package docker-registry): no artifact was pulled from a "
            "real registry"
        )
    folder = tmp_path_factory.mktemp("registry")
    (folder / "users").write_text(USERS)
    address = f"127.0.0.1:{free_port()}"
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
        "auth": {"htpasswd": {"realm": "models", "path": str(folder / "users")}},
    }
    (folder / "config.yml").write_text(json.dumps(config))  # which is YAML too
    with running([program, "serve", str(folder / "config.yml")], os.environ, f"http://{address}/v2/", folder):
        yield address


def environ_with(packages: Path) -> dict[str, str]:
    """Return the variables of a process with these packages: nothing of the tests, nothing that asks the internet."""
    kept = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet", "PYTHONUTF8": "1"}
    return kept | quiet | {"PYTHONPATH": str(packages)}


@contextmanager
def running(command: list[str], environ: Mapping[str, str], ready: str, folder: Path) -> Iterator[None]:
    """Run a server until the end of a `with`, from when `ready` answers; a failure shows its log."""
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            tethered(command, os.getpid()), env=environ, cwd=folder, stdout=out, stderr=out, start_new_session=True
        )

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return requests.get(ready, timeout=5).status_code in (200, 401)
        except requests.RequestException:
            return False

    try:
        wait_until(answers, 120)
        yield
    finally:
        process.terminate()
        process.wait(60)

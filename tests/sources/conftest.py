"""Real registries on this machine: MLflow's server from the package index, Debian's registry of OCI artifacts."""

from __future__ import annotations

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
    environ = mlflow_environ(registry_packages) | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
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
        env=mlflow_environ(registry_packages),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def mlflow_environ(packages: Path) -> dict[str, str]:
    """Return the variables of MLflow's processes: nothing of the tests, and nothing that asks the internet."""
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
            return requests.get(ready, timeout=5).ok
        except requests.RequestException:
            return False

    try:
        wait_until(answers, 120)
        yield
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="session")
def oci_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give HOST:PORT of Debian's registry of OCI artifacts, which has nothing yet."""
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed (Debian's package docker-registry)")
    folder = tmp_path_factory.mktemp("registry")
    address = f"127.0.0.1:{free_port()}"
    (folder / "config.yml").write_text(
        f"version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {folder}/data}}\nhttp:\n  addr: {address}\n"
    )
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    with running(["docker-registry", "serve", "config.yml"], environ, f"http://{address}/v2/", folder):
        yield address

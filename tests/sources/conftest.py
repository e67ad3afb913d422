"""Real registries on this machine: MLflow's server from the package index, Debian's registry of OCI artifacts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotlight_cli.assets import ROOT
from pilotlight_cli.hostenv import host_packages, isolated_python
from pilotlight_cli.local.process import free_port
from registries_fixtures import oci_registry, running
from repository import SAMPLE

__all__ = ["oci_registry"]


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


def environ_with(packages: Path) -> dict[str, str]:
    """Return the variables of a process with these packages: nothing of the tests, nothing that asks the internet."""
    kept = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet", "PYTHONUTF8": "1"}
    return kept | quiet | {"PYTHONPATH": str(packages)}

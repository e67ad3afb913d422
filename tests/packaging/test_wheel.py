"""The package as `pip install` leaves it, beside nothing else, in a folder that knows nothing of this repository."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from uv import find_uv_bin

import pilotlight
from distributions import Distributions, plain_environment
from pilotlight_cli import staging
from pilotlight_cli.staging.bytecode import interpreter
from repository import SAMPLE, copied_project

# The process that inspects a model imports this numpy first.
NUMPY = """
from importlib.util import find_spec
raise RuntimeError([name for name in ("boto3", "requests", "typer", "uv", "yaml") if find_spec(name)])
"""
INSPECT = """
import sys
from pathlib import Path
from pilotlight_cli.sandbox.isolation import run_task
from pilotlight_cli.sandbox.job import Job, write_job
from pilotlight_cli.sandbox.limits import DEFAULT
folder = Path(sys.argv[1])
job = write_job(Job(folder / "a.pkl", "pickle", frozenset(), folder))
run_task("inspect", job, folder / "packages", folder, "a.pkl", limits=DEFAULT.limits(1))
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment with the wheel and its dependencies, and a folder of the user's, outside of both."""

    environment: Path
    home: Path

    def run(self, *arguments: str, program: str = "pilotlight", code: int = 0) -> str:
        """Run a program of the environment in the user's folder, and return what it prints on stdout, or on stderr.

        Programs in the folder `bin` there come first.
        """
        command = [str(self.environment / "bin" / program), *arguments]
        environ = plain_environment()
        environ["PATH"] = f"{self.home / 'bin'}{os.pathsep}{environ['PATH']}"
        done = subprocess.run(command, cwd=self.home, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr if code else done.stdout

    @property
    def files(self) -> set[Path]:
        """The files of the environment, without bytecode."""
        return {path for path in self.environment.rglob("*") if path.is_file() and path.suffix != ".pyc"}


@pytest.fixture(scope="module", params=["3.11", "3.12", "3.13"])
def installed(
    request: pytest.FixtureRequest, distributions: Distributions, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    version = request.param
    program = interpreter(version)
    if not program:
        pytest.skip(f"there is no Python {version} on this machine")
    folder = tmp_path_factory.mktemp(f"python{version}")
    found = Installed(folder / "environment", folder / "home")
    found.home.mkdir()
    uv(found, "venv", "--python", program, str(found.environment))
    uv(found, "pip", "install", "--python", str(found.environment), str(distributions.wheel))
    return found


def uv(installed: Installed, *arguments: str) -> None:
    command = [find_uv_bin(), *arguments, "--quiet"]
    environ = plain_environment()
    done = subprocess.run(command, cwd=installed.home, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_model_goes_from_a_file_to_an_answer(installed: Installed, tmp_path: Path) -> None:
    project, before = installed.home / "tumours", installed.files
    shutil.copy(SAMPLE / "model.onnx", installed.home)

    installed.run("init", "tumours")
    installed.run("-C", "tumours", "publish", "../model.onnx", "--name", "tumours")
    installed.run("-C", "tumours", "pin", "tumours")
    verified = json.loads(installed.run("-C", "tumours", "verify", "--json"))
    installed.run("-m", "pilotlight_cli.main", "-C", "tumours", "build", program="python")
    where = ["--lock", "tumours/model.lock", "--store", (project / "store").as_uri()]
    served = installed.run("serve", "--once", "--port", "0", *where)

    assert verified["ok"]
    assert '"model_name": "tumours"' in served
    staging.build("gcp", project / "model.lock", tmp_path / "gcp", lambda _: None)
    assert contents(project / "build" / "gcp") == contents(tmp_path / "gcp")
    assert installed.files == before


def test_the_process_that_inspects_a_model_has_nothing_of_the_commands(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "numpy.py").write_text(NUMPY)
    said = installed.run("-c", INSPECT, str(tmp_path), program="python", code=1)
    assert "RuntimeError: []" in said


@pytest.mark.parametrize(
    ("command", "package"),
    [
        (["serve", "--port", "0", "--cloud", "aws"], "moto"),
        (["serve", "--port", "0", "--cloud", "gcp"], "gcp_storage_emulator"),
        (["sam", "start-api", "--port", "0"], "moto"),
    ],
)
def test_a_package_of_an_extra_is_asked_for_before_anything_is_built(
    installed: Installed, command: list[str], package: str, tmp_path: Path
) -> None:
    docker = installed.home / "bin" / "docker"
    docker.parent.mkdir(exist_ok=True)
    docker.write_text("#!/bin/sh\necho 127.0.0.1\n")  # this machine's address in a container
    docker.chmod(0o755)
    project = copied_project(tmp_path / "project").root
    said = installed.run("-C", str(project), *command, code=1)
    assert f"needs {package}: pip install 'pilotlight[local]'" in said
    assert not (project / "build").exists()


def test_uvx_runs_the_command_without_an_installation(distributions: Distributions, tmp_path: Path) -> None:
    command = [find_uv_bin(), "tool", "run", "--quiet", "--from", str(distributions.wheel), "pilotlight", "--version"]
    environ = plain_environment()
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == pilotlight.__version__

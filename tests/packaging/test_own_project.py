"""A project of one's own, on a machine with Python and the wheel, without an index."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from distributions import Distributions, plain_environment
from models import plain_tensors, rents
from pilotlight_cli.hostenv import PYTHON
from repository import SAMPLE
from wheelhouse import write_wheels

_WHO = {"NAME": "Someone", "EMAIL": "someone@example.com"}
IDENTITY = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in _WHO.items()}


@dataclass(frozen=True, slots=True)
class Shell:
    """A folder, and the environment of what is run there: pip finds the wheels alone, and git no settings."""

    folder: Path
    wheels: Path

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: value for name, value in plain_environment().items() if not name.startswith("PIP_")}
        pip = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)}
        git = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        return kept | pip | git | IDENTITY | {"PYTHON": PYTHON}  # the wheels are for this version

    def run(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self, subject: str) -> list[str]:
        """Commit, run what the project's check.yml runs with nothing but the commit, and return the models."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", subject)
        self.run("git", "clean", "-dfx", "--quiet", "--exclude", ".venv")
        self.run("make", "test")
        status = json.loads(self.run(".venv/bin/pilotlight", "status", "--offline", "--json"))
        names = [model["name"] for model in status["models"]]
        for name in names:
            self.run(".venv/bin/pilotlight", "verify", "--model", name)
        return names

    def served(self) -> str:
        """Return what `make run` prints until the answer is complete, and stop it."""
        command = ["make", "run", "PORT=0"]
        with subprocess.Popen(
            command, cwd=self.folder, env=self.environ, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line == "}\n":
                    os.killpg(process.pid, signal.SIGINT)
        return "".join(lines)


@pytest.fixture(scope="module")
def wheels(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("wheels")
    write_wheels(["pilotlight[local]", "pytest"], folder)
    shutil.copy(distributions.wheel, folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Return an empty folder that is removed with all that is installed in it."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.slow
def test_a_project_and_its_tests_outlive_every_change_of_its_models(wheels: Path, home: Path) -> None:
    shell = Shell(home, wheels)
    shutil.copy(SAMPLE / "model.onnx", home)
    shell.run(PYTHON, "-m", "venv", "environment")
    shell.run("environment/bin/pip", "install", "--quiet", str(next(wheels.glob("pilotlight-*.whl"))))
    pilotlight = str(home / "environment" / "bin" / "pilotlight")
    shell.run(pilotlight, "init", "tumours", "--model", "model.onnx")
    assert not list((home / "tumours").rglob("__pycache__"))  # which pip leaves beside the copied files

    project = Shell(home / "tumours", wheels)
    assert '"model_name": "tumours"' in project.served()
    project.run("git", "init", "--quiet")
    assert project.commit("Serve the tumours") == ["tumours"]

    project.run(pilotlight, "publish", str(rents(home).files["onnx"]), "--name", "rents")
    project.run(pilotlight, "pin", "rents", "--breaking")
    assert project.commit("Serve the rents instead") == ["tumours"]
    assert '"model_name": "rents"' in project.served()

    project.run(pilotlight, "add", "tensors", "--model", str(plain_tensors(home)))
    assert project.commit("Serve tensors too") == ["tumours", "tensors"]
    assert project.run("git", "status", "--porcelain") == ""

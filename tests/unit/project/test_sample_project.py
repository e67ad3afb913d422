"""The sample's project is what `pilotlight init` writes today, and its own tests pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pilotlight_cli.assets import ROOT
from pilotlight_cli.pinning.pin import REQUIREMENTS
from pilotlight_cli.project.events import FOLDER, pinned_events
from pilotlight_cli.project.folders import read_project
from pilotlight_cli.project.init import create
from repository import LOCK, SAMPLE, copied_project

TRAINED = {"train.py", "model.onnx", "model.pkl", "model.skops", "signature.json"}
PINNED = {"model.lock", REQUIREMENTS, "golden.json"}


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a new project like the sample's, without its model."""
    sample, folder = read_project(SAMPLE), tmp_path_factory.mktemp("project")
    create(folder, sample.name, sample.clouds, "none")
    return folder


def paths(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def committed() -> set[str]:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "."]
    found = set(subprocess.run(listed, cwd=SAMPLE, capture_output=True, text=True, check=True).stdout.splitlines())
    return {name for name in found if not name.startswith("store/")}


def test_the_sample_has_the_files_of_a_new_project_its_model_and_its_events(new: Path) -> None:
    events = {f"{FOLDER}/{name}" for name in pinned_events(LOCK)}
    assert committed() == paths(new) | TRAINED | PINNED | events


def test_each_file_is_as_in_a_new_project_but_for_the_readme(new: Path) -> None:
    """After a change, `make sample` or a copy from a new project makes it so again."""
    differing = {path for path in paths(new) if (SAMPLE / path).read_bytes() != (new / path).read_bytes()}
    assert differing == {"README.md"}


def test_what_the_repository_has_elsewhere_is_a_link() -> None:
    elsewhere = {path.read_bytes(): path for part in ("starter", "deploy", "events") for path in files(ROOT / part)}
    copies = {path for path in committed() if not (SAMPLE / path).is_symlink()}
    hidden = {".gitignore", ".gitattributes"}  # git follows no links to these
    assert {path for path in copies if (SAMPLE / path).read_bytes() in elsewhere} == hidden


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_events_are_those_that_a_pin_writes() -> None:
    assert {name: (SAMPLE / FOLDER / name).read_bytes() for name in pinned_events(LOCK)} == pinned_events(LOCK)


def test_the_projects_own_tests_pass(tmp_path: Path) -> None:
    project = copied_project(tmp_path / "project")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout

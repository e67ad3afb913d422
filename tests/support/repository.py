"""Paths of the sample's project."""

from __future__ import annotations

import shutil
from pathlib import Path

from pilotlight.model.golden import read_golden
from pilotlight.model.lock import GOLDEN, load_lock
from pilotlight_cli.assets import ROOT
from pilotlight_cli.project.events import Document, example_request
from pilotlight_cli.project.folders import Project, read_project

SAMPLE = ROOT / "examples" / "breast-cancer"
LOCK = SAMPLE / "model.lock"
EVENTS = ROOT / "events"


def sample_request() -> tuple[str, Document]:
    """Return path and body of a request that the sample answers."""
    request = example_request(load_lock(LOCK).model.signature, read_golden(LOCK.with_name(GOLDEN).read_bytes()))
    assert request is not None
    return request


def copied_project(folder: Path) -> Project:
    """Return a copy of the sample's project in a new folder, for what a command builds and writes there."""
    made = shutil.ignore_patterns("build", ".aws-sam", ".venv", "__pycache__")
    return read_project(Path(shutil.copytree(SAMPLE, folder, ignore=made, dirs_exist_ok=True)))


def project_of(folder: Path, **locks: Path) -> Project:
    """Return a new project with a model in models/ for each lock, and the sample's template and store."""
    for name, lock in locks.items():
        (folder / "models" / name).mkdir(parents=True)
        for file in ("model.lock", "requirements.lock", "golden.json"):
            shutil.copy(lock.with_name(file), folder / "models" / name)
    shutil.copytree(ROOT / "deploy/aws", folder / "deploy/aws")
    for file in ("template.yaml", "bootstrap.yaml"):
        shutil.copyfile(ROOT / file, folder / file)
    store = (SAMPLE / "store").as_uri()
    (folder / "pilotlight.toml").write_text(f'name = "several"\nclouds = ["aws", "gcp"]\nstore = "{store}"\n')
    return read_project(folder)

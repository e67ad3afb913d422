"""What a deployed stack is tagged with."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pilotlight_cli.aws.tags import release_tags
from pilotlight_cli.project.git import working_commit
from repository import copied_project

PINNED = {"pilotlight:model": "breast-cancer", "pilotlight:version": "1"}


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    return subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_deployment_is_tagged_with_its_model_version_and_commit(tmp_path: Path) -> None:
    model = copied_project(tmp_path / "project").model()
    assert release_tags(model) == PINNED  # no repository
    git(model.root, "init", "-q")
    assert release_tags(model) == PINNED  # no commit yet
    git(model.root, "add", "-A")
    git(model.root, "commit", "-qm", "First")
    git(model.root, "tag", "v1")
    commit = git(model.root, "rev-parse", "HEAD").strip()
    assert release_tags(model) == {**PINNED, "pilotlight:commit": commit}
    (model.root / "README.md").write_text("changed")
    assert release_tags(model)["pilotlight:commit"] == working_commit(model.lock.parent) == f"{commit}-dirty"

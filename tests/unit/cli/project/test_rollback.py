"""`pilotlight rollback`: the pin before, from git's history."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import local_lock
from pilotlight.model.lock import load_lock
from pilotlight_cli.main import app
from pilotlight_cli.registry.json_document import to_bytes
from repository import copied_project

_GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
FILES = ("model.lock", "requirements.lock", "golden.json")


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run([*_GIT, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def commit(lock: Path, subject: str) -> None:
    git(lock.parent, "add", ".")
    git(lock.parent, "commit", "--quiet", "--message", subject)


def pin(lock: Path, version: int) -> None:
    """Write the three files of another version, as `pin` does."""
    golden = lock.with_name("golden.json")
    document = json.loads(golden.read_text())
    document["tolerance"]["absolute"] = version / 1000
    golden.write_bytes(to_bytes(document))
    requirements = lock.with_name("requirements.lock")
    requirements.write_text(f"{requirements.read_text()}# {version}\n")
    text = json.loads(lock.read_text())
    text["version"] = version
    text["golden"] |= {"size": golden.stat().st_size, "sha256": hashlib.sha256(golden.read_bytes()).hexdigest()}
    text["requirements_sha256"] = hashlib.sha256(requirements.read_bytes()).hexdigest()
    lock.write_bytes(to_bytes(text))


def files(lock: Path) -> dict[str, bytes]:
    return {name: lock.with_name(name).read_bytes() for name in FILES}


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the lock of a committed project in a folder of a repository."""
    project = copied_project(tmp_path / "team" / "project")
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    monkeypatch.chdir(project.root)
    path = project.root / "model.lock"
    commit(path, "Pin version 1")
    return path


def run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["rollback", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_the_files_are_as_they_were_committed_and_history_is_untouched(lock: Path) -> None:
    before = files(lock)
    first = git(lock.parent, "rev-parse", "--short", "HEAD")
    pin(lock, 2)
    commit(lock, "Pin version 2")
    (lock.parent / "other.txt").write_text("later")
    commit(lock, "Change something else")
    head = git(lock.parent, "rev-parse", "HEAD")
    shown = run().stdout.splitlines()
    assert shown[0] == "Rolled back model.lock from breast-cancer:2 to breast-cancer:1"
    assert shown[1].startswith(f"  as committed in {first} on 20")
    assert shown[1].endswith(": Pin version 1")
    assert files(lock) == before
    assert git(lock.parent, "rev-parse", "HEAD") == head
    assert git(lock.parent, "stash", "list") == ""
    changed = git(lock.parent, "status", "--porcelain").splitlines()
    assert sorted(line.split("/")[-1] for line in changed) == sorted(FILES)


def test_a_second_rollback_goes_to_the_pin_before_that_commit(lock: Path) -> None:
    for version in (2, 3):
        pin(lock, version)
        commit(lock, f"Pin version {version}")
    run()
    assert load_lock(lock).model.version == 2
    commit(lock, "Go back")
    found = json.loads(run("--json").stdout)
    assert (found["before"]["version"], found["after"]["version"]) == (2, 3)
    assert found["subject"] == "Pin version 3"


def test_files_that_were_committed_one_by_one_are_restored_as_they_were_together(lock: Path) -> None:
    pin(lock, 2)
    for name in ("model.lock", "requirements.lock", "golden.json"):
        git(lock.parent, "add", name)
        git(lock.parent, "commit", "--quiet", "--message", f"Pin version 2: {name}")
    expected = files(lock)
    pin(lock, 3)
    commit(lock, "Pin version 3")
    run()
    assert files(lock) == expected


def test_of_a_merged_branch_only_the_merge_counts(lock: Path) -> None:
    git(lock.parent, "checkout", "--quiet", "-b", "next")
    for version in (2, 3):
        pin(lock, version)
        commit(lock, f"Pin version {version}")
    git(lock.parent, "checkout", "--quiet", "main")
    git(lock.parent, "merge", "--quiet", "--no-ff", "--message", "Merge next", "next")
    assert "from breast-cancer:3 to breast-cancer:1" in run().stdout


def test_other_libraries_of_the_same_version_are_a_pin_before(lock: Path) -> None:
    text = json.loads(lock.read_text())
    requirements = lock.with_name("requirements.lock")
    requirements.write_text(requirements.read_text() + "# newer\n")
    text["requirements_sha256"] = hashlib.sha256(requirements.read_bytes()).hexdigest()
    lock.write_bytes(to_bytes(text))
    commit(lock, "Upgrade the libraries")
    assert "to breast-cancer:1, with other libraries or settings" in run().stdout


def test_a_model_among_several_is_rolled_back_alone(lock: Path) -> None:
    folder = lock.parent / "models" / "churn"
    folder.mkdir(parents=True)
    second = local_lock.copy_lock(lock, folder)
    commit(lock, "Add churn")
    pin(second, 5)
    commit(lock, "Pin churn")
    before = files(lock)
    assert "Rolled back models/churn/model.lock from breast-cancer:5" in run("--model", "churn").stdout
    assert files(lock) == before


@pytest.mark.parametrize("name", FILES)
def test_uncommitted_changes_are_not_lost(lock: Path, name: str) -> None:
    pin(lock, 2)
    commit(lock, "Pin version 2")
    with lock.with_name(name).open("a") as file:
        file.write("\n")
    before = files(lock)
    assert f"error: {name} in {lock.parent} has uncommitted changes" in run(code=1).stderr
    assert files(lock) == before


def test_a_first_pin_has_none_before(lock: Path) -> None:
    assert "git's history has no other model.lock of" in run(code=1).stderr


def test_a_shallow_clone_says_what_it_lacks(lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(lock, 2)
    commit(lock, "Pin version 2")
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{tmp_path}", "shallow")
    monkeypatch.chdir(tmp_path / "shallow" / "team" / "project")
    assert "run 'git fetch --unshallow'" in run(code=1).stderr


def test_a_pin_whose_files_do_not_belong_together_is_not_restored(lock: Path) -> None:
    lock.with_name("golden.json").write_text("{}")
    commit(lock, "Break the pin")
    pin_of_two = json.loads(lock.read_text()) | {"version": 2}
    lock.write_bytes(to_bytes(pin_of_two))
    commit(lock, "Pin version 2")
    before = files(lock)
    assert "cannot be restored: golden.json has SHA-256" in run(code=1).stderr
    assert files(lock) == before


def test_a_lock_outside_of_git_has_gits_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "not a git repository" in run(code=1).stderr

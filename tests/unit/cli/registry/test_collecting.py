"""`pilotlight gc`: what nothing references goes, what anything may reference stays."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import descriptions
import local_lock
from pilotlight.errors import StoreError
from pilotlight.experiments.lock import ExperimentLock, Treatment, control_of, write_experiment
from pilotlight.model.lock import load_lock
from pilotlight_cli.main import app
from pilotlight_cli.registry.collecting import delete, find_garbage
from pilotlight_cli.registry.json_document import to_bytes
from pilotlight_cli.registry.publish import publish
from pilotlight_cli.registry.versions import catalog, set_alias
from pilotlight_cli.stores import Store, open_store
from repository import SAMPLE

NOW = datetime.now(UTC)
NAME = "breast-cancer"
_GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")


def put(store: Store, folder: Path, count: int, name: str = NAME) -> None:
    model = descriptions.inspection(folder)
    for _ in range(count):
        publish(store, model, name, clock=lambda: NOW, progress=lambda _: None)


@pytest.fixture(params=["s3_store", "gcs_store", "folder_store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Give each kind of store, with five versions."""
    found: Store = request.getfixturevalue(request.param)
    put(found, tmp_path / "model", 5)
    return found


def test_versions_without_a_reference_go_and_no_other(store: Store) -> None:
    set_alias(store, NAME, 2, "production")
    found = find_garbage(store, NAME, {3: ("pinned by churn",)}, keep=1, now=NOW)
    assert [(kept.version, kept.reasons) for kept in found.kept] == [
        (2, ("@production",)),
        (3, ("pinned by churn",)),
        (5, ("newest",)),
    ]
    assert [(garbage.version, garbage.size) for garbage in found.garbage] == [(1, 12), (4, 12)]
    said: list[str] = []
    for garbage in found.garbage:
        delete(store, garbage, said.append)
    assert said == ["deleting breast-cancer:1", "deleting breast-cancer:4"]
    assert catalog(store) == {NAME: (2, 3, 5)}
    assert not [key for key in store.keys("") if key.startswith((f"{NAME}/1/", f"{NAME}/4/"))]


def test_the_next_version_never_gets_the_number_of_a_deleted_one(store: Store, tmp_path: Path) -> None:
    for garbage in find_garbage(store, NAME, {}, keep=1, now=NOW).garbage:
        delete(store, garbage, lambda _: None)
    put(store, tmp_path / "model", 1)
    assert catalog(store) == {NAME: (5, 6)}


def test_an_unfinished_version_goes_once_nobody_can_be_at_work_on_it(folder_store: Store, tmp_path: Path) -> None:
    put(folder_store, tmp_path / "model", 1)
    for file in ("golden.json", "model.onnx"):
        folder_store.create(f"{NAME}/2/{file}", b"x")
    written = folder_store.modified(f"{NAME}/2/model.onnx")
    found = find_garbage(folder_store, NAME, {}, keep=1, now=written + timedelta(hours=23))
    assert (found.garbage, found.kept[-1].reasons) == ((), ("being published",))
    (garbage,) = find_garbage(folder_store, NAME, {}, keep=1, now=written + timedelta(hours=25)).garbage
    assert (garbage.version, garbage.is_unfinished) == (2, True)
    delete(folder_store, garbage, lambda _: None)
    assert not list(folder_store.keys(f"{NAME}/2"))


def test_a_version_that_is_deleted_in_part_does_not_exist(store: Store) -> None:
    garbage = find_garbage(store, NAME, {}, keep=4, now=NOW).garbage[0]

    class Interrupted(Exception):
        pass

    class Ending:
        def delete(self, key: str) -> None:
            store.delete(key)
            raise Interrupted

    with pytest.raises(Interrupted):
        delete(Ending(), garbage, lambda _: None)  # type: ignore[arg-type]
    assert catalog(store) == {NAME: (2, 3, 4, 5)}
    assert list(store.keys(f"{NAME}/1"))


def test_with_an_alias_that_cannot_be_read_nothing_goes(store: Store) -> None:
    store.create(f"{NAME}/aliases/broken.json", b"{")
    with pytest.raises(StoreError, match=r"broken\.json: .*; nothing of 'breast-cancer' was deleted"):
        find_garbage(store, NAME, {}, keep=1, now=NOW)


def test_a_version_with_a_broken_manifest_can_go(store: Store) -> None:
    store.replace(f"{NAME}/1/manifest.json", b"{")
    (garbage,) = find_garbage(store, NAME, {}, keep=4, now=NOW).garbage
    assert (garbage.version, garbage.size) == (1, 0)


def git(folder: Path, *arguments: str) -> None:
    subprocess.run([*_GIT, *arguments], cwd=folder, check=True, capture_output=True)


def run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["gc", *arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a project in git that has pinned the versions 1, 2 and 4 of a model, on branches of which one was overruled.

    Its store has 6 versions of that model and 2 of another.
    """
    root = tmp_path / "project"
    root.mkdir()
    (root / "pilotlight.toml").write_text('name = "tumours"\nclouds = ["aws"]\nstore = "store"\n')
    store = open_store((root / "store").as_uri())
    put(store, tmp_path / "model", 6)
    put(store, tmp_path / "model", 2, "rents")
    git(root, "init", "--quiet", "--initial-branch", "main")
    lock = local_lock.copy_lock(SAMPLE / "model.lock", root)

    def pin(version: int) -> None:
        local_lock.rewrite(lock, version=version)
        git(root, "add", "model.lock")
        git(root, "commit", "--quiet", "--allow-empty", "--message", f"Pin {version}")

    pin(1)
    git(root, "checkout", "--quiet", "-b", "next")
    pin(2)
    git(root, "checkout", "--quiet", "main")
    pin(4)
    git(root, "merge", "--quiet", "--strategy", "ours", "--message", "Overrule", "next")
    git(root, "branch", "--quiet", "-D", "next")
    monkeypatch.chdir(root)
    monkeypatch.delenv("PILOTLIGHT_STORE", raising=False)
    return root


def test_what_any_commit_pins_stays(project: Path) -> None:
    found = json.loads(run("--keep", "1", "--json").stdout)
    assert {kept["version"]: kept["reasons"] for kept in found["kept"]} == {
        1: ["in git's history"],
        2: ["in git's history"],
        4: ["pinned by tumours"],
        6: ["newest"],
    }
    assert [(garbage["name"], garbage["version"]) for garbage in found["garbage"]] == [(NAME, 3), (NAME, 5)]
    assert found["deleted"] is False


def test_a_treatment_of_an_experiment_stays_now_and_from_history(project: Path) -> None:
    lock = project / "model.lock"
    pinned, path = load_lock(lock).model, project / "experiment.lock"

    def experiment(version: int) -> None:
        treatment = Treatment(replace(pinned, version=version), ((0, 1000),))
        whole = ExperimentLock("salt", "request", control_of(pinned), (treatment,))
        path.write_bytes(to_bytes(write_experiment(whole)))

    experiment(3)
    git(project, "add", "experiment.lock")
    git(project, "commit", "--quiet", "--message", "Start an experiment")
    experiment(5)
    found = json.loads(run("--keep", "1", "--json").stdout)
    kept = {one["version"]: one["reasons"] for one in found["kept"]}
    assert (kept[3], kept[5]) == (["in git's history"], ["a treatment of tumours"])
    assert found["garbage"] == []


def test_an_uncommitted_pin_counts(project: Path) -> None:
    local_lock.rewrite(project / "model.lock", version=5)
    found = json.loads(run("--keep", "1", "--json").stdout)
    assert [garbage["version"] for garbage in found["garbage"]] == [3]


def test_nothing_is_deleted_without_yes(project: Path) -> None:
    listed = run("--keep", "1")
    assert "breast-cancer:3 delete nothing references it 12 B" in [
        " ".join(line.split()) for line in listed.stdout.splitlines()
    ]
    assert "nothing was deleted: add --yes" in listed.stderr
    store = open_store((project / "store").as_uri())
    assert catalog(store)[NAME] == (1, 2, 3, 4, 5, 6)
    assert "deleting breast-cancer:3" in run("--keep", "1", "--yes").stderr
    assert catalog(store) == {NAME: (1, 2, 4, 6), "rents": (1, 2)}
    assert run("--keep", "1", "--yes").stdout.endswith("\nNothing to delete\n")


def test_another_projects_model_is_collected_only_by_its_name(project: Path) -> None:
    assert "rents" not in run("--keep", "1").stdout
    found = json.loads(run("rents", "--keep", "1", "--json").stdout)
    assert [(garbage["name"], garbage["version"]) for garbage in found["garbage"]] == [("rents", 1)]


def test_without_the_whole_history_nothing_is_collected(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "clone", "--quiet", "--depth", "1", project.as_uri(), "shallow")
    monkeypatch.chdir(tmp_path / "shallow")
    (tmp_path / "shallow" / "pilotlight.toml").write_text((project / "pilotlight.toml").read_text())
    assert "this clone is shallow" in run(code=1).stderr
    (project / ".git").rename(tmp_path / "gone")
    monkeypatch.chdir(project)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert "the locks in git's history name the versions that must stay" in run(code=1).stderr


def test_a_lock_that_cannot_be_read_stops_it(project: Path) -> None:
    (project / "model.lock").write_text("{")
    assert "error: model.lock: $: not valid JSON" in run("--yes", code=1).stderr

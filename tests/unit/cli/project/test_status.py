"""`pilotlight status`: pins, the store, and what serves, as far as credentials allow."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import local_lock
from pilotlight.model.lock import load_lock
from pilotlight_cli.assets import ROOT
from pilotlight_cli.main import app
from pilotlight_cli.project.folders import Project
from pilotlight_cli.registry.digests import read_file_entry
from repository import SAMPLE, copied_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Give a copy of the sample's project as the current folder."""
    project = copied_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return project


def add(project: Project, name: str) -> Path:
    """Add a model with the sample's pin; return its lock."""
    folder = project.root / "models" / name
    folder.mkdir(parents=True)
    return local_lock.copy_lock(SAMPLE / "model.lock", folder)


def run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["status", *arguments])
    assert result.exit_code == code, result.output
    return result


def documents(*arguments: str, code: int = 0) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = json.loads(run("--json", *arguments, code=code).stdout)["models"]
    return models


def rows(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_table_has_the_pin_and_what_the_store_has(project: Project) -> None:
    header, row = rows(run("--offline").stdout)
    assert header == "model pinned format engine sha256 in the store newest there"
    assert row == "breast-cancer breast-cancer:1 onnx onnxruntime-c afc771d84b4f equal 1"


def test_the_document_lists_all_models_with_their_folders_and_pins(project: Project) -> None:
    add(project, "second")
    (project.root / "models" / "third").mkdir()
    document = json.loads(run("--json", "--offline").stdout)
    assert document["project"] == "breast-cancer"
    assert [(model["name"], model["folder"], bool(model["pinned"])) for model in document["models"]] == [
        ("breast-cancer", ".", True),
        ("second", "models/second", True),
        ("third", "models/third", False),
    ]
    pinned = load_lock(project.root / "model.lock").model
    assert document["models"][0]["pinned"] | {"lock": ""} == {
        "name": "breast-cancer",
        "version": 1,
        "format": "onnx",
        "engine": "onnxruntime-c",
        "files": [{"name": "model.onnx", "size": 71515, "sha256": pinned.files[0].sha256}],
        "lock": "",
    }
    assert [model["name"] for model in documents("--offline", "--model", "second")] == ["second"]


@pytest.mark.parametrize(
    ("changes", "stored"),
    [
        ({"version": 2}, {"newest": 1, "pinned": "missing"}),
        ({"files": (read_file_entry(SAMPLE / "model.pkl"),)}, {"newest": 1, "pinned": "different"}),
        ({"name": "rents"}, {"newest": None, "pinned": "missing"}),
    ],
)
def test_the_pinned_version_is_compared_with_the_store(
    project: Project, changes: dict[str, Any], stored: dict[str, Any]
) -> None:
    local_lock.rewrite(project.root / "model.lock", **changes)
    assert documents("--offline")[0]["store"] == stored


def test_a_model_without_a_pin_has_its_newest_version(project: Project) -> None:
    (project.root / "model.lock").unlink()
    assert rows(run("--offline").stdout)[1] == "breast-cancer nothing 1"


def test_a_store_that_cannot_be_read_is_a_word_and_a_reason(project: Project) -> None:
    store = project.root / "store"
    shutil.rmtree(store)
    store.write_text("not a folder")
    [model] = documents("--offline")
    assert model["store"]["pinned"] == "unavailable"
    assert "store" in model["store"]["reason"]
    assert " unavailable" in run("--offline").stdout


def test_offline_asks_no_cloud_for_a_store(project: Project) -> None:
    file = project.root / "pilotlight.toml"
    file.write_text(file.read_text().replace('"store"', '"s3://models"'))
    assert "store" not in documents("--offline")[0]


def test_a_lock_that_cannot_be_read_hides_nothing_and_fails(project: Project) -> None:
    add(project, "second").write_text("{")
    [first, second] = documents("--offline", code=1)
    assert first["pinned"]["version"] == 1
    assert second["pinned"] is None
    assert "not valid JSON" in second["problem"]
    assert "error: models/second: model.lock: $: not valid JSON" in run("--offline", code=1).stderr


@pytest.fixture
def without_credentials(aws_environ: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have no credentials of AWS, and no gcloud."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("without_credentials")
def test_what_cannot_be_asked_is_a_word_and_a_reason_and_no_failure(project: Project) -> None:
    shutil.copy(ROOT / "samconfig.toml", project.root)
    settings = (ROOT / "gcp.toml").read_text().replace('project = ""', 'project = "my-project"', 1)
    (project.root / "gcp.toml").write_text(settings)
    result = run()
    assert rows(result.stdout)[3:] == [
        "model cloud environment stack or function serves",
        "breast-cancer aws dev pilotlight-dev no credentials",
        "breast-cancer aws staging pilotlight-staging no credentials",
        "breast-cancer aws prod pilotlight-prod no credentials",
        "breast-cancer gcp dev pilotlight-dev no credentials",
        "breast-cancer gcp staging not set up",
        "breast-cancer gcp prod not set up",
    ]
    assert "'pilotlight status --json' has the reasons" in result.stderr
    reasons = [place["reason"] for place in documents()[0]["environments"]]
    assert "aws sso login" in reasons[0]
    assert "gcloud is not installed" in reasons[3]
    assert reasons[4] == 'gcp.toml: [staging].project: expected the id of a project, found ""'


def test_missing_settings_are_named(project: Project) -> None:
    for name in ("samconfig.toml", "gcp.toml"):
        (project.root / name).unlink()
    [aws, gcp] = documents()[0]["environments"]
    assert (aws["state"], gcp["state"]) == ("not set up", "not set up")
    assert "samconfig.toml" in aws["reason"]
    assert "gcp.toml not found" in gcp["reason"]


def test_only_the_projects_clouds_are_asked(project: Project) -> None:
    file = project.root / "pilotlight.toml"
    file.write_text(file.read_text().replace('["aws", "gcp"]', '["gcp"]'))
    assert {place["cloud"] for place in documents()[0]["environments"]} == {"gcp"}

"""`pilotlight summary`: what a change does to the pins, as Markdown."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import local_lock
from pilotlight.model.lock import File, Runtime, Signer, load_lock, write_lock
from pilotlight.model.signature import Input, Signature
from pilotlight.model.tensor import DATATYPES
from pilotlight_cli.main import app
from pilotlight_cli.markdown import code
from pilotlight_cli.registry.json_document import to_bytes
from repository import SAMPLE, copied_project

_GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> None:
    subprocess.run([*_GIT, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the lock of a committed copy of the sample's project, in a folder of a repository."""
    project = copied_project(tmp_path / "team" / "project")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    monkeypatch.chdir(project.root)
    return project.root / "model.lock"


def run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["summary", *arguments])
    assert result.exit_code == code, result.output
    return result


def changed(text: str) -> dict[str, tuple[str, str]]:
    """Return the cells before and after of each row."""
    rows = [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {what: (before, after) for what, before, after in rows[1:]}


def test_without_a_changed_lock_there_is_a_sentence(lock: Path) -> None:
    (lock.parent / "README.md").write_text("other")
    assert run("--base", "HEAD").stdout == "No pin changes since `HEAD`.\n"


def test_a_new_version_shows_what_differs_and_nothing_else(lock: Path) -> None:
    local_lock.rewrite(lock, version=2, files=(File("model.onnx", 1_250_000, "ab" * 32),))
    text = run("--base", "HEAD").stdout
    assert text.startswith("### `project`\n\n| | before | after |\n|---|---|---|\n".replace("project", "breast-cancer"))
    assert changed(text) == {
        "version": ("`breast-cancer:1`", "`breast-cancer:2`"),
        "file `model.onnx`": ("71.5 kB, SHA-256 `afc771d84b4f`", "1.2 MB, SHA-256 `abababababab`"),
    }


def test_a_signature_shows_tensors_and_features_that_changed(lock: Path) -> None:
    model = load_lock(lock).model
    [features] = model.signature.inputs
    names = ("area", *features.feature_names[1:])
    inputs = (replace(features, datatype=DATATYPES["FP64"], feature_names=names),)
    outputs = (model.signature.outputs[0], replace(model.signature.outputs[1], range=None))
    local_lock.rewrite(lock, signature=Signature(inputs, outputs, ("malignant", "benign")))
    assert changed(run("--base", "HEAD").stdout) == {
        "input `features`": ("FP32 (any, 30), features", "FP64 (any, 30), features"),
        "output `probabilities`": ("FP32 (any, 2), probabilities, 0 to 1", "FP32 (any, 2), probabilities"),
        "features of `features`": ("`mean radius`", "`area`"),
        "labels": ('`"benign"`, `"malignant"`', '`"malignant"`, `"benign"`'),
    }


def test_libraries_and_samples_show_too(lock: Path) -> None:
    requirements = lock.with_name("requirements.lock")
    requirements.write_text(requirements.read_text().replace("numpy==2.4.6", "numpy==2.5.0"))
    lock.with_name("golden.json").write_text("{")
    local_lock.rewrite(lock, runtime=Runtime("onnx", "onnxruntime-python", {"onnxruntime": "1.31.1"}))
    found = changed(run("--base", "HEAD").stdout)
    assert found == {
        "runtime": ("`onnx` on `onnxruntime-c`", "`onnx` on `onnxruntime-python`"),
        "golden samples": ("5, given inputs", "unreadable"),
        "package `numpy`": ("`2.4.6`", "`2.5.0`"),
    }


def test_the_signer_of_a_version_shows(lock: Path) -> None:
    signed = replace(load_lock(lock), signer=Signer("team.pub", "ab" * 32))
    lock.write_bytes(to_bytes(write_lock(signed)))
    assert changed(run("--base", "HEAD").stdout) == {"signer": ("none", "`team.pub`, key `abababababab`")}


def test_globals_that_a_publisher_allowed_show(lock: Path) -> None:
    local_lock.rewrite(lock, version=2, extra_globals=("flats.Rounded",))
    found = changed(run("--base", "HEAD").stdout)
    assert found["globals that the publisher allowed"] == ("none", "`flats.Rounded`")


def test_other_files_under_the_same_number_are_pointed_out(lock: Path) -> None:
    local_lock.rewrite(lock, files=(File("model.onnx", 1, "ab" * 32),))
    assert "**The same version has other files;" in run("--base", "HEAD").stdout


def test_models_come_and_go(lock: Path) -> None:
    folder = lock.parent / "models" / "second"
    folder.mkdir(parents=True)
    local_lock.copy_lock(SAMPLE / "model.lock", folder)
    lock.unlink()
    first, second = run("--base", "HEAD").stdout.split("\n\n### ")
    assert first == "### `breast-cancer`\n\nNo longer pinned."
    assert second.startswith("`second`\n\n| | before | after |")
    assert changed(second)["version"] == ("none", "`breast-cancer:1`")


def test_a_lock_that_cannot_be_read_is_a_sentence(lock: Path) -> None:
    lock.write_text("{")
    text = run("--base", "HEAD").stdout
    assert "`model.lock` after the change cannot be read: `$: not valid JSON" in text
    assert "|---" not in text


def test_a_lock_that_says_the_same_in_another_form_is_no_table(lock: Path) -> None:
    lock.write_text(lock.read_text() + "\n")
    assert run("--base", "HEAD").stdout.endswith("Only the form of `model.lock` changed.\n")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("mean radius", "`mean radius`"),
        ("a`b", "`a\\x60b`"),
        ("a|b\\", "`a\\x7cb\\\\`"),
        ("<img src=x>\n# @team", "`<img src=x>\\n# @team`"),
        ("right\u202eleft", "`right\\u202eleft`"),
        ("x" * 61, f"`{'x' * 57}...`"),
    ],
)
def test_a_name_cannot_be_markdown(name: str, shown: str) -> None:
    assert code(name) == shown


def test_long_signatures_are_cut_and_hide_nothing_else(lock: Path) -> None:
    model = load_lock(lock).model
    inputs = tuple(Input(f"x{number}", DATATYPES["FP32"], (-1, 1), "features") for number in range(100))
    local_lock.rewrite(lock, signature=replace(model.signature, inputs=inputs), extra_globals=("flats.Rounded",))
    table, contract = run("--base", "HEAD").stdout.split("\n\n**The contract breaks callers:**\n\n")
    assert len(table.splitlines()) == 2 + 2 + 60 + 1
    assert table.endswith("| 43 more changes | | |")
    assert "flats.Rounded" in table
    assert len(contract.splitlines()) == 3


def test_a_change_that_breaks_callers_is_said(lock: Path) -> None:
    model = load_lock(lock).model
    [features] = model.signature.inputs
    names = ("`area`", *features.feature_names[1:])
    local_lock.rewrite(lock, signature=replace(model.signature, inputs=(replace(features, feature_names=names),)))
    assert run("--base", "HEAD").stdout.endswith(
        "\n\n**The contract breaks callers:**\n\n- features renamed, `mean radius` -> `\\x60area\\x60`: a row with the "
        "names before is a 400\n"
    )


def test_the_predictions_of_two_pins_are_compared_where_it_is_asked_for(lock: Path) -> None:
    model = load_lock(lock).model
    label, probabilities = model.signature.outputs
    signature = replace(model.signature, outputs=(label, replace(probabilities, range=None)))
    local_lock.rewrite(lock, signature=signature)
    text = run("--base", "HEAD", "--compare").stdout
    assert "\n\nThe contract changes, and no caller notices:\n\n- output's range of `probabilities`" in text
    assert "| size | `71.5 kB` | `71.5 kB` |" in text
    assert "Predictions for 4 rows of `the golden samples`" in text
    assert "| `label` | differ | 0 of 4 (0.00 %) |" in text


def test_predictions_that_cannot_be_compared_hide_nothing(lock: Path) -> None:
    local_lock.rewrite(lock, version=2)
    text = run("--base", "HEAD", "--compare").stdout
    assert "`breast-cancer:2`" in text
    assert text.rstrip().splitlines()[-1].startswith("The predictions cannot be compared: `file:///")


def test_an_unknown_commit_says_what_to_do(lock: Path) -> None:
    error = run("--base", "origin/main", code=2).stderr
    assert error == (
        "error: this repository has no commit 'origin/main'; fetch it first, or name another with --base\n"
    )


def test_a_project_outside_of_git_has_gits_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "not a git repository" in run("--base", "HEAD", code=1).stderr


def test_a_machine_without_git_says_so(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(lock.parent))
    assert "git is not installed" in run("--base", "HEAD", code=1).stderr

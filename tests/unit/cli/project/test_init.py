"""`pilotlight init` and `pilotlight add`: what they write, what they refuse, and that they overwrite nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import pilotlight
from pilotlight.model.lock import load_lock
from pilotlight_cli.commands import projects
from pilotlight_cli.main import app
from pilotlight_cli.project.events import pinned_events
from pilotlight_cli.project.folders import CLOUDS, read_project
from pilotlight_cli.project.record import git_id, read_record
from pilotlight_cli.project.starter import copied, rendered, settings_in
from repository import SAMPLE

MODEL = str(SAMPLE / "model.onnx")

Result = Any


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder that commands run in, outside of git."""
    folder = tmp_path / "tumours"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PILOTLIGHT_STORE", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    return folder


def run(*arguments: str, code: int = 0, typed: str = "") -> Result:
    result = CliRunner().invoke(app, list(arguments), input=typed)
    assert result.exit_code == code, result.output
    return result


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_project_is_what_the_starter_has_with_its_settings_and_a_record(folder: Path) -> None:
    run("init")
    written, starter = files(folder), rendered("tumours", CLOUDS, "github")
    assert written.keys() == {*starter, "pilotlight.toml", ".pilotlight.json"}
    assert {path: written[path] for path in starter} == starter
    project = read_project(folder)
    assert (project.name, project.clouds, project.store) == ("tumours", CLOUDS, (folder / "store").as_uri())
    record = read_record(folder)
    assert record
    assert (record.release, record.ci) == (pilotlight.__version__, "github")
    assert record.files == {path: git_id(content) for path, content in starter.items()}


def test_a_folder_that_is_missing_is_created_and_the_output_leads_on(tmp_path: Path) -> None:
    said = run("init", "new/lungs", "--cloud", "gcp", "--ci", "none").stdout.splitlines()
    assert read_project(Path("new/lungs").resolve()).clouds == ("gcp",)
    assert said[0].startswith("Created the project lungs in new/lungs: ")
    assert "gcp.toml" in said[0]
    assert "template.yaml" not in said[0]
    assert said[-5:] == [
        "Next:",
        "  cd new/lungs",
        "  git init",
        "  pilotlight publish MODEL --name lungs",
        "  pilotlight pin lungs",
    ]


@pytest.mark.usefixtures("index")
def test_with_a_model_the_project_is_complete(folder: Path) -> None:
    said = run("init", "--model", MODEL, "--signature", str(SAMPLE / "signature.json")).stdout.splitlines()
    assert said[-1] == "  make run"
    lock = folder / "model.lock"
    assert (load_lock(lock).model.name, load_lock(lock).model.version) == ("tumours", 1)
    assert (folder / "store/tumours/1/model.onnx").read_bytes() == Path(MODEL).read_bytes()
    assert files(folder / "events") == pinned_events(lock)


@pytest.mark.usefixtures("index")
def test_a_large_store_comes_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projects, "_LARGE_STORE", 70_000)
    assert "git hosts refuse files over 100 MB" in run("init", "--model", MODEL).stderr


def test_a_model_that_is_refused_leaves_no_project(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    run("init", "--model", "../model.onnx", code=1)
    assert files(folder) == {}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--name", "Tumours"], "'Tumours' cannot be a stack's or a function's name; expected a name of at most 32"),
        (["My Models"], "the folder's name 'My Models' cannot be a stack's or a function's; give a name of at most 32"),
        (["--golden", MODEL], "name it with --model PATH"),
    ],
)
def test_a_wrong_call_has_a_sentence(arguments: list[str], sentence: str, folder: Path) -> None:
    assert sentence in run("init", *arguments, code=2).stderr
    assert files(folder) == {}


def test_a_project_is_not_made_again(folder: Path) -> None:
    run("init")
    (folder / "README.md").write_text("mine")
    assert "is a project already: it has pilotlight.toml" in run("init", "--yes", code=2).stderr
    assert (folder / "README.md").read_text() == "mine"


def test_a_folder_with_files_is_refused_with_their_names(folder: Path) -> None:
    (folder / "notes.txt").touch()
    (folder / "data").mkdir()
    stderr = run("init", code=2).stderr
    assert ". is not empty: it has data, notes.txt; choose an empty folder, or " in stderr
    assert files(folder).keys() == {"notes.txt"}


def test_with_yes_a_file_that_differs_is_kept_and_named(folder: Path) -> None:
    (folder / "README.md").write_text("mine")
    (folder / "Makefile").write_bytes(rendered("tumours", CLOUDS, "github")["Makefile"])
    stderr = run("init", "--yes").stderr
    assert stderr == "note: README.md exists and differs from the file of a project; it is unchanged\n"
    assert (folder / "README.md").read_text() == "mine"
    assert (folder / "template.yaml").exists()


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 1)])
def test_on_a_terminal_it_asks(typed: str, code: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "notes.txt").touch()
    monkeypatch.setattr(projects, "_is_terminal", lambda: True)
    assert "Add the project's files?" in run("init", code=code, typed=typed).output
    assert (folder / "pilotlight.toml").exists() == (code == 0)


@pytest.mark.usefixtures("index")
def test_hidden_files_and_the_model_itself_do_not_count(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(Path(MODEL).read_bytes())
    (folder / ".venv").mkdir()
    run("init", "--model", "model.onnx")


def test_what_a_pin_would_overwrite_is_refused_with_a_model_and_kept_without(folder: Path) -> None:
    (folder / "golden.json").write_text("mine")
    stderr = run("init", "--yes", "--model", MODEL, code=2).stderr
    assert "has golden.json, which 'pilotlight pin' writes" in stderr
    run("init", "--yes")
    assert (folder / "golden.json").read_text() == "mine"


# ---- add


@pytest.mark.usefixtures("index")
def test_another_model_has_settings_a_lock_and_events_of_its_own(folder: Path) -> None:
    run("init", "--model", MODEL)
    run("add", "lungs", "--model", MODEL)
    project = read_project(folder)
    assert [model.name for model in project.models()] == ["tumours", "lungs"]
    own = files(folder / "models/lungs")
    assert b'stack_name = "tumours-lungs-prod"' in own["samconfig.toml"]
    assert load_lock(folder / "models/lungs/model.lock").model.name == "lungs"
    assert {f"events/{name}" for name in pinned_events(folder / "models/lungs/model.lock")} < own.keys()
    record = read_record(folder)
    assert record
    assert record.files == {path: git_id(content) for path, content in copied(project, "github").items()}
    assert settings_in(project, "lungs").keys() < record.files.keys()


def test_another_model_without_a_file_is_published_and_pinned_later() -> None:
    run("init")
    said = run("add", "lungs").stdout.splitlines()
    assert said == [
        "Added the model lungs in models/lungs",
        "  pilotlight publish MODEL --name lungs",
        "  pilotlight pin lungs --model lungs",
    ]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Lungs", "'Lungs' cannot be a stack's or a function's name"),
        ("n" * 25, f"'tumours-{'n' * 25}' cannot be a stack's or a function's name"),
        ("prod", "'prod' has an environment's name in it"),
        ("non-prod-2", "'non-prod-2' has an environment's name in it"),
        ("second", "this project has a model 'second' already, in models/second"),
        ("tumours", "the model at the project's root has the name 'tumours'"),
    ],
)
def test_a_name_that_a_model_cannot_have_is_refused(name: str, sentence: str, folder: Path) -> None:
    run("init")
    run("add", "second")
    (folder / "model.lock").write_bytes((SAMPLE / "model.lock").read_bytes())
    before = files(folder)
    assert sentence in run("add", name, code=2).stderr
    assert files(folder) == before


def test_outside_of_a_project_no_model_is_added() -> None:
    assert "no project here" in run("add", "lungs", code=2).stderr


# ---- The events of a pin


@pytest.fixture
def pinned(folder: Path, index: object) -> Path:
    """Return events/ of a project with a pinned model and another version in its store."""
    run("init", "--model", MODEL)
    run("publish", MODEL, "--name", "tumours", "--golden", str(SAMPLE / "golden.json"))
    return folder / "events"


def test_a_pin_rewrites_events_as_they_were_written(pinned: Path) -> None:
    before = files(pinned)
    assert "events" not in run("pin", "tumours").stderr
    assert files(pinned) == pinned_events(pinned.with_name("model.lock"))
    assert files(pinned) != before


def test_a_pin_keeps_an_event_that_was_edited_and_says_so(pinned: Path) -> None:
    (pinned / "http-api-v2-predict.json").write_text("{}")
    assert "events/http-api-v2-predict.json was edited and stays as it is" in run("pin", "tumours").stderr
    assert (pinned / "http-api-v2-predict.json").read_text() == "{}"


def test_a_pin_writes_an_event_again_that_was_deleted_but_not_the_whole_folder(pinned: Path) -> None:
    (pinned / "http-api-v2-predict.json").unlink()
    run("pin", "tumours:1")
    assert (pinned / "http-api-v2-predict.json").exists()
    for file in pinned.iterdir():
        file.unlink()
    pinned.rmdir()
    run("pin", "tumours:2")
    assert not pinned.exists()


def test_a_lock_that_is_named_has_no_events(pinned: Path, tmp_path: Path) -> None:
    run("pin", "tumours", "--lock", str(tmp_path / "model.lock"))
    assert not (tmp_path / "events").exists()

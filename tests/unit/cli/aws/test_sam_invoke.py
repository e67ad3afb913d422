"""`pilotlight sam invoke`: what is refused before the build, and what counts as a failure of the function."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pilotlight_cli.aws.sam_local import is_function_error, read_event
from pilotlight_cli.main import app
from repository import EVENTS, LOCK, copied_project


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.json"], "nowhere.json: No such file or directory; expected a file with an event"),
        (["pilotlight.toml"], "pilotlight.toml is not JSON: "),
        (["--parameter", "MemorySzie=1024"], "the template has no parameter MemorySzie; it has StoreUrl, "),
        (["--parameter", "MemorySize"], "--parameter MemorySize: expected NAME=VALUE"),
        (["--parameter", "MemorySize=64"], "--parameter: MemorySize is 64; expected 128 to 10240"),
    ],
    ids=["no file", "no json", "unknown", "no value", "refused"],
)
def test_it_is_refused_before_the_build(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copied_project(tmp_path / "project").root)
    result = CliRunner().invoke(app, ["sam", "invoke", *arguments])
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Building" not in result.stderr


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    event = (EVENTS / "http-api-v2-predict.json").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(event)))
    assert read_event(Path("-"), LOCK) == event


@pytest.mark.parametrize(
    ("response", "failed"),
    [
        ({"errorMessage": "boom", "errorType": "ValueError", "requestId": "1", "stackTrace": []}, True),
        ({"errorMessage": "boom", "errorType": "ValueError"}, True),
        ({"statusCode": 500, "body": "{}"}, False),
        ({"prediction": "malignant"}, False),
        ([], False),
    ],
)
def test_an_exception_of_the_function_is_a_failure_and_its_answer_is_none(response: object, failed: bool) -> None:
    assert is_function_error(json.dumps(response).encode()) is failed
    assert not is_function_error(b"no JSON")

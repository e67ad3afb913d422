"""`pilotlight deploy aws` and `pilotlight prune aws`: their forms, what they print, and exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from pilotlight_cli.assets import ROOT
from pilotlight_cli.aws import versions
from pilotlight_cli.main import app
from repository import copied_project

FORMS: dict[str, tuple[list[str], set[str], set[str]]] = {
    "deploy": ([], {"--env"}, {"--from", "--yes", "--past-alarms", "--image", "--base", "--model", "--json"}),
    "prune": ([], set(), {"--env", "--function", "--keep", "--dry-run", "--model", "--json"}),
}


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Enter a project with the environments of the starter."""
    folder = copied_project(tmp_path / "project").root
    shutil.copyfile(ROOT / "samconfig.toml", folder / "samconfig.toml")
    monkeypatch.chdir(folder)
    return folder


def run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.parametrize("name", FORMS)
def test_the_commands_have_the_forms_that_are_fixed(name: str) -> None:
    command = typer.main.get_command(app).commands[name].commands["aws"]  # type: ignore[attr-defined]
    options = [option for option in command.params if option.param_type_name == "option"]
    assert command.help
    assert [option.name for option in options if not option.help] == []
    found = (
        [argument.name for argument in command.params if argument.param_type_name == "argument"],
        {option.opts[0] for option in options if option.required},
        {option.opts[0] for option in options if not option.required},
    )
    assert found == FORMS[name]


@pytest.mark.parametrize(
    "arguments",
    [
        ("deploy", "aws"),
        ("deploy", "aws", "--env", "nowhere"),
        ("deploy", "azure", "--env", "dev"),
        ("prune", "aws"),
        ("prune", "aws", "--env", "dev", "--function", "f"),
        ("prune", "aws", "--function", "f", "--keep", "0"),
    ],
)
def test_wrong_usage_is_2_and_says_why(arguments: tuple[str, ...]) -> None:
    assert len(run(*arguments, code=2).stderr) > 20


def test_without_credentials_nothing_is_deployed_and_the_way_to_them_is_told(
    aws_environ: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    said = run("deploy", "aws", "--env", "dev", code=1).stderr
    assert said.startswith("error: the stack pilotlight-dev: no AWS credentials")
    assert "aws sso login" in said


def test_an_interrupt_says_that_the_update_goes_on_without_us(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "AWS_DEFAULT_REGION": "us-east-1",
            **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing"),
        }
        command = [sys.executable, "-m", "pilotlight_cli.main", "deploy", "aws", "--env", "dev"]
        with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
            silent.settimeout(120)
            with silent.accept()[0] as asked:
                assert asked.recv(1)
                process.send_signal(signal.SIGTERM)
                said = process.communicate()[1]
    assert process.returncode == 1
    assert said.startswith("error: interrupted; a started update of pilotlight-dev continues")


def test_old_versions_are_deleted(aws: Callable[[str], Any], function: str) -> None:
    done = run("prune", "aws", "--function", function, "--keep", "2")
    assert done.stdout == f"Deleted versions 1, 2, 3, 4, 5 of {function}; kept versions 6, 7\n"
    assert versions.published(aws("lambda"), function) == [7, 6]


def test_a_dry_run_deletes_nothing(aws: Callable[[str], Any], function: str) -> None:
    document = json.loads(run("prune", "aws", "--function", function, "--dry-run", "--json").stdout)
    assert document == {"function": function, "deleted": [2, 1], "kept": [7, 6, 5, 4, 3], "dry_run": True}
    assert len(versions.published(aws("lambda"), function)) == 7


def test_a_function_is_found_by_its_environment(aws: Callable[[str], Any]) -> None:
    said = run("prune", "aws", "--env", "staging", code=1).stderr
    assert "pilotlight-staging-predict" in said

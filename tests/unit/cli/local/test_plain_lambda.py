"""A function on a system without AWS's emulator: called in plain Python, and like under the emulator to its caller."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotlight_cli.local.function import Function
from pilotlight_cli.local.lambda_runtime import FunctionFailed, LambdaRuntime, lambda_runtime

HANDLER = """
import json, os, sys
print("started", flush=True)
if os.path.exists("broken"):
    raise ValueError("no start")
calls = 0
def run(event, context):
    global calls
    calls += 1
    if event == "raise":
        raise KeyError("mine")
    if event == "exit":
        raise SystemExit("over")
    return [event, calls, len(context.aws_request_id), context.get_remaining_time_in_millis() > 25_000]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    (tmp_path / "process.py").write_text(
        "raise SystemExit('not the function')\n"
    )  # a module's name of the runtime's own
    (tmp_path / "mine.py").write_text(HANDLER)
    return tmp_path


@pytest.fixture
def runtime(folder: Path) -> Iterator[LambdaRuntime]:
    with lambda_runtime(Function(folder, (), {"PATH": os.environ["PATH"]}), "mine.run") as runtime:
        yield runtime


def test_events_reach_one_environment_and_exceptions_do_not_end_it(runtime: LambdaRuntime) -> None:
    assert runtime.invoke({"a": 1}) == [{"a": 1}, 1, 36, True]
    with pytest.raises(FunctionFailed, match="KeyError: 'mine'"):
        runtime.invoke("raise")
    assert runtime.invoke(None) == [None, 3, 36, True]
    assert runtime.log.lines.count("started") == 1


def test_an_exit_begins_a_new_environment(runtime: LambdaRuntime) -> None:
    with pytest.raises(FunctionFailed, match="SystemExit: over"):
        runtime.invoke("exit")
    assert runtime.invoke(1) == [1, 1, 36, True]


def test_a_start_that_fails_is_an_error_until_it_succeeds(folder: Path, runtime: LambdaRuntime) -> None:
    (folder / "broken").touch()
    with pytest.raises(FunctionFailed, match="ValueError: no start"):
        runtime.invoke(1)
    (folder / "broken").unlink()
    assert runtime.invoke(1) == [1, 1, 36, True]

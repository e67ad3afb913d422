from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pilotlight_cli.local.gateway import gateway
from pilotlight_cli.local.process import Log, ServeError
from pilotlight_cli.local.server import Server


class Instance:
    """A runtime whose function is a line of the test's."""

    def __init__(self) -> None:
        self.log = Log()
        self.exit_code: int | None = None
        self.starts = 0

    def restart(self) -> None:
        self.starts += 1
        self.tells("ready")

    def tells(self, state: str, error: str = "") -> None:
        self.log.add(json.dumps({"event": "cold_start", "state": state, "start": self.starts, "error": error}))


@contextmanager
def answering(reply: Callable[[], Any]) -> Iterator[str]:
    with gateway(lambda _: reply()) as url:
        yield url


def status(code: int, message: str = "") -> dict[str, Any]:
    return {"statusCode": code, "body": json.dumps({"error": message})}


def server(url: str, instance: Instance, folder: Path, step: float = 0) -> Server:
    """Return a server whose clock advances by `step` seconds each time it is read."""
    (folder / "tmp").mkdir(exist_ok=True)
    return Server(url, "s3://models", instance, folder / "tmp", 300, clock=itertools.count(step=step).__next__)


def test_a_function_that_is_ready_tells_its_cold_start(tmp_path: Path) -> None:
    instance = Instance()
    instance.tells("ready")
    with answering(lambda: status(200)) as url:
        assert server(url, instance, tmp_path).cold_start["state"] == "ready"


def test_a_function_that_is_not_ready_yet_is_asked_again(tmp_path: Path) -> None:
    replies = [status(503), status(503), status(200)]
    instance = Instance()
    instance.tells("waiting")
    with answering(lambda: replies.pop(0)) as url:
        server(url, instance, tmp_path)

    assert replies == []


def test_a_function_that_does_not_get_ready_is_given_up_with_its_last_error(tmp_path: Path) -> None:
    instance = Instance()
    instance.tells("waiting", "StoreUnavailable: the store is down")
    with answering(lambda: status(503)) as url, pytest.raises(ServeError) as caught:
        server(url, instance, tmp_path, step=100)

    assert "the function is not ready after 300 s: StoreUnavailable: the store is down" in str(caught.value)


@pytest.mark.parametrize("code", [500, 503])
def test_a_function_that_failed_for_good_is_given_up_at_once(code: int, tmp_path: Path) -> None:
    instance = Instance()
    instance.tells("failed", "DigestMismatch: other bytes")
    replies = [status(code)]
    with answering(replies.pop) as url, pytest.raises(ServeError) as caught:
        server(url, instance, tmp_path)

    assert "the function does not start: DigestMismatch: other bytes" in str(caught.value)
    assert replies == []


def test_a_function_that_says_nothing_of_its_failure_is_told_by_its_reply_and_lines(tmp_path: Path) -> None:
    instance = Instance()
    instance.log.add("ImportError: no such module")
    with answering(lambda: status(500, "broken")) as url, pytest.raises(ServeError) as caught:
        server(url, instance, tmp_path, step=1)

    assert str(caught.value).startswith("the function does not start: it responds with 500: broken")
    assert "ImportError: no such module" in str(caught.value)


def test_a_restart_empties_the_functions_disk_and_tells_the_new_cold_start(tmp_path: Path) -> None:
    instance = Instance()
    instance.tells("ready")
    with answering(lambda: status(200)) as url:
        running = server(url, instance, tmp_path)
        (tmp_path / "tmp" / "model.onnx").write_bytes(b"old")
        running.restart()

        assert running.cold_start["start"] == 1
        assert list((tmp_path / "tmp").iterdir()) == []


def test_a_runtime_that_ended_by_itself_is_noticed(tmp_path: Path) -> None:
    instance = Instance()
    instance.tells("ready")
    with answering(lambda: status(200)) as url:
        running = server(url, instance, tmp_path)
        running.check()
        instance.exit_code = 3

        with pytest.raises(ServeError, match="ended with exit code 3"):
            running.check()

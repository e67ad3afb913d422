"""`pilotlight dev` as somebody types it."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO

import pytest

from local_lock import copy_lock
from onnx_models import plus, with_external_data
from pilotlight_cli.local.client import send
from processes import python
from waiting import wait_until

COMMAND = "import sys; from pilotlight_cli.main import app; sys.argv[0] = 'pilotlight'; app()"
ROW = {"features": [1.0, 2.0, 3.0]}


class Developing:
    """The command with what it has printed so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            threading.Thread(target=self._read, args=(stream,), daemon=True).start()
        self.url = self.line("answers on http").split()[-1]

    def _read(self, stream: IO[str]) -> None:
        self.lines.extend(stream)  # line by line, as they come

    def line(self, text: str) -> str:
        """Wait for a line with that text, and return the first."""
        wait_until(lambda: self._find(text) is not None or self.process.poll() is not None, limit=120)
        found = self._find(text)
        assert found is not None, "".join(self.lines)
        return found

    def _find(self, text: str) -> str | None:
        return next((line for line in list(self.lines) if text in line), None)


@contextmanager
def developing(folder: Path, *arguments: str) -> Iterator[Developing]:
    with python(COMMAND, "-C", str(folder), "dev", "--port", "0", *arguments) as process:
        yield Developing(process)


@contextmanager
def asking(url: str) -> Iterator[list[tuple[int, object]]]:
    """Ask without a pause; give the list to which the answers are added."""
    answers: list[tuple[int, object]] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            response = send(url, "/predict", ROW)
            answers.append((response.status, response.document.get("prediction")))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        done.set()
        thread.join()


def test_a_saved_model_answers_without_a_request_being_dropped_and_a_bad_one_does_not(
    cloud: str, tmp_path: Path
) -> None:
    model = plus(tmp_path, 1)
    sent: list[object] = [[number + value for value in ROW["features"]] for number in (1, 2, 3)]
    with developing(tmp_path, "model.onnx", "--cloud", cloud) as dev, asking(dev.url) as answers:
        wait_until(lambda: (200, sent[0]) in answers, limit=60)
        plus(tmp_path, 2)
        dev.line("model:2 answers after")
        assert "largest difference 1 (row " in dev.line("  y, 5 golden rows: ")
        model.write_bytes(b"not a model")
        dev.line("error: model.onnx is not a model file that Pilotlight serves")
        dev.line("model:2 keeps answering")
        plus(tmp_path, 3)
        dev.line("model:3 answers after")
        wait_until(lambda: (200, sent[2]) in answers, limit=60)
        dev.process.terminate()
        dev.line("Stopped.")
        assert dev.process.wait(60) == 0

    kinds = [answers[0], *(later for earlier, later in pairwise(answers) if later != earlier)]
    assert kinds[:3] == [(200, values) for values in sent]
    assert {status for status, _ in kinds[3:]} <= {0}  # the command has ended


def test_external_data_in_a_folder_is_watched_and_a_save_starts_the_model_once(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data = tmp_path / "data" / "vector.bin"
    data.write_bytes(array("f", [1, 1, 1, 1]).tobytes())
    with_external_data(tmp_path, "data/vector.bin")
    with developing(tmp_path, "model.onnx", "--cloud", "aws") as dev:
        time.sleep(1)
        assert not any(line.startswith("Changed") for line in dev.lines)
        data.write_bytes(array("f", [3, 3, 3, 3]).tobytes())
        assert dev.line("Changed: ").endswith("data/vector.bin\n")
        dev.line("model:2 answers after")
        assert "largest difference 2" in dev.line("  moved, ")
        time.sleep(1)
        assert sum(line.startswith("Changed") for line in dev.lines) == 1


def test_a_lock_that_does_not_fit_its_files_keeps_the_one_before_answering(lock: Path, tmp_path: Path) -> None:
    shutil.copy(lock.with_name("pilotlight.toml"), tmp_path)
    requirements = copy_lock(lock, tmp_path).with_name("requirements.lock")
    pinned = requirements.read_bytes()
    with developing(tmp_path) as dev:
        requirements.write_bytes(pinned + b"# a remark\n")
        dev.line("error: requirements.lock has SHA-256")
        dev.line("breast-cancer:1 keeps answering")
        assert send(dev.url, "/health/ready").status == 200
        requirements.write_bytes(pinned)
        dev.line("breast-cancer:1 answers after")
        assert "differ 0 of " in dev.line("  label, ")


def test_a_model_that_cannot_be_served_ends_the_command_at_its_start(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with python(COMMAND, "-C", str(tmp_path), "dev", "model.onnx") as process:
        _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "error: model.onnx is not a model file" in said


@pytest.fixture(autouse=True)
def no_store_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PILOTLIGHT_STORE", raising=False)

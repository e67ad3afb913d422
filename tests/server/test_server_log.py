"""The server's log in files: one for each process, whole lines, and no more than a few old ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from harness import in_server, sample
from pilotlight_cli.assets import FUNCTIONS
from pilotlight_cli.local.process import ServeError
from pilotlight_cli.local.stores import EmbeddedStore
from repository import sample_request

WRITE = """
import json
import sys
import server_log
from cloud_logging import warn
server_log._BYTES = 20_000
server_log.log_to_files(sys.argv[1])
for number in range(1000):
    warn(f"100 % {sys.argv[2]} {number}")
print(json.dumps({"by": "print"}), flush=True)
"""


def written(folder: Path) -> dict[str, list[dict[str, object]]]:
    files = sorted(path for path in folder.iterdir() if not path.name.endswith(".lock"))
    return {path.name: [json.loads(line) for line in path.read_text().splitlines()] for path in files}


def test_each_process_rotates_a_file_of_its_own(tmp_path: Path) -> None:
    folders = [FUNCTIONS / "container" / "server", FUNCTIONS / "gcp" / "predict", FUNCTIONS.parent / "shared"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    command = [sys.executable, "-c", WRITE, str(tmp_path / "a.log")]
    for round_ in ("first", "second"):  # the files of those that have ended are taken again
        processes = [subprocess.Popen([*command, f"{round_}-{index}"], env=environ) for index in range(3)]
        assert [process.wait(60) for process in processes] == [0, 0, 0]
    found = written(tmp_path)
    numbers = {name.split(".")[1] for name in found}
    assert numbers <= {"1", "2", "3"}
    assert found.keys() <= {
        f"a.{number}.log{old}" for number in numbers for old in ("", *(f".{each}" for each in range(1, 6)))
    }
    assert all((tmp_path / name).stat().st_size <= 20_000 for name in found)
    assert any(name.endswith(".5") for name in found)


def test_the_requests_of_all_workers_are_in_files_and_not_on_standard_output(tmp_path: Path) -> None:
    model, logs = sample(tmp_path / "store"), tmp_path / "logs"
    logs.mkdir()
    settings = {"PILOTLIGHT_SERVER_LOG_FILE": str(logs / "server.log"), "PILOTLIGHT_SERVER_WORKERS": "2"}
    path, body = sample_request()
    with in_server(model, EmbeddedStore(model.store.url, {}), **settings) as runtime:
        with ThreadPoolExecutor(8) as pool:
            done = pool.map(
                lambda _: requests.post(f"{runtime.url}{path}", json=body, timeout=60).status_code, range(40)
            )
            assert set(done) == {200}
        assert runtime.log.events("request") == []
    found = written(logs)
    assert list(found) == ["server.1.log", "server.2.log", "server.3.log"]
    assert [line["event"] for line in found["server.1.log"]] == ["cold_start"]
    assert sum(line["event"] == "request" for line in (*found["server.2.log"], *found["server.3.log"])) == 40


def test_a_file_that_cannot_be_written_fails_the_start(tmp_path: Path) -> None:
    model = sample(tmp_path / "store")
    settings = {"PILOTLIGHT_SERVER_LOG_FILE": str(tmp_path / "nowhere" / "server.log")}
    with (
        pytest.raises(ServeError, match=r"server\.1\.log cannot be written: No such file or directory; name a file"),
        in_server(model, EmbeddedStore(model.store.url, {}), **settings),
    ):
        pass

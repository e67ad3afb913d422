"""The server's processes: replaced, ended together, and one copy of the model's files for all of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from harness import Pinned, in_server, prepared, sample, stored
from pilotlight_cli.assets import FUNCTIONS
from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.functions_runtime import FunctionsRuntime
from pilotlight_cli.local.stores import EmbeddedStore
from processes import children, is_running, wait_until_ended
from repository import sample_request
from waiting import wait_until


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    return sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def store(model: Pinned) -> Iterator[EmbeddedStore]:
    with stored("gcp", model) as found:
        yield found


@pytest.fixture
def runtime(model: Pinned, store: EmbeddedStore) -> Iterator[FunctionsRuntime]:
    with in_server(model, store, PILOTLIGHT_SERVER_WORKERS="2") as found:
        yield found


def answers(runtime: FunctionsRuntime) -> bool:
    path, body = sample_request()
    try:
        return requests.post(f"{runtime.url}{path}", json=body, timeout=60).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_worker_that_is_killed_is_replaced_and_the_model_is_fetched_once(
    threads: str, model: Pinned, store: EmbeddedStore
) -> None:
    """It is loaded before the fork, and the workers share it; threads of its own start in them."""
    with in_server(model, store, PILOTLIGHT_SERVER_WORKERS="2", PILOTLIGHT_THREADS=threads) as runtime:
        before = children(runtime.pid)
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: len(set(children(runtime.pid)) - set(before)) == 1, limit=60)
        wait_until(lambda: answers(runtime), limit=60)  # the killed one may have taken a connection along
        (start,) = runtime.log.events("cold_start")
        assert (start["state"], start["attempts"]) == ("ready", 1)
        assert start["fetched_bytes"] == model.model.files[0].size
        (warning,) = runtime.log.events("warning")
        assert warning["message"] == "a worker ended with exit code -9 and is replaced"


def test_the_workers_end_with_the_process_that_started_them(runtime: FunctionsRuntime) -> None:
    workers = children(runtime.pid)
    os.kill(runtime.pid, signal.SIGKILL)
    wait_until_ended(workers, limit=60)


def test_sigterm_ends_all_of_them(runtime: FunctionsRuntime) -> None:
    workers = children(runtime.pid)
    assert answers(runtime)
    os.kill(runtime.pid, signal.SIGTERM)
    wait_until(lambda: runtime.exit_code is not None, limit=60)
    assert runtime.exit_code == 0
    assert not any(map(is_running, workers))


SUPERVISE = """
import os, sys
from server_workers import supervise
def work():
    print(os.getpid(), flush=True)
    {work}
sys.exit(supervise(2, work))
"""


@pytest.mark.parametrize(
    ("work", "code"),
    [
        ("return 3", 3),
        ("raise ValueError", 3),
        ("os.kill(os.getppid(), 15); return 0", 0),
    ],
)
def test_a_worker_that_can_never_serve_ends_all(work: str, code: int) -> None:
    functions = ("container/server", "container/common", "gcp/predict")
    path = os.pathsep.join(map(str, (*(FUNCTIONS / one for one in functions), FUNCTIONS.parent / "shared")))
    command = [sys.executable, "-c", SUPERVISE.format(work=work)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert not any(is_running(int(pid)) for pid in done.stdout.split() if pid.isdigit())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"PILOTLIGHT_SERVER_WORKERS": "many"}, "SettingsError: PILOTLIGHT_SERVER_WORKERS is 'many'; expected"),
        ({"PORT": "taken"}, "of 127.0.0.1 cannot be used: Address already in use"),
        ({"PILOTLIGHT_SERVER_GRPC_PORT": "taken"}, "of 127.0.0.1 cannot be used: Address already in use"),
        ({"PILOTLIGHT_STORE": "nowhere"}, "SettingsError: PILOTLIGHT_STORE is 'nowhere'; expected"),
    ],
)
def test_a_start_that_cannot_succeed_ends_with_one_line(
    settings: dict[str, str], message: str, model: Pinned, store: EmbeddedStore
) -> None:
    with prepared("container", model, store, {}) as function, socket.create_server(("127.0.0.1", 0)) as listener:
        taken = str(listener.getsockname()[1])
        settings = {name: value.replace("taken", taken) for name, value in settings.items()}
        environ = {**function.environment, "PILOTLIGHT_SERVER_HOST": "127.0.0.1", "PORT": "0", **settings}
        command = [*isolated_python(), "-m", "server_main"]
        done = subprocess.run(
            command, cwd=Path(function.folder), env=environ, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert message in done.stdout
    assert done.stderr == ""

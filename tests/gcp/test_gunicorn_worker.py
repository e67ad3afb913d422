"""What is changed in gunicorn, on throw-away functions in the real functions-framework."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import requests

import gunicorn_worker
from pilotlight_cli.assets import FUNCTIONS
from pilotlight_cli.hostenv import host_packages
from pilotlight_cli.local.functions_runtime import FunctionsRuntime, functions_runtime
from pilotlight_cli.local.process import ServeError
from processes import cloud_function, is_running
from waiting import wait_until

PREDICT = FUNCTIONS / "gcp/predict"

ENDS = """
import os, time
import gunicorn_worker

def predict(request):
    print(request.path, flush=True)
    if request.path == "/end":
        gunicorn_worker.end_when_answered()
    if request.path == "/slow":
        time.sleep(1)
    return {"pid": os.getpid()}
"""

FAULT = "RuntimeError: no session in here"
FAILS = """
import os
import gunicorn_worker

def fail():
    raise RuntimeError("no session in here")

os.register_at_fork(after_in_child=gunicorn_worker.first_step(fail))

def predict(request):
    return "served all the same"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("gunicorn_worker.py", "gunicorn_clients.py"):
        shutil.copy(PREDICT / name, tmp_path)
    return tmp_path


def test_an_instance_that_cannot_serve_answers_what_it_has_and_ends_with_three(folder: Path) -> None:
    with functions_runtime(cloud_function(folder, ENDS)) as runtime:
        replies: list[requests.Response] = []
        slow = threading.Thread(target=lambda: replies.append(requests.get(f"{runtime.url}/slow", timeout=60)))
        slow.start()
        wait_until(lambda: any("/slow" in line for line in list(runtime.log.lines)), limit=60)
        replies.append(requests.get(f"{runtime.url}/end", timeout=60))
        slow.join()
        assert [reply.status_code for reply in replies] == [200, 200]
        wait_until(lambda: runtime.exit_code is not None, limit=60)
        assert runtime.exit_code == 3
        assert not is_running(replies[0].json()["pid"])


def test_work_to_be_done_once_is_done_by_one_of_many_callers_and_all_wait_for_it() -> None:
    began, goes_on, done = threading.Semaphore(0), threading.Event(), []

    def work() -> None:
        began.release()
        assert goes_on.wait(60)
        done.append("work")

    step = gunicorn_worker.once(work)

    def call() -> None:
        step()
        done.append("call")

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    assert began.acquire(timeout=60)
    assert done == []
    goes_on.set()
    for caller in callers:
        caller.join()
    assert done == ["work", *["call"] * 4]


def test_work_that_fails_is_tried_again_by_the_next_caller() -> None:
    tries: list[str] = []

    def work() -> None:
        tries.append("try")
        if len(tries) == 1:
            raise MemoryError

    step = gunicorn_worker.once(work)
    with pytest.raises(MemoryError):
        step()
    step()
    step()
    assert len(tries) == 2


def test_a_worker_that_cannot_be_made_whole_ends_the_instance_and_serves_nothing(folder: Path) -> None:
    said = ""
    try:
        with functions_runtime(cloud_function(folder, FAILS)) as runtime:  # the port can be open for a moment
            wait_until(lambda: runtime.exit_code is not None, limit=60)
            assert runtime.exit_code == 3
            wait_until(lambda: FAULT in "\n".join(runtime.log.lines), limit=60)
            said = "\n".join(runtime.log.lines)
    except ServeError as error:
        assert "exit code 3" in str(error)
        said = str(error)
    assert FAULT in said


ANSWERS = """
import os
import gunicorn_worker
from gunicorn import util

os.register_at_fork(after_in_child=gunicorn_worker.first_step(lambda: None, 1.0))
if "LINGER" in os.environ:
    util.close_graceful.__defaults__ = (float(os.environ["LINGER"]), 65536)

def predict(request):
    return bytes(50_000_000) if request.path == "/large" else "small"
"""


@contextmanager
def two_threads(folder: Path, **environ: str) -> Iterator[FunctionsRuntime]:
    """ANSWERS with two threads, in which a caller has a second to take a reply."""
    function = cloud_function(folder, ANSWERS)
    with functions_runtime(replace(function, environ={**function.environ, "THREADS": "2", **environ})) as runtime:
        yield runtime


def open_request(runtime: FunctionsRuntime, path: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(runtime.url.rpartition(":")[2])), timeout=60)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    return connection


def test_callers_who_do_not_take_their_replies_do_not_stop_the_function(folder: Path) -> None:
    with two_threads(folder) as runtime, ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(open_request(runtime, "/large"))  # more than the system takes for a caller
        assert requests.get(f"{runtime.url}/small", timeout=60).text == "small"


def test_a_caller_who_does_not_close_keeps_one_thread_and_not_the_one_that_accepts_all_others(folder: Path) -> None:
    with two_threads(folder, LINGER="3600") as runtime, open_request(runtime, "/small") as connection:
        while connection.recv(1 << 16):
            pass  # to the end: now the other end waits for this one
        assert requests.get(f"{runtime.url}/small", timeout=60).text == "small"


def test_the_gunicorn_that_is_pinned_has_what_the_first_step_changes() -> None:
    code = (host_packages(PREDICT / "requirements.lock") / "gunicorn/workers/gthread.py").read_text()
    assert "\nSTOP_KEEPALIVE_LINGER = 2.0\n" in code
    assert "time.monotonic() + STOP_KEEPALIVE_LINGER" in code

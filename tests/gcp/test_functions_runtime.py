from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from pilotlight_cli.local.function import Function
from pilotlight_cli.local.functions_runtime import FunctionsRuntime, functions_runtime
from pilotlight_cli.local.process import PortTaken, ServeError
from processes import children, cloud_function, is_running, python, read_pids, wait_until_ended
from waiting import wait_until

MAIN = """
import json, os, sys, threading, time
print(json.dumps({"event": "cold_start", "pid": os.getpid()}))

def predict(request):
    if request.path == "/sleep":
        time.sleep(float(request.args["seconds"]))
    if request.path == "/crash":
        os._exit(7)
    if request.path == "/raise":
        raise ValueError("wrong on purpose")
    if request.path == "/look":
        return {"environ": dict(os.environ), "path": sys.path}
    if request.path == "/echo":
        return request.get_data(), 200, {"content-type": request.headers["content-type"]}
    return {"path": request.path, "pid": os.getpid(), "thread": threading.get_ident()}
"""


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Function:
    return cloud_function(tmp_path_factory.mktemp("function"), MAIN)


@pytest.fixture(scope="module")
def runtime(function: Function) -> Iterator[FunctionsRuntime]:
    with functions_runtime(function) as found:
        yield found


def get(runtime: FunctionsRuntime, path: str = "/") -> requests.Response:
    return requests.get(runtime.url + path, timeout=60)


def test_every_path_reaches_the_function(runtime: FunctionsRuntime) -> None:
    assert get(runtime, "/v1/models/m:predict").json()["path"] == "/v1/models/m:predict"


def test_bytes_of_any_kind_come_back_as_they_went(runtime: FunctionsRuntime) -> None:
    body = bytes(range(256)) * 20
    headers = {"content-type": "application/octet-stream"}

    assert requests.post(f"{runtime.url}/echo", body, headers=headers, timeout=60).content == body


def test_it_runs_under_gunicorn_with_one_worker(runtime: FunctionsRuntime) -> None:
    reply = get(runtime)

    assert reply.headers["server"] == "gunicorn"
    assert children(runtime.pid) == [reply.json()["pid"]]


def test_an_exception_is_a_500_in_the_log_and_the_next_request_is_answered(runtime: FunctionsRuntime) -> None:
    assert get(runtime, "/raise").status_code == 500
    assert get(runtime).status_code == 200
    wait_until(lambda: "ValueError: wrong on purpose" in runtime.log.tail(), limit=60)


def test_a_worker_that_crashes_is_replaced(function: Function) -> None:
    with functions_runtime(function) as runtime:
        pid = get(runtime).json()["pid"]
        with pytest.raises(requests.ConnectionError):
            get(runtime, "/crash")

        assert get(runtime).json()["pid"] != pid


def test_json_lines_are_events(runtime: FunctionsRuntime) -> None:
    start = runtime.log.wait_for("cold_start", 60)

    assert start == {"event": "cold_start", "pid": runtime.pid}  # the module is imported before the fork


def test_the_function_sees_what_cloud_run_sets_and_nothing_of_the_developers(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "PILOTLIGHT_STORE": "gs://a/b", "SECRET": "1", "PYTHONPATH": "/elsewhere"}
    with functions_runtime(cloud_function(tmp_path, MAIN, environ)) as runtime:
        seen = get(runtime, "/look").json()

    assert seen["environ"]["K_SERVICE"] == "pilotlight"
    assert seen["environ"]["FUNCTION_TARGET"] == "predict"
    assert seen["environ"]["PORT"] == runtime.url.rpartition(":")[2]
    assert seen["environ"]["PILOTLIGHT_STORE"] == "gs://a/b"
    assert "SECRET" not in seen["environ"]
    assert not any("elsewhere" in path or "site-packages" in path for path in seen["path"])


def test_nothing_is_written_into_the_functions_folder(tmp_path: Path) -> None:
    with functions_runtime(cloud_function(tmp_path, MAIN)) as runtime:
        get(runtime)

    assert [path.name for path in tmp_path.rglob("*")] == ["main.py"]


def test_an_import_that_fails_ends_the_start_with_the_last_lines(tmp_path: Path) -> None:
    function = cloud_function(tmp_path, "raise RuntimeError('no lock here')")

    with pytest.raises(ServeError, match="(?s)exit code 1.*RuntimeError: no lock here"), functions_runtime(function):
        pass


def test_a_library_that_only_the_developer_has_is_missing(tmp_path: Path) -> None:
    function = cloud_function(tmp_path, "import pytest")

    with pytest.raises(ServeError, match="No module named 'pytest'"), functions_runtime(function):
        pass


def test_a_port_that_is_taken_is_named_before_anything_starts(function: Function) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} "), functions_runtime(function, port=port):
            pass


def test_a_restart_gives_a_fresh_instance_on_the_same_port(function: Function) -> None:
    with functions_runtime(function) as runtime:
        url, before = runtime.url, [runtime.pid, get(runtime).json()["pid"]]
        runtime.restart()

        assert not any(map(is_running, before))
        assert runtime.url == url
        assert get(runtime).json()["pid"] not in before


def test_two_instances_run_side_by_side(function: Function, runtime: FunctionsRuntime) -> None:
    with functions_runtime(function) as other:
        assert get(other).json()["pid"] != get(runtime).json()["pid"]


def test_nothing_is_left_running_and_the_end_comes_before_it_is_forced(function: Function) -> None:
    threads = set(threading.enumerate())
    with functions_runtime(function) as runtime:
        pids = [runtime.pid, get(runtime).json()["pid"]]
        assert all(map(is_running, pids))

    assert runtime.exit_code == 0  # SIGTERM was enough: nobody had to wait for SIGKILL
    assert not any(map(is_running, pids))
    assert set(threading.enumerate()) <= threads  # nor for the end of its output


WITH_A_HELPER = """
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)

def predict(request):
    return "hello"
"""


def test_what_a_function_started_itself_ends_too(tmp_path: Path) -> None:
    with functions_runtime(cloud_function(tmp_path, WITH_A_HELPER)) as runtime:
        get(runtime)
        wait_until(lambda: bool(runtime.log.lines), limit=60)
        pid = int(runtime.log.lines[0])
        assert is_running(pid)

    wait_until_ended([pid], limit=60)


PARENT = """
import sys, threading, urllib.request
from pathlib import Path
from pilotlight_cli.hostenv import host_packages
from pilotlight_cli.local.function import Function, passed_on
from pilotlight_cli.local.functions_runtime import functions_runtime
from pilotlight_cli.assets import FUNCTIONS
packages = host_packages(FUNCTIONS / "gcp/predict/requirements.lock")
with functions_runtime(Function(Path(sys.argv[1]), (packages,), passed_on({}))) as runtime:
    print(runtime.pid, urllib.request.urlopen(runtime.url).read().decode().split('"pid":')[1].split(",")[0], flush=True)
    threading.Event().wait()
"""


def test_the_death_of_the_parent_ends_master_and_worker(function: Function) -> None:
    with python(PARENT, str(function.folder)) as parent:
        pids = read_pids(parent)
        assert len(pids) == 2
        parent.kill()
        parent.wait()

        wait_until_ended(pids, limit=60)


def test_a_runtime_that_ended_by_itself_tells_its_exit_code(function: Function) -> None:
    with functions_runtime(function) as runtime:
        pids = [runtime.pid, get(runtime).json()["pid"]]
        os.kill(runtime.pid, signal.SIGKILL)
        wait_until(lambda: runtime.exit_code is not None, limit=60)

        assert runtime.exit_code == -signal.SIGKILL

    wait_until_ended(pids, limit=60)

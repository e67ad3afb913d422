from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotlight_cli.local.function import Function
from pilotlight_cli.local.lambda_runtime import (
    MAX_EVENT_BYTES,
    EventTooLarge,
    FunctionFailed,
    LambdaRuntime,
    emulator,
    executable,
    lambda_runtime,
)
from pilotlight_cli.local.process import Child, ServeError
from processes import children, is_running, lambda_function, python, read_pids, wait_until_ended
from waiting import wait_until

HANDLER = """
import json, os, sys, time
print(json.dumps({"event": "cold_start", "pid": os.getpid()}), flush=True)

def lambda_handler(event, context):
    act = event.get("act")
    print("a plain line", flush=True)
    if act == "raise":
        raise ValueError("wrong on purpose")
    if act == "crash":
        os._exit(7)
    if act == "sleep":
        time.sleep(event["seconds"])
    if act == "length":
        return len(event["text"])
    if act == "look":
        return {
            "environ": dict(os.environ),
            "path": sys.path,
            "memory": context.memory_limit_in_mb,
            "left": context.get_remaining_time_in_millis(),
        }
    return {"event": event, "pid": os.getpid()}
"""


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Function:
    return lambda_function(tmp_path_factory.mktemp("function"), HANDLER)


@pytest.fixture(scope="module")
def runtime(function: Function) -> Iterator[LambdaRuntime]:
    with lambda_runtime(function) as found:
        yield found


def test_the_handlers_return_value_comes_back_and_one_environment_serves_all_events(runtime: LambdaRuntime) -> None:
    first, second = runtime.invoke({"n": 1, "text": "é\u2028"}), runtime.invoke({"n": 2})

    assert first["event"] == {"n": 1, "text": "é\u2028"}
    assert second["pid"] == first["pid"]


def test_an_exception_is_told_with_its_type_and_the_environment_stays(runtime: LambdaRuntime) -> None:
    pid = runtime.invoke({})["pid"]

    with pytest.raises(FunctionFailed, match="ValueError: wrong on purpose") as caught:
        runtime.invoke({"act": "raise"})

    assert caught.value.type == "ValueError"
    assert runtime.invoke({})["pid"] == pid


def test_a_crash_fails_its_own_event_and_the_next_one_starts_a_new_environment(runtime: LambdaRuntime) -> None:
    pid = runtime.invoke({})["pid"]

    with pytest.raises(FunctionFailed, match="exit status 7") as caught:
        runtime.invoke({"act": "crash"})

    assert caught.value.type == "Runtime.ExitError"
    assert runtime.invoke({})["pid"] != pid


def test_a_timeout_fails_its_own_event(function: Function) -> None:
    with lambda_runtime(function, timeout=10) as runtime:  # within which the next one starts the function anew
        with pytest.raises(FunctionFailed, match=r"Task timed out after 10\.00 seconds"):
            runtime.invoke({"act": "sleep", "seconds": 100})

        assert runtime.invoke({"n": 1})["event"] == {"n": 1}


def test_an_event_over_lambdas_limit_never_reaches_the_function(runtime: LambdaRuntime) -> None:
    frame = len('{"act": "length", "text": ""}')

    assert runtime.invoke({"act": "length", "text": "x" * (MAX_EVENT_BYTES - frame)}) == MAX_EVENT_BYTES - frame
    with pytest.raises(EventTooLarge, match="6291457 bytes, over Lambda's limit of 6291456"):
        runtime.invoke({"act": "length", "text": "x" * (MAX_EVENT_BYTES - frame + 1)})


def test_events_at_once_are_answered_one_after_the_other(runtime: LambdaRuntime) -> None:
    found: list[object] = []

    def invoke(number: int) -> None:
        found.append(runtime.invoke({"act": "sleep", "seconds": 0.05, "n": number})["event"]["n"])

    threads = [threading.Thread(target=invoke, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found, key=str) == list(range(8))


def test_an_import_that_fails_says_why(tmp_path: Path) -> None:
    with lambda_runtime(lambda_function(tmp_path, "raise RuntimeError('no lock here')")) as runtime:
        with pytest.raises(FunctionFailed, match="RuntimeError: no lock here"):
            runtime.invoke({})

        wait_until(lambda: "[ERROR] RuntimeError: no lock here" in runtime.log.tail(), limit=60)
        assert "(rapid)" not in "\n".join(line for line in runtime.log.tail().splitlines() if "[INFO]" in line)


def test_a_library_that_only_the_developer_has_is_missing(tmp_path: Path) -> None:
    function = lambda_function(tmp_path, "import pytest")
    with lambda_runtime(function) as runtime, pytest.raises(FunctionFailed, match="No module named 'pytest'"):
        runtime.invoke({})


def test_json_lines_are_events_and_all_lines_are_kept(function: Function) -> None:
    with lambda_runtime(function) as runtime:
        pid = runtime.invoke({})["pid"]

        start = runtime.log.wait_for("cold_start", 60)
        assert start == {"event": "cold_start", "pid": pid}
        assert runtime.log.wait_for("cold_start", 0, after=1) is None
        wait_until(lambda: "a plain line" in runtime.log.lines, limit=60)


def test_the_function_sees_what_lambda_sets_and_nothing_of_the_developers(tmp_path: Path) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "AWS_REGION": "eu-west-1",
        "PILOTLIGHT_STORE": "s3://a/b",
        "AWS_CA_BUNDLE": "",
    }
    environ |= {"VIRTUAL_ENV": "/somewhere", "SECRET": "1", "PYTHONPATH": "/elsewhere", "AWS_LAMBDA_FUNCTION_NAME": "x"}
    with lambda_runtime(lambda_function(tmp_path, HANDLER, environ)) as runtime:
        seen = runtime.invoke({"act": "look"})

    assert seen["environ"]["AWS_REGION"] == "eu-west-1"
    assert seen["environ"]["PILOTLIGHT_STORE"] == "s3://a/b"
    assert seen["environ"]["AWS_LAMBDA_FUNCTION_NAME"] == "pilotlight"
    assert seen["environ"]["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert not {"VIRTUAL_ENV", "SECRET", "AWS_CA_BUNDLE"} & seen["environ"].keys()
    assert seen["path"][1] == str(tmp_path)
    assert not any("elsewhere" in path or "site-packages" in path for path in seen["path"])
    assert seen["memory"] == "1769"
    assert 10_000 < seen["left"] <= 30_000


def test_nothing_is_written_into_the_functions_folder(tmp_path: Path) -> None:
    with lambda_runtime(lambda_function(tmp_path, HANDLER)) as runtime:
        runtime.invoke({})

    assert [path.name for path in tmp_path.rglob("*")] == ["handler.py"]


def test_a_restart_gives_a_fresh_environment(function: Function) -> None:
    with lambda_runtime(function) as runtime:
        before = [runtime.pid, runtime.invoke({})["pid"]]
        runtime.restart()

        wait_until_ended(before, limit=60)
        assert runtime.invoke({})["pid"] not in before


def test_two_runtimes_run_side_by_side(function: Function) -> None:
    with lambda_runtime(function) as one, lambda_runtime(function) as other:
        assert one.invoke({})["pid"] != other.invoke({})["pid"]


def test_nothing_is_left_running_and_the_end_takes_no_time(function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Child.stop
    monkeypatch.setattr(Child, "stop", lambda child, seconds: stop(child, 12 * seconds))
    with lambda_runtime(function) as runtime:
        pids = [runtime.pid, runtime.invoke({})["pid"]]
        assert all(map(is_running, pids))
        began = time.monotonic()

    assert time.monotonic() - began < 50
    assert runtime.exit_code == 0, "it was not killed"
    wait_until_ended(pids, limit=60)


def test_events_that_wait_at_the_end_are_refused_and_start_nothing_again(function: Function) -> None:
    faults: list[Exception] = []
    before = set(children(os.getpid()))

    def invoke(runtime: LambdaRuntime) -> None:
        try:
            runtime.invoke({"act": "sleep", "seconds": 20})
        except (ServeError, FunctionFailed) as error:
            faults.append(error)

    with lambda_runtime(function) as runtime:
        runtime.invoke({})
        threads = [threading.Thread(target=invoke, args=(runtime,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
    for thread in threads:
        thread.join(timeout=60)

    assert len(faults) == 3
    wait_until(lambda: set(children(os.getpid())) <= before, limit=60)


def test_an_exception_in_the_caller_ends_it_too(function: Function) -> None:
    pids: list[int] = []

    def interrupted() -> None:
        with lambda_runtime(function) as runtime:
            pids.extend([runtime.pid, runtime.invoke({})["pid"]])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert len(pids) == 2
    wait_until_ended(pids, limit=60)


PARENT = """
import sys, threading
from pathlib import Path
from pilotlight_cli.hostenv import group_packages
from pilotlight_cli.local.function import Function, passed_on
from pilotlight_cli.local.lambda_runtime import lambda_runtime
function = Function(Path(sys.argv[1]), (group_packages("lambda-runtime"),), passed_on({}))
with lambda_runtime(function) as runtime:
    print(runtime.pid, runtime.invoke({})["pid"], flush=True)
    runtime.invoke({"act": "sleep", "seconds": float(sys.argv[2])})
    threading.Event().wait()
"""


@pytest.mark.parametrize("busy", ["0", "1000"])
def test_the_death_of_the_parent_ends_all_even_a_busy_function(busy: str, function: Function) -> None:
    with python(PARENT, str(function.folder), busy) as parent:
        pids = read_pids(parent)
        assert len(pids) == 2
        parent.kill()
        parent.wait()

        wait_until_ended(pids, limit=60)


def test_the_death_of_the_emulator_ends_the_function_and_the_next_event_starts_both(function: Function) -> None:
    with lambda_runtime(function) as runtime:
        emulator_pid, pid = runtime.pid, runtime.invoke({})["pid"]
        os.kill(emulator_pid, signal.SIGKILL)
        wait_until_ended([emulator_pid, pid], limit=60)
        wait_until(lambda: runtime.exit_code is not None, limit=60)

        assert runtime.exit_code == -signal.SIGKILL
        assert runtime.invoke({"n": 1})["event"] == {"n": 1}
        assert runtime.exit_code is None


def test_a_function_without_its_runtime_is_an_error_with_the_last_lines(function: Function) -> None:
    bare = Function(function.folder, (), function.environ)
    with lambda_runtime(bare) as runtime, pytest.raises(FunctionFailed, match="Runtime.ExitError"):
        runtime.invoke({})
    wait_until(lambda: "No module named awslambdaric" in runtime.log.tail(), limit=60)


def test_an_emulator_without_the_right_to_run_is_copied_once(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")

    copy = executable(program, tmp_path / "build")

    assert os.access(copy, os.X_OK)
    assert copy.read_text() == program.read_text()
    assert executable(program, tmp_path / "build") == copy
    assert executable(copy, tmp_path / "other") == copy


@pytest.mark.skipif(sys.platform != "linux", reason="AWS's emulator is a Linux program")
def test_the_emulator_lies_in_the_sam_clis_wheel() -> None:
    assert emulator().name.startswith("aws-lambda-rie-")


def test_a_folder_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match="does not start"), lambda_runtime(Function(tmp_path / "none", (), {})):
        pass

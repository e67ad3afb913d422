from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.process import Child, Log, PortTaken, ServeError, free_port, listen
from processes import is_running, python, read_pids, wait_until_ended
from waiting import wait_until


def child(code: str, folder: Path, log: Log) -> Child:
    return Child([*isolated_python(), "-u", "-c", code], folder, {"PATH": os.environ["PATH"]}, log)


def test_what_a_child_writes_to_either_stream_is_read_as_it_comes(tmp_path: Path) -> None:
    log = Log()
    running = child("import sys, time; sys.stderr.write('one\\n'); print('two \\xff'); time.sleep(600)", tmp_path, log)

    wait_until(lambda: len(log.lines) == 2, limit=30)
    assert is_running(running.pid)
    running.stop(seconds=5)
    assert log.lines == ["one", "two ÿ"]


def test_a_child_that_does_not_hear_sigterm_is_killed(tmp_path: Path) -> None:
    log = Log()
    running = child(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(600)",
        tmp_path,
        log,
    )
    wait_until(lambda: log.lines == ["deaf"], limit=30)
    began = time.monotonic()
    running.stop(seconds=0.3)

    assert running.exit_code == -signal.SIGKILL
    assert time.monotonic() - began >= 0.3


def test_a_child_that_ended_by_itself_can_be_stopped(tmp_path: Path) -> None:
    running = child("raise SystemExit(3)", tmp_path, Log())
    wait_until(lambda: running.exit_code is not None, limit=60)

    running.stop(seconds=1)
    assert running.exit_code == 3


def test_a_child_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    started: list[Child] = []
    log = Log()
    code = "import time\nwhile True: print('alive'); time.sleep(0.01)"
    thread = threading.Thread(target=lambda: started.append(child(code, tmp_path, log)))
    thread.start()
    thread.join()
    _, before = log.since(0)
    wait_until(lambda: log.since(before)[1] > before + 3, limit=30)

    assert is_running(started[0].pid)
    started[0].stop(seconds=5)


PARENT = """
import sys, threading
from pathlib import Path
from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.process import Child, Log
print(Child([*isolated_python(), "-c", "import time; time.sleep(600)"], Path("/"), {}, Log()).pid, flush=True)
threading.Event().wait()
"""


def test_a_child_ends_with_its_parent_even_when_that_is_killed() -> None:
    with python(PARENT) as parent:
        pids = read_pids(parent)
        parent.kill()
        parent.wait()

        wait_until_ended(pids, limit=30)


def test_waiting_for_the_port_of_a_child_that_ends_tells_its_last_lines(tmp_path: Path, closed_port: int) -> None:
    running = child("print('what went wrong'); raise SystemExit(4)", tmp_path, Log())

    with pytest.raises(ServeError, match="(?s)exit code 4:\nwhat went wrong"):
        running.wait_for_port(closed_port, seconds=60)
    running.stop(seconds=1)


def test_waiting_for_a_port_that_never_opens_has_an_end(tmp_path: Path, closed_port: int) -> None:
    running = child("import time; time.sleep(600)", tmp_path, Log())

    with pytest.raises(ServeError, match="no port was opened within 0 seconds"):
        running.wait_for_port(closed_port, seconds=0.1)
    running.stop(seconds=5)


def test_a_port_that_another_program_has_is_named() -> None:
    with listen(0) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"port {port} of 127.0.0.1 cannot be used: Address already in use"):
            listen(port)


def test_a_free_port_can_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        assert listener.getsockname()[1]


def test_a_second_free_port_is_another_one() -> None:
    first = free_port()
    ports = range(first, first + 10)

    assert all(free_port(other_than=first, ports=ports) > first for _ in range(100))


def test_a_log_keeps_events_by_name_and_every_line() -> None:
    log = Log()
    for line in ('{"event": "a", "n": 1}', "plain", '{"event": "a", "n": 2}', "{broken", '{"other": 1}', "[1]"):
        log.add(line)

    assert [event["n"] for event in log.events("a")] == [1, 2]
    assert len(log.lines) == 6


def test_a_log_can_be_waited_on_from_another_thread() -> None:
    log = Log()
    threading.Timer(0.1, log.add, [json.dumps({"event": "late"})]).start()

    assert log.wait_for("late", 60) == {"event": "late"}
    assert log.wait_for("late", 0.01, after=1) is None


def test_a_log_gives_what_is_new_since_a_count() -> None:
    log = Log()
    for line in ("one", "two", "three"):
        log.add(line)

    assert log.since(0) == (["one", "two", "three"], 3)
    assert log.since(2) == (["three"], 3)
    assert log.since(3) == ([], 3)


def test_a_long_log_keeps_its_end() -> None:
    log = Log()
    for number in range(5000):
        log.add(str(number))

    assert log.lines[-1] == "4999"
    assert len(log.lines) == 2000
    lines, count = log.since(0)
    assert (len(lines), count) == (2000, 5000)


def test_the_tail_leaves_out_the_emulators_own_steps() -> None:
    log = Log()
    assert log.tail() == "(no output)"
    for line in ("mine", "21 Nov 2026 06:50:01,095 [INFO] (rapid) exec 'python'", "[PANIC] (rapid) listen"):
        log.add(line)

    assert log.tail() == "mine\n[PANIC] (rapid) listen"

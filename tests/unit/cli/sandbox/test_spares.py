from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from pilotlight.errors import ModelError
from pilotlight_cli.regular_files import FileState
from pilotlight_cli.sandbox import spares as module
from pilotlight_cli.sandbox.isolation import run_task
from pilotlight_cli.sandbox.job import Job, write_job
from pilotlight_cli.sandbox.limits import Limits
from pilotlight_cli.sandbox.spares import Spares
from processes import children, python, wait_until_ended
from waiting import wait_until

LIMITS = Limits(memory=300 * 10**6, seconds=60, timeout=600)

# numpy's import, which fails while the process waits: it then has no job, in whose folder it would be.
WAITS = "if not os.path.exists('inspect-job.json'):\n    raise ImportError\nopen('pid', 'w').write(str(os.getpid()))\n"


@pytest.fixture
def spares() -> Iterator[Spares]:
    found = Spares()
    yield found
    found.close()


def asked(folder: Path, code: str) -> tuple[dict[str, Any], Path]:
    """Return a job in a folder, and packages in which numpy is this code."""
    packages = folder / "packages"
    packages.mkdir()
    (packages / "numpy.py").write_text(f"import os, time\n{WAITS}{code}\n")
    return write_job(Job(folder / "a.pkl", "pickle", frozenset(), folder)), packages


def failure(folder: Path, asked: tuple[dict[str, Any], Path], spares: Spares, limits: Limits = LIMITS) -> str:
    with pytest.raises(ModelError) as caught:
        run_task("inspect", *asked, folder, "a.pkl", limits=limits, waiting=spares)
    return str(caught.value)


def filled(spares: Spares, packages: Path) -> psutil.Process:
    """Return the process that waits for the next task with these packages."""
    assert spares.take("inspect", "pickle", packages, ()) is None
    spares.fill()
    (child,) = spares._children.values()
    return psutil.Process(child.process.pid)


@pytest.mark.parametrize(
    ("code", "limits", "why"),
    [
        ("bytearray(2**40)", LIMITS, "takes more than the limit of 300 MB of memory"),
        ("while True: pass", replace(LIMITS, seconds=2), "takes more than the limit of 2 seconds of processor time"),
        ("time.sleep(600)", replace(LIMITS, timeout=5), "was ended after 5 seconds without a result"),
        ("held = b'x' * 400_000_000; time.sleep(600)", replace(LIMITS, polled=True), "limit of 300 MB of memory"),
        ("raise SystemExit(3)", LIMITS, "the process that inspected a.pkl ended with exit code 3"),
        ("print('last words', flush=True); os.abort()", LIMITS, r"signal 6; its output:\nlast words$"),
    ],
)  # fmt: skip
def test_the_limits_hold_for_a_process_that_has_waited(
    code: str, limits: Limits, why: str, tmp_path: Path, spares: Spares
) -> None:
    job = asked(tmp_path, code)
    waiting = filled(spares, job[1])

    assert re.search(why, failure(tmp_path, job, spares, limits))
    assert (tmp_path / "pid").read_text() == str(waiting.pid)
    assert not waiting.is_running()
    assert not spares._children


def test_a_process_serves_one_task_alone(tmp_path: Path, spares: Spares) -> None:
    job = asked(tmp_path, "raise SystemExit(3)")
    pids = []
    for _ in range(3):
        failure(tmp_path, job, spares)
        pids.append((tmp_path / "pid").read_text())
        spares.fill()
    assert len(set(pids)) == 3


def test_a_process_that_has_died_is_replaced(tmp_path: Path, spares: Spares) -> None:
    job = asked(tmp_path, "raise SystemExit(3)")
    waiting = filled(spares, job[1])
    waiting.kill()
    wait_until(lambda: waiting.status() == psutil.STATUS_ZOMBIE, limit=60)

    assert "exit code 3" in failure(tmp_path, job, spares)
    assert (tmp_path / "pid").read_text() != str(waiting.pid)


def test_a_process_of_older_sources_is_ended(tmp_path: Path, spares: Spares, monkeypatch: pytest.MonkeyPatch) -> None:
    job = asked(tmp_path, "raise SystemExit(3)")
    waiting = filled(spares, job[1])
    changed: Mapping[Path, FileState] = {tmp_path: (1, 2, 3)}
    monkeypatch.setattr(module, "_sources", lambda: changed)

    assert "exit code 3" in failure(tmp_path, job, spares)
    assert (tmp_path / "pid").read_text() != str(waiting.pid)
    assert not waiting.is_running()


def test_a_process_that_waits_has_no_credentials(
    tmp_path: Path, spares: Spares, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    waiting = filled(spares, asked(tmp_path, "")[1])
    wait_until(lambda: "wait" in waiting.cmdline() and "tether" not in str(waiting.cmdline()), limit=60)
    assert "AWS_SECRET_ACCESS_KEY" not in waiting.environ()
    assert "AWS_SECRET_ACCESS_KEY" in os.environ


PARENT = """
import signal, sys, time
from pathlib import Path
from pilotlight_cli.sandbox.spares import Spares
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background lacks
spares = Spares()
spares.take("inspect", "pickle", Path(sys.argv[1]), ())
spares.fill()
print("started", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_waits_ends_with_the_command(ending: signal.Signals, tmp_path: Path) -> None:
    with python(PARENT, str(tmp_path)) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        pids = children(parent.pid)
        parent.send_signal(ending)

        assert pids
        wait_until_ended(pids, limit=120)

from __future__ import annotations

import json
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pilotlight.errors import ModelError
from pilotlight_cli.sandbox import isolation
from pilotlight_cli.sandbox.child.exhaustion import is_exhaustion
from pilotlight_cli.sandbox.isolation import run_task
from pilotlight_cli.sandbox.job import Job, write_job
from pilotlight_cli.sandbox.limits import Limits
from processes import children, python, wait_until_ended
from waiting import wait_until

LIMITS = Limits(memory=300 * 10**6, seconds=60, timeout=600)


def library(folder: Path, code: str) -> Path:
    """Return packages in which numpy, which the process imports first, is this code."""
    packages = folder / "packages"
    packages.mkdir()
    (packages / "numpy.py").write_text(f"import os, signal, subprocess, sys, time\n{code}\n")
    return packages


def job(folder: Path) -> dict[str, Any]:
    """Return the inspection of a file that does not exist: numpy is imported first."""
    return write_job(Job(folder / "a.pkl", "pickle", frozenset(), folder))


def failure(folder: Path, code: str, limits: Limits = LIMITS) -> str:
    with pytest.raises(ModelError) as caught:
        run_task("inspect", job(folder), library(folder, code), folder, "a.pkl", limits=limits)
    return str(caught.value)


def test_a_cycle_of_causes_ends() -> None:
    first, second = ValueError("one"), ValueError("other")
    first.__context__, second.__context__ = second, first

    assert not is_exhaustion(first)
    second.__cause__ = MemoryError()
    assert is_exhaustion(first)


MEMORY = "inspecting a.pkl takes more than the limit of 300 MB of memory; .* raise the limit with --max-memory MB"
TIME = "inspecting a.pkl takes more than the limit of 2 seconds of processor time; .* raise the limit with --max-sec"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("set(range(2**40))", MEMORY),
        ("bytearray(2**40)", MEMORY),
        ("try:\n    bytearray(2**40)\nexcept MemoryError as error:\n    raise ValueError('no') from error", MEMORY),
        ("raise RuntimeError('[ONNXRuntimeError] : 6 : std::bad_alloc')", MEMORY),
        ("sys.stderr.write(\"what():  std::bad_alloc\\n\"); os.abort()", MEMORY),
        ("raise SystemExit(3)", "the process that inspected a.pkl ended with exit code 3"),
        ("sys.stderr.write('x' * 10**7 + '\\nlast words\\n'); os.abort()", r"signal 6; its output:\nx+\nlast words$"),
        ("sys.stdin.read(); raise KeyError('no input')", "KeyError: 'no input'"),
        ("def deep(): deep()\ndeep()", "nested too deeply or contains itself"),
        ("open('/nowhere/model')", "/nowhere/model cannot be read: No such file or directory"),
    ],
)  # fmt: skip
def test_a_process_that_reaches_a_limit_or_dies_is_a_sentence(code: str, why: str, tmp_path: Path) -> None:
    assert re.search(why, failure(tmp_path, code))


@pytest.mark.parametrize("code", ["while True: pass", "sum(range(2**60))"])
def test_a_process_that_computes_for_ever_is_ended(code: str, tmp_path: Path) -> None:
    assert re.search(TIME, failure(tmp_path, code, replace(LIMITS, seconds=2)))


def test_a_process_that_waits_for_ever_is_ended_by_the_clock(tmp_path: Path) -> None:
    said = failure(tmp_path, "time.sleep(600)", replace(LIMITS, timeout=1))
    assert "was ended after 1 seconds without a result" in said


def test_memory_that_the_kernel_does_not_count_is_looked_at(tmp_path: Path) -> None:
    said = failure(tmp_path, "held = b'x' * 400_000_000; time.sleep(600)", replace(LIMITS, polled=True))
    assert "inspecting a.pkl takes more than the limit of 300 MB of memory" in said


def test_memory_that_is_only_reserved_or_mapped_does_not_count(tmp_path: Path) -> None:
    code = (
        "import mmap\n"
        "reserved = mmap.mmap(-1, 2**30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ)\n"
        "file = open('weights', 'wb+'); file.truncate(2**30)\n"
        "mapped = mmap.mmap(file.fileno(), 2**30, prot=mmap.PROT_READ)\n"
        "raise SystemExit(3)"
    )
    assert "ended with exit code 3" in failure(tmp_path, code)


def test_nothing_that_the_process_started_outlives_it(tmp_path: Path) -> None:
    code = (
        "other = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(other.pid))\nwhile True: pass"
    )
    failure(tmp_path, code, replace(LIMITS, seconds=2))
    wait_until_ended([int((tmp_path / "pid").read_text())], limit=60)


PARENT = """
import json, signal, sys
from pathlib import Path
from pilotlight_cli.sandbox.child.exhaustion import is_exhaustion
from pilotlight_cli.sandbox.isolation import run_task
from pilotlight_cli.sandbox.limits import Limits
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background lacks
folder = Path(sys.argv[1])
run_task("inspect", json.loads(sys.argv[2]), folder / "packages", folder, "a.pkl", limits=Limits(10**9, 600, 600))
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_process_ends_with_the_command(ending: signal.Signals, tmp_path: Path) -> None:
    library(tmp_path, "open('started', 'w').close(); time.sleep(600)")
    with python(PARENT, str(tmp_path), json.dumps(job(tmp_path))) as parent:
        wait_until((tmp_path / "started").exists, limit=120)
        pids = children(parent.pid)
        parent.send_signal(ending)

        assert pids
        wait_until_ended(pids, limit=120)


def test_the_process_gets_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/secret")
    environment = isolation._environment(Path("/code"), Path("/packages"))
    assert set(environment) <= {*isolation._ENVIRONMENT, *isolation._ONE_THREAD, "PYTHONPATH"}
    assert environment["PYTHONPATH"].startswith("/packages:")

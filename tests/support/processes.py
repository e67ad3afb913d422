"""Processes that tests start: throw-away functions, and checks that nothing of them is left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from pilotlight_cli.assets import FUNCTIONS
from waiting import wait_until

if TYPE_CHECKING:
    from pilotlight_cli.local.function import Function


def lambda_function(folder: Path, code: str, environ: Mapping[str, str] = os.environ) -> Function:
    """Write a Lambda function of one file, handler.py."""
    from pilotlight_cli.hostenv import group_packages
    from pilotlight_cli.local.function import Function, passed_on

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "handler.py").write_text(code)
    return Function(folder, (group_packages("lambda-runtime"),), passed_on(environ))


def cloud_function(folder: Path, code: str, environ: Mapping[str, str] = os.environ) -> Function:
    """Write a Cloud Function of one file, main.py."""
    from pilotlight_cli.hostenv import host_packages
    from pilotlight_cli.local.function import Function, passed_on

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.py").write_text(code)
    return Function(folder, (host_packages(FUNCTIONS / "gcp/predict/requirements.lock"),), passed_on(environ))


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that has ended and is not reaped yet does not."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def children(pid: int) -> list[int]:
    """Return the processes that a process started and that are running."""
    return _running(psutil.Process(pid).children())


def descendants(pid: int) -> list[int]:
    """Return the processes that a process started, and those that they started."""
    return _running(psutil.Process(pid).children(recursive=True))


def _running(processes: list[psutil.Process]) -> list[int]:
    return [process.pid for process in processes if is_running(process.pid)]


def wait_until_ended(pids: list[int], limit: float) -> None:
    """Return once none of the processes runs. Fail after `limit` seconds."""
    wait_until(lambda: not any(map(is_running, pids)), limit)


@contextmanager
def python(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run code in a process of its own, which is ended on the way out."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                process.kill()


def read_pids(process: subprocess.Popen[str]) -> list[int]:
    """Return the process ids in the first line that a process prints."""
    assert process.stdout is not None
    return list(map(int, process.stdout.readline().split()))


def resident(pids: list[int]) -> int:
    """Return the bytes of memory that processes hold."""
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")

"""A share of the processors, as a platform gives it to a small function: a control group with a quota.

A period of 20 ms, since a function that needs a tenth of a second should meet its limit several times.
https://docs.kernel.org/scheduler/sched-bwc.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

PERIOD = 20_000  # microseconds

_GROUPS = Path("/sys/fs/cgroup")
_PATIENCE = 5.0  # seconds until the last process of a group has gone


class QuotaError(Exception):
    """This machine allows no quota; the message says what was tried."""


@contextmanager
def limited(cpus: float | None, groups: Path = _GROUPS) -> Iterator[Callable[[int], None]]:
    """Yield a group whose processes get so many processors together; what it gives takes a process in, by its id.

    What such a process starts belongs to the group too. None is no limit. Raises QuotaError.
    """
    if cpus is None:
        yield lambda _: None
        return
    folder = _make(groups)
    try:
        _set(folder, cpus)
        yield lambda pid: _write(folder / "cgroup.procs", str(pid))
    finally:
        _remove(folder)


def refusal(groups: Path = _GROUPS) -> str:
    """Why there is no quota on this machine, or "" where there is."""
    try:
        with limited(1, groups):
            return ""
    except QuotaError as error:
        return str(error)


def _make(groups: Path) -> Path:
    """Return a new group of the old hierarchy for processors where there is one, or of the unified one."""
    parent = groups / "cpu" if (groups / "cpu").is_dir() else groups
    if parent == groups:
        _write(parent / "cgroup.subtree_control", "+cpu")
    folder = parent / f"pilotlight-bench-{token_hex(4)}"
    try:
        folder.mkdir()
    except OSError as error:
        raise QuotaError(f"{folder}: {error.strerror}; a quota needs root and a writable {groups}") from error
    return folder


def _set(folder: Path, cpus: float) -> None:
    quota = round(cpus * PERIOD)
    if (folder / "cpu.max").exists():
        _write(folder / "cpu.max", f"{quota} {PERIOD}")
    else:
        _write(folder / "cpu.cfs_period_us", str(PERIOD))
        _write(folder / "cpu.cfs_quota_us", str(quota))


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text)
    except OSError as error:
        raise QuotaError(f"{file}: {error.strerror}; a quota needs root and the controller for processors") from error


def _remove(folder: Path) -> None:
    """Remove the group once its processes are gone, which the kernel notices a moment after their end."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return

"""The processors and the memory that the kernel gives this process.

A container sees all of its host; its limits are in its control groups:
https://docs.kernel.org/admin-guide/cgroup-v2.html and, in its older form,
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pilotlight.start.machine import UNBOUNDED, Machine, visible_processors


def here(root: Path = Path("/"), *, disk_is_memory: bool = False) -> Machine:
    """Return this machine. A limit that cannot be read counts as none."""
    quotas = [quota for folder in _groups(root, "cpu") if (quota := _quota(folder)) is not None]
    limits = [limit for folder in _groups(root, "memory") if (limit := _limit(folder)) is not None]
    memory, free = min([_host_memory(root), *limits], key=lambda limit: limit[1])
    return Machine(max(1, min([visible_processors(), *quotas])), memory, free, disk_is_memory)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the control groups of this process, from the outermost to its own: each may set a limit."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        folder = root / "sys/fs/cgroup" / (controller if controllers else "")
        yield folder
        for part in path.strip("/").split("/"):
            folder /= part
            yield folder


def _quota(group: Path) -> int | None:
    """Return the whole processors in a group's processor time."""
    words = "".join(_lines(group / "cpu.max")).split() or [
        "".join(_lines(group / name)) for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    ]
    quota, period = map(_number, words)
    return None if quota is None or not period else quota // period


def _limit(group: Path) -> tuple[int, int] | None:
    """Return a group's memory limit and the free part of it; cached files count as free."""
    limit = _first_number(group, "memory.max", "memory.limit_in_bytes")
    used = _first_number(group, "memory.current", "memory.usage_in_bytes")
    if limit is None or used is None:
        return None
    fields = dict(line.split(maxsplit=1) for line in _lines(group / "memory.stat"))
    for kind in ("inactive_file", "active_file"):
        used -= int(
            fields.get(f"total_{kind}", fields.get(kind, 0))
        )  # in the older form a group's own fields exclude its children
    return limit, limit - used


def _first_number(group: Path, *names: str) -> int | None:
    return next((number for name in names if (number := _number("".join(_lines(group / name)))) is not None), None)


def _host_memory(root: Path) -> tuple[int, int]:
    fields = dict(line.split(":", 1) for line in _lines(root / "proc/meminfo"))
    values = [fields.get(name, "").removesuffix("kB").strip() for name in ("MemTotal", "MemAvailable")]
    if not all(text.isdecimal() for text in values):
        return UNBOUNDED, UNBOUNDED
    total, available = (int(text) * 1024 for text in values)
    return total, available


def _number(text: str) -> int | None:
    """Return the number in a group's file; "max", -1 and a missing file are no limit."""
    return int(text) if text.isdecimal() else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except (OSError, ValueError):
        return []

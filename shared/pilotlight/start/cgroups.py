"""What the machine has for this process, as its kernel tells it.

A container sees all of its host; what it may use stands in its control groups:
https://docs.kernel.org/admin-guide/cgroup-v2.html and, in its older form,
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pilotlight.start.machine import UNBOUNDED, Machine, visible_processors


def here(root: Path = Path("/"), *, disk_is_memory: bool = False) -> Machine:
    """This machine. A limit that cannot be read counts as none."""
    quotas = [quota for folder in _groups(root, "cpu") if (quota := _quota(folder)) is not None]
    limits = [limit for folder in _groups(root, "memory") if (limit := _limit(folder)) is not None]
    memory, free = min([_whole_memory(root), *limits], key=lambda limit: limit[1])
    return Machine(max(1, min([visible_processors(), *quotas])), memory, free, disk_is_memory)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The control groups that this process is in, from the outermost to its own: each may set a limit."""
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
    """The whole processors that a group's time comes to, rounded down."""
    words = "".join(_lines(group / "cpu.max")).split() or [
        "".join(_lines(group / name)) for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    ]
    quota, period = map(_number, words)
    return None if quota is None or not period else quota // period


def _limit(group: Path) -> tuple[int, int] | None:
    """A group's memory and what is left of it: what it holds of files can be dropped at any time."""
    limit = _first(group, "memory.max", "memory.limit_in_bytes")
    used = _first(group, "memory.current", "memory.usage_in_bytes")
    if limit is None or used is None:
        return None
    fields = dict(line.split(maxsplit=1) for line in _lines(group / "memory.stat"))
    for kind in ("inactive_file", "active_file"):
        used -= int(fields.get(f"total_{kind}", fields.get(kind, 0)))  # the older form counts its children apart
    return limit, limit - used


def _first(group: Path, *names: str) -> int | None:
    return next((found for name in names if (found := _number("".join(_lines(group / name)))) is not None), None)


def _whole_memory(root: Path) -> tuple[int, int]:
    fields = dict(line.split(":", 1) for line in _lines(root / "proc/meminfo"))
    found = [fields.get(name, "").removesuffix("kB").strip() for name in ("MemTotal", "MemAvailable")]
    if not all(text.isdecimal() for text in found):
        return UNBOUNDED, UNBOUNDED
    total, available = (int(text) * 1024 for text in found)
    return total, available


def _number(text: str) -> int | None:
    """A number in a file of a group; "max", -1 and a file that is not there are no limit."""
    return int(text) if text.isdecimal() else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except (OSError, ValueError):
        return []

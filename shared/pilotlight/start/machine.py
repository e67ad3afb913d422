"""The machine that a function runs on, and whether a model fits into its memory.

A start that cannot succeed ends with a message, not by the kernel's out-of-memory killer. The check compares lower
bounds, so that it never refuses a model that would fit: what the files take, and most of the peak that `publish`
measured. Measured with ONNX Runtime 1.31: a dense network, a ResNet-18 and a transformer of 34 to 209 MB take 1.2 to
3.4 times their file while they are loaded, and once or more after that; a forest takes 12 times. Weights in files of
their own are mapped, which is memory that the kernel can reclaim. A pickle's bytes stay until they are parsed into
something larger: a forest takes 3 times.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from pilotlight.errors import ModelError
from pilotlight.frozen import dataclass, replace
from pilotlight.model.formats import FORMATS
from pilotlight.model.lock import Description

# The value of a limit that is not set.
UNBOUNDED = sys.maxsize

_MB = 1 << 20  # as the clouds count

# What a start takes at least, of the measured peak: a sixth of it may be pages of libraries, which the kernel can drop,
# and another machine's allocator and number of threads move it by a few per cent.
_LEAST_OF_PEAK = 0.8


@dataclass(frozen=True, slots=True)
class Machine:
    """`processors` is at least 1. `memory` is the limit of this process and `free` the rest of it, in bytes.

    `disk_is_memory`: files in the temporary folder use memory too. `processes` load the model at once, each for itself;
    they share the memory and the temporary folder, and `processors` is one's part.
    """

    processors: int = 1
    memory: int = UNBOUNDED
    free: int = UNBOUNDED
    disk_is_memory: bool = False
    processes: int = 1


def visible_processors() -> int:
    """Return how many processors this process can be scheduled on; a quota may give it less time than that."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def here(root: Path = Path("/"), *, disk_is_memory: bool = False) -> Machine:
    """Return the machine that the kernel gives this process. A limit that cannot be read counts as none.

    A container sees all of its host; its limits are in its control groups:
    https://docs.kernel.org/admin-guide/cgroup-v2.html and, in its older form,
    https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
    """
    quotas = [quota for folder in _groups(root, "cpu") if (quota := _quota(folder)) is not None]
    limits = [limit for folder in _groups(root, "memory") if (limit := _limit(folder)) is not None]
    memory, free = min([_host_memory(root), *limits], key=lambda limit: limit[1])
    return Machine(max(1, min([visible_processors(), *quotas])), memory, free, disk_is_memory)


def check_memory(model: Description, machine: Machine, folder: Path) -> None:
    """Raise ModelError if the free memory is too small to load the model. `folder` is where its files are, or go."""
    first = model.files[0]
    format_ = FORMATS[model.format]
    copies = 1 if format_.is_mapped else machine.processes
    needed, least = first.size * format_.memory * copies, least_memory(model)
    where = f" in {copies} processes" if copies > 1 else ""
    parts = [f"{_megabytes(needed)} to load {first.name}{where} ({format_.memory_reason})"]
    if machine.disk_is_memory:
        missing = sum(file.size for file in model.files if not (folder / file.name).is_file())
        parts.append(f"{_megabytes(missing)} for the files, since {folder} is in memory")
        needed += missing
        least += missing
    if model.needs and least > machine.memory:
        raise ModelError(
            f"the model does not fit into memory: it took {model.needs.memory_mb} MB when it was published, and here "
            f"are {_megabytes(machine.memory)}; give the function more memory, at least {_megabytes(least)}"
        )
    if needed > machine.free:
        raise ModelError(
            f"the model does not fit into memory: it needs at least {' and '.join(parts)}, and of "
            f"{_megabytes(machine.memory)} only {_megabytes(machine.free)} are free; give the function more memory"
        )


def least_memory(model: Description) -> int:
    """Return how many bytes a start takes at least, by the publisher's measurement; 0 without one.

    Weights in files of their own are mapped, which is memory that the kernel can reclaim.
    """
    if model.needs is None:
        return 0
    return int(model.needs.memory_mb * _MB * _LEAST_OF_PEAK) - sum(file.size for file in model.files[1:])


def less(machine: Machine, model: Description) -> Machine:
    """Return the machine without what a loaded model takes at least."""
    size = model.files[0].size * FORMATS[model.format].memory
    files = sum(file.size for file in model.files) if machine.disk_is_memory else 0
    return replace(machine, free=max(0, machine.free - size - files))


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
        # In the older form a group's own fields exclude its children.
        used -= int(fields.get(f"total_{kind}", fields.get(kind, 0)))
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


def _megabytes(size: int) -> str:
    return f"{size / _MB:.1f} MB" if size < 10 * _MB else f"{size / _MB:.0f} MB"

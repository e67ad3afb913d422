"""The machine that a function runs on, and whether a model fits into its memory.

A start that cannot succeed ends with a message, not by the kernel's out-of-memory killer. The check compares a lower
bound, so that it never refuses a model that would fit. Measured with ONNX Runtime 1.31: a dense
network, a ResNet-18 and a transformer of 34 to 209 MB take 1.2 to 3.4 times their file while they are loaded, and once
or more after that; a forest takes 12 times. Weights in files of their own are mapped, which is memory that the kernel
can reclaim. A pickle's bytes stay until they are parsed into something larger: a forest takes 3 times.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pilotlight.errors import ModelError
from pilotlight.frozen import dataclass
from pilotlight.model.formats import FORMATS
from pilotlight.model.lock import Description

# The value of a limit that is not set.
UNBOUNDED = sys.maxsize

_MB = 1 << 20  # as the clouds count


@dataclass(frozen=True, slots=True)
class Machine:
    """`processors` is at least 1. `memory` is the limit of this process and `free` the rest of it, in bytes.

    `disk_is_memory`: files in the temporary folder use memory too.
    """

    processors: int = 1
    memory: int = UNBOUNDED
    free: int = UNBOUNDED
    disk_is_memory: bool = False


def visible_processors() -> int:
    """Return how many processors this process can be scheduled on; a quota may give it less time than that."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_memory(model: Description, machine: Machine, folder: Path) -> None:
    """Raise ModelError if the free memory is too small to load the model. `folder` is where its files are, or go."""
    first = model.files[0]
    format_ = FORMATS[model.format]
    needed = first.size * format_.memory
    parts = [f"{_megabytes(needed)} to load {first.name} ({format_.memory_reason})"]
    if machine.disk_is_memory:
        missing = sum(file.size for file in model.files if not (folder / file.name).is_file())
        parts.append(f"{_megabytes(missing)} for the files, since {folder} is in memory")
        needed += missing
    if needed > machine.free:
        raise ModelError(
            f"the model does not fit into memory: it needs at least {' and '.join(parts)}, and of "
            f"{_megabytes(machine.memory)} only {_megabytes(machine.free)} are free; give the function more memory"
        )


def _megabytes(size: int) -> str:
    return f"{size / _MB:.1f} MB" if size < 10 * _MB else f"{size / _MB:.0f} MB"

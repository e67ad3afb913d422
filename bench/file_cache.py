"""Files as they are on a machine that has never run the function: on the disk, and not in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_DROP = Path("/proc/sys/vm/drop_caches")


def drop(folders: Iterable[Path], switch: Path = _DROP) -> None:
    """Have what lies in these folders read from the disk again.

    Root empties the whole cache; others ask for each file, which the kernel heeds for pages that no process has mapped.
    """
    os.sync()  # what is not yet written stays in memory
    try:
        switch.write_text("3")
    except OSError:
        for folder in folders:
            for path in folder.rglob("*"):
                _drop_file(path)


def how(switch: Path = _DROP) -> str:
    """Return what `drop` does here, for the report."""
    return "the whole cache, by the kernel" if os.access(switch, os.W_OK) else "the files of each, by posix_fadvise"


def _drop_file(path: Path) -> None:
    if not path.is_file():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)

"""Files that the user names: regular ones alone, since opening a pipe or a device may wait for ever."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeAlias

from pilotlight_cli.sandbox.job import UsageError

# Signatures and golden samples: what is written about a model is smaller.
LARGEST: Final = 64 * 10**6

# Size in bytes, time of the last change in nanoseconds, inode.
FileState: TypeAlias = tuple[int, int, int]

_KINDS: Final = {
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def check_regular(path: Path) -> os.stat_result:
    """What the system tells of a file. Raises UsageError where it is not a regular one, or none at all."""
    try:
        status = path.stat()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; expected a file") from None
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise UsageError(f"{path} is {kind}, expected a file")
    return status


def file_state(path: Path) -> FileState:
    """Return what changes with a file's content. Raises UsageError where it is not a regular file."""
    status = check_regular(path)
    return status.st_size, status.st_mtime_ns, status.st_ino


def file_states(paths: Iterable[Path]) -> dict[Path, FileState]:
    """Return the state of each file. Raises UsageError where one is not a regular file."""
    return {path: file_state(path) for path in paths}


def read(path: Path) -> bytes:
    """The content of a file of ordinary size. Raises UsageError."""
    check_regular(path)
    try:
        # Not to wait, should a pipe have come to its place meanwhile.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > LARGEST:
        raise UsageError(f"{path} has more than {LARGEST // 10**6} MB, the most that is read of such a file")
    return content

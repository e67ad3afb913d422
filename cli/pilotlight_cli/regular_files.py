"""Files named by the user: regular ones only, since opening a pipe or a device may block."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeAlias

from pilotlight_cli.sandbox.job import UsageError

# Signatures and golden samples are smaller.
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
    """Return a regular file's status. Raises UsageError if there is no such file, or it is of another kind."""
    try:
        status = path.stat()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; expected a file") from None
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "not a regular file")
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
    """Read a file of at most `LARGEST` bytes. Raises UsageError."""
    check_regular(path)
    try:
        # Must not block, in case a pipe has replaced the file since.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > LARGEST:
        raise UsageError(f"{path} has more than {LARGEST // 10**6} MB, the limit for such a file")
    return content

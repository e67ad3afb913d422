"""Files and folders that get their name when complete; removes the leftovers of killed writers."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_TEMPORARY = re.compile(r"\..*\.part")
_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{16}\.part")


def is_temporary(name: str) -> bool:
    """Return whether the name is that of an incomplete file."""
    return _TEMPORARY.fullmatch(name) is not None


@contextmanager
def arriving(
    file: Path, place: Callable[[Path, Path], object] = os.replace, folder: Path | None = None
) -> Iterator[BinaryIO]:
    """Yield a temporary file to write to, which `place` renames to `file` at the end, unless the body raises.

    It is in `folder`, which must be on the same disk, or beside `file`, under a unique name, so that `place` is atomic.
    Its writer holds a lock on it: an unlocked one is the leftover of a killed writer and is removed.
    """
    folder = folder or file.parent
    _remove_leftovers(folder)
    temporary, descriptor = _make_locked(folder, file.name, _make_file)
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield out
            out.flush()
            place(temporary, file)
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def working_folder(result: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `result`, removed at the end, as are those of killed processes."""
    folder = result.absolute().parent
    _remove_leftovers(folder)
    work, descriptor = _make_locked(folder, result.name, _make_folder)
    try:
        yield work
    finally:
        os.close(descriptor)
        shutil.rmtree(work, ignore_errors=True)


def _make_locked(folder: Path, name: str, make: Callable[[Path], int]) -> tuple[Path, int]:
    """Make a temporary file or folder; return it with its descriptor, which holds the lock. Raise OSError."""
    while True:
        temporary = folder / f".{name}.{secrets.token_hex(8)}.part"
        try:
            descriptor = make(temporary)
        except OSError as error:
            raise OSError(error.errno, f"nothing can be written here: {error.strerror}", str(folder)) from None
        with suppress(OSError):  # a file system without locks; leftovers stay there
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)  # another writer removed it as a leftover before it was locked


def _make_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)


def _make_folder(path: Path) -> int:
    path.mkdir(0o700)
    return os.open(path, os.O_RDONLY)


def _remove_leftovers(folder: Path) -> None:
    with suppress(OSError):  # the folder cannot be listed
        for path in [path for path in folder.iterdir() if _LEFTOVER.fullmatch(path.name)]:
            with suppress(OSError):  # in use, another user's, or gone
                _remove_unlocked(path)


def _remove_unlocked(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    finally:
        os.close(descriptor)

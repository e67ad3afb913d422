"""Files that get their name only when they are complete, and what killed writers left of such."""

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
_OURS = re.compile(r"\..+\.[0-9a-f]{16}\.part")


def is_temporary(name: str) -> bool:
    """Whether a file of that name is one that somebody still writes, or wrote when he was killed."""
    return _TEMPORARY.fullmatch(name) is not None


@contextmanager
def arriving(
    file: Path, place: Callable[[Path, Path], object] = os.replace, folder: Path | None = None
) -> Iterator[BinaryIO]:
    """A file to write to that `place` gives its name at the end; if the body raises, `file` is as it was.

    Until then it is in `folder`, which is on the same disk, or else beside `file`, under a name that no other writer
    uses, so that `place` is atomic. Its writer holds a lock on it: what nobody holds there is of a writer that was
    killed, and goes.
    """
    folder = folder or file.parent
    _remove_leftovers(folder)
    temporary, descriptor = _begin(folder, file.name, _make_file)
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
    """A folder beside `result` to work in, which is gone at the end; so are those of killed processes."""
    folder = result.absolute().parent
    _remove_leftovers(folder)
    work, held = _begin(folder, result.name, _make_folder)
    try:
        yield work
    finally:
        os.close(held)
        shutil.rmtree(work, ignore_errors=True)


def _begin(folder: Path, name: str, make: Callable[[Path], int]) -> tuple[Path, int]:
    """A new file or folder, and its descriptor, which holds the lock."""
    while True:
        temporary = folder / f".{name}.{secrets.token_hex(8)}.part"
        descriptor = make(temporary)
        with suppress(OSError):  # a file system without locks, where no leftover is removed either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)  # before it had its lock another writer took it for a leftover


def _make_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)


def _make_folder(path: Path) -> int:
    path.mkdir(0o700)
    return os.open(path, os.O_RDONLY)


def _remove_leftovers(folder: Path) -> None:
    with suppress(OSError):  # a folder that cannot be listed
        for path in [path for path in folder.iterdir() if _OURS.fullmatch(path.name)]:
            with suppress(OSError):  # somebody is at work on it, it is another user's, or it is gone meanwhile
                _remove_unlocked(path)


def _remove_unlocked(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    finally:
        os.close(descriptor)

"""Fetching pinned files: a store gives bytes, this module decides whether they are the right ones."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

from pilotlight.description import Description, File
from pilotlight.errors import DigestMismatch, ObjectRefused

_CHUNK = 1 << 20


class Sink(Protocol):
    """Where a store writes an object's bytes."""

    def write(self, chunk: bytes, /) -> object:
        """Take the next bytes."""
        ...


class ObjectStore(Protocol):
    """A model store as a cold start sees it."""

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """Write the whole object to `sink`; `key` is relative to the store's prefix, `timeout` is in seconds.

        Raises StoreUnavailable for what may pass and ObjectRefused for a 403 or a 404. The bytes need not be right.
        """
        ...


class FolderStore:
    """A model store in a folder, `file:///dir`: for local work, and for images that carry their model."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:  # noqa: ARG002 - a disk does not stall
        """See `ObjectStore.fetch`."""
        try:
            file = (self._folder / key).open("rb")
        except OSError as error:
            raise ObjectRefused(f"{self._folder / key} cannot be read: {error.strerror}") from error
        with file:
            while chunk := file.read(_CHUNK):
                sink.write(chunk)


class _Checked:
    """Hashes what passes on its way to a file, and stops what is longer than the lock says."""

    def __init__(self, out: BinaryIO, file: File) -> None:
        self._out = out
        self._file = file
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, chunk: bytes, /) -> None:
        self._size += len(chunk)
        if self._size > self._file.size:
            raise DigestMismatch(f"{self._file.name}: expected {self._file.size} bytes, the store sends more")
        self._hash.update(chunk)
        self._out.write(chunk)

    def check(self) -> None:
        if self._size != self._file.size:
            raise DigestMismatch(f"{self._file.name}: expected {self._file.size} bytes, found {self._size}")
        found = self._hash.hexdigest()
        if found != self._file.sha256:
            raise DigestMismatch(
                f"{self._file.name}: expected SHA-256 {self._file.sha256}, found {found}; it is not the model that "
                "model.lock pins"
            )


def fetch_model(
    store: ObjectStore,
    model: Description,
    folder: Path,
    time_left: Callable[[], float],
    fetched: Callable[[int], None],
) -> None:
    """Bring every file of the model to `folder`, verified. `fetched` is told the size of each that came.

    A file that is there already counts only if its digest is right. A download has a temporary name until its digest
    was checked, so that a crash leaves nothing that could be taken for a model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    for file in model.files:
        if not _is_there(folder / file.name, file):
            _fetch_file(store, model.key(file.name), folder, file, time_left())
            fetched(file.size)


def _remove_leftovers(folder: Path) -> None:
    """Downloads that a killed process left: Lambda keeps /tmp over a crash, and it is small."""
    for part in folder.glob(".*.part"):
        owner = int(part.name.split(".")[-3])
        if owner == os.getpid() or not _is_running(owner):
            part.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _is_there(path: Path, file: File) -> bool:
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256


def _fetch_file(store: ObjectStore, key: str, folder: Path, file: File, timeout: float) -> None:
    temporary = folder / f".{file.name}.{os.getpid()}.{os.urandom(4).hex()}.part"
    try:
        with temporary.open("xb") as out:
            checked = _Checked(out, file)
            store.fetch(key, checked, timeout)
        checked.check()
        temporary.replace(folder / file.name)
    finally:
        temporary.unlink(missing_ok=True)

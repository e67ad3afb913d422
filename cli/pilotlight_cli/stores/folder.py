"""A model store in a folder on this machine: `file:///folder`. The first `create` makes the folder."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from pilotlight.errors import ObjectRefused, StoreError
from pilotlight.model.lock import NAME
from pilotlight_cli.stores import AlreadyExists, Progress, StoreUrlError, check_key, check_size
from pilotlight_cli.stores.arrivals import arriving, is_temporary

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class FolderStore:
    """See `pilotlight_cli.stores.Store`."""

    url: str
    folder: Path

    def read(self, key: str) -> bytes:
        """See `Store.read`."""
        with self._open(key) as source:
            check_size(f"{self.url}/{key}", os.fstat(source.fileno()).st_size)
            return source.read()

    def download(self, key: str, file: Path, progress: Progress) -> None:
        """See `Store.download`."""
        with self._open(key) as source, arriving(file) as out:
            for chunk in _chunks(source, progress):
                out.write(chunk)

    def create(self, key: str, content: bytes) -> None:
        """See `Store.create`."""
        self._create(key, [content])

    def create_from(self, key: str, file: Path, progress: Progress) -> None:
        """See `Store.create_from`."""
        with file.open("rb") as source:
            self._create(key, _chunks(source, progress))

    def replace(self, key: str, content: bytes) -> None:
        """See `Store.replace`."""
        self._write(key, [content], os.replace)

    def keys(self, prefix: str) -> Iterator[str]:
        """See `Store.keys`. A missing folder has no keys."""
        start = self._path(prefix.rstrip("/")) if prefix else self.folder
        found = []
        try:
            for folder, _, names in os.walk(start, onerror=self._unless_foreign):
                found += [Path(folder, name) for name in names if not is_temporary(name)]
        except OSError as error:
            raise ObjectRefused(f"{self.url}: {error.filename} cannot be listed ({error.strerror})") from error
        yield from sorted(path.relative_to(self.folder).as_posix() for path in found)

    def modified(self, key: str) -> datetime:
        """See `Store.modified`."""
        with self._open(key) as source:
            return datetime.fromtimestamp(os.fstat(source.fileno()).st_mtime, UTC)

    def delete(self, key: str) -> None:
        """See `Store.delete`. A folder goes with its last file."""
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ObjectRefused(f"{self.url}/{key} cannot be deleted ({error.strerror})") from error
        with suppress(OSError):  # not empty, or gone
            for folder in path.parents[: len(Path(key).parts) - 1]:
                folder.rmdir()

    def _create(self, key: str, chunks: Iterable[bytes]) -> None:
        # A hard link, unlike a rename, never replaces a file.
        self._write(key, chunks, os.link)

    def _write(self, key: str, chunks: Iterable[bytes], place: Callable[[Path, Path], object]) -> None:
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # In the model's folder, where its next publisher removes it if this one is killed.
            with arriving(path, place, self.folder / Path(key).parts[0] if "/" in key else None) as out:
                out.writelines(chunks)
                out.flush()
                os.fsync(out.fileno())  # or a power cut could leave the name without the bytes
        except FileExistsError as error:
            if not os.path.lexists(path):  # a parent is a file
                raise self._unwritten(key, error) from error
            raise AlreadyExists(f"{self.url}/{key} exists already") from error
        except OSError as error:
            raise self._unwritten(key, error) from error

    def _open(self, key: str) -> BinaryIO:
        path = self._path(key)
        if path.exists() and not (path.is_file() or path.is_dir()):  # opening a pipe blocks
            raise ObjectRefused(f"{self.url}/{key} is a pipe or a device, expected a file")
        try:
            return path.open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
            raise ObjectRefused(
                f"{self.url}/{key} was refused ({error.strerror}). Either the file does not exist, or this user may "
                "not read it"
            ) from error
        except OSError as error:
            raise StoreError(f"{self.url}/{key} cannot be read: {error.strerror}") from error

    def _unless_foreign(self, error: OSError) -> None:
        """Ignore a folder that is gone, or one outside of the store's layout, like lost+found; raise other errors."""
        top = Path(error.filename).relative_to(self.folder).parts[:1]
        if not isinstance(error, FileNotFoundError) and (not top or re.fullmatch(NAME, top[0])):
            raise error

    def _path(self, key: str) -> Path:
        return self.folder / check_key(self.url, key)

    def _unwritten(self, key: str, error: OSError) -> StoreError:
        where = f"{self.url}/{key} cannot be written ({error.filename or self.folder}: {error.strerror})"
        if error.errno == errno.EACCES:
            return ObjectRefused(f"{where}; this user may not write there")
        if error.errno in (errno.EPERM, errno.ENOTSUP):
            return StoreError(f"{where}; a model store needs a file system with hard links")
        return StoreError(where)


def open_folder(url: str) -> FolderStore:
    """Open the store at `file:///folder`, percent-decoded. Raises StoreUrlError for a relative path or another host."""
    match = re.fullmatch(r"file://(?:localhost)?(/.*[^/])/*", url)
    if match is None:
        raise StoreUrlError(f"{url!r} is not a folder on this machine; expected an absolute path: file:///folder")
    try:
        path = unquote(match[1], errors="strict")
    except UnicodeDecodeError:
        path = "\0"
    if not path.isprintable():
        raise StoreUrlError(f"{url!r} does not decode to a path; expected percent-encoded UTF-8")
    return FolderStore(url.rstrip("/"), Path(path))


def _chunks(source: BinaryIO, progress: Progress) -> Iterator[bytes]:
    while chunk := source.read(_CHUNK):
        yield chunk
        progress(len(chunk))

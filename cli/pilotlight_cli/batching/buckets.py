"""The files of a job in buckets, through the command's own clients: their credentials, endpoints and owners count."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, BinaryIO, Protocol

from pilotlight.errors import StoreUnavailable
from pilotlight_cli.batching import BatchUsageError, FileChanged
from pilotlight_cli.batching.sources import Source, check_formats, with_rows
from pilotlight_cli.stores import open_store, split_url

if TYPE_CHECKING:
    from pilotlight_cli.stores.gcs import GcsStore
    from pilotlight_cli.stores.s3 import S3Store

# Bytes of a request, and how often and how many seconds apart it is tried.
_WINDOW = 8 << 20
_PAUSES = (1.0, 4.0)

_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Entry:
    """An object: its key, its size in bytes and its state, which is another after each write."""

    key: str
    size: int
    state: str


class Objects(Protocol):
    """The objects of a bucket. Every method raises StoreError."""

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects whose keys begin with `prefix`."""
        ...

    def entry(self, key: str) -> Entry:
        """Return one object."""
        ...

    def read(self, entry: Entry, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop`. Raise StoreError if the object is not in that state any more."""
        ...


def open_bucket(url: str) -> Bucket:
    """Return the place at s3://bucket/... or gs://bucket/.... Raise StoreUrlError."""
    scheme, _, rest = url.partition("://")
    bucket, _, path = rest.partition("/")
    root = f"{scheme}://{bucket}"
    split_url(root)
    store = open_store(root)
    objects: Objects = S3Objects(store) if scheme == "s3" else GcsObjects(store)  # type: ignore[arg-type]
    return Bucket(url, root, path, objects)


@dataclass(frozen=True, slots=True)
class Bucket:
    """An object, those below a prefix, or those that match a pattern."""

    url: str
    root: str
    path: str
    objects: Objects

    def sources(self) -> list[Source]:
        """See `Place.sources`."""
        wild = _WILD.search(self.path)
        prefix = self.path[: wild.start()] if wild else self.path
        found = {entry.key: entry for entry in self.objects.entries(prefix) if not entry.key.endswith("/")}
        if wild:
            keys = check_formats([key for key in found if fnmatchcase(key, self.path)])
        elif self.path in found:
            keys = check_formats([self.path])
        else:
            folder = f"{self.path.rstrip('/')}/" if self.path else ""
            keys = with_rows([key for key in found if key.startswith(folder)], folder)
        if not keys:
            raise BatchUsageError(f"{self.url}: no such object, and none matches it as a prefix or a pattern")
        return [Source(f"{self.root}/{key}", found[key].size, found[key].state) for key in sorted(keys)]

    def open(self, name: str, state: str) -> BinaryIO:
        """See `Place.open`."""
        entry = self.objects.entry(name.removeprefix(f"{self.root}/"))
        if entry.state != state:
            raise FileChanged(name)
        ranges = Ranges(entry.size, lambda start, stop: self.objects.read(entry, start, stop))
        return io.BufferedReader(ranges, 1 << 16)

    def contains(self, output: str) -> bool:
        """See `Place.contains`."""
        folder = f"{self.root}/{self.path}".rstrip("/")
        return f"{output.rstrip('/')}/".startswith(f"{folder}/")


class Ranges(io.RawIOBase):
    """An object as a file: a read that is not in the last window fetches the next one."""

    def __init__(
        self, size: int, fetch: Callable[[int, int], bytes], *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """`fetch` returns the bytes from one offset to another; it is tried again if the store is unavailable."""
        self._size = size
        self._fetch = fetch
        self._sleep = sleep
        self._position = self._start = 0
        self._window = b""

    def readable(self) -> bool:
        """See io."""
        return True

    def seekable(self) -> bool:
        """See io."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See io."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        """See io."""
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """See io."""
        if self._position >= self._size or not len(buffer):
            return 0
        offset = self._position - self._start
        if not 0 <= offset < len(self._window):
            stop = min(self._position + max(len(buffer), _WINDOW), self._size)
            self._window = b""  # before the next, or there would be two
            self._window, self._start, offset = self._tried(self._position, stop), self._position, 0
        count = min(len(buffer), len(self._window) - offset)
        buffer[:count] = memoryview(self._window)[offset : offset + count]
        self._position += count
        return count

    def _tried(self, start: int, stop: int) -> bytes:
        for pause in _PAUSES:
            try:
                return self._fetch(start, stop)
            except StoreUnavailable:
                self._sleep(pause)
        return self._fetch(start, stop)


class S3Objects:
    """See `Objects`. An object's state is its entity tag."""

    def __init__(self, store: S3Store) -> None:
        self._store = store

    def entries(self, prefix: str) -> Iterator[Entry]:
        """See `Objects.entries`."""
        pages = self._store.client.get_paginator("list_objects_v2").paginate(Bucket=self._store.bucket, Prefix=prefix)
        with self._store.translated(f"{self._store.url}/{prefix}", "s3:ListBucket"):
            for page in pages:
                for found in page.get("Contents", ()):
                    yield Entry(found["Key"], found["Size"], found["ETag"])

    def entry(self, key: str) -> Entry:
        """See `Objects.entry`."""
        with self._store.translated(f"{self._store.url}/{key}", "s3:GetObject"):
            found = self._store.client.head_object(Bucket=self._store.bucket, Key=key)
        return Entry(key, found["ContentLength"], found["ETag"])

    def read(self, entry: Entry, start: int, stop: int) -> bytes:
        """See `Objects.read`."""
        with self._store.translated(f"{self._store.url}/{entry.key}", "s3:GetObject"):
            found = self._store.client.get_object(
                Bucket=self._store.bucket, Key=entry.key, Range=f"bytes={start}-{stop - 1}", IfMatch=entry.state
            )
            return found["Body"].read()


class GcsObjects:
    """See `Objects`. An object's state is its generation."""

    def __init__(self, store: GcsStore) -> None:
        self._store = store

    def entries(self, prefix: str) -> Iterator[Entry]:
        """See `Objects.entries`."""
        with self._store.translated(f"{self._store.url}/{prefix}", "storage.objects.list"):
            for blob in self._store.client.list_blobs(self._store.bucket, prefix=prefix):
                yield Entry(blob.name, blob.size, str(blob.generation))

    def entry(self, key: str) -> Entry:
        """See `Objects.entry`."""
        blob = self._store.client.bucket(self._store.bucket).blob(key)
        with self._store.translated(f"{self._store.url}/{key}", "storage.objects.get"):
            blob.reload()
        return Entry(key, blob.size, str(blob.generation))

    def read(self, entry: Entry, start: int, stop: int) -> bytes:
        """See `Objects.read`."""
        blob = self._store.client.bucket(self._store.bucket).blob(entry.key, generation=int(entry.state))
        with self._store.translated(f"{self._store.url}/{entry.key}", "storage.objects.get"):
            content: bytes = blob.download_as_bytes(start=start, end=stop - 1, checksum=None)
        return content

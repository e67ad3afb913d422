"""The files of a job in a bucket: listed, and read in ranges."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import BinaryIO, Protocol

from pilotlight.errors import StoreUnavailable
from pilotlight.files.sources import BatchUsageError, FileChanged, Source, check_formats, with_rows
from pilotlight.frozen import dataclass

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

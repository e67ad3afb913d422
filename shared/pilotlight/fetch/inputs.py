"""Inputs by reference: a tensor's bytes from an object under an allowed prefix, into memory.

The size follows from the tensor's shape and datatype. The object must have it, and memory the room for it, before a
byte of it is read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from pilotlight.errors import (
    Forbidden,
    InputRefused,
    InputUnavailable,
    InvalidRequest,
    ObjectRefused,
    StoreError,
    StoreUnavailable,
    TooLarge,
)
from pilotlight.fetch import ObjectStore, Span, UseSdk
from pilotlight.model.json_document import describe

# Seconds before another try of a store that does not deliver.
_PAUSES = (0.1, 0.4)


class InputObjects:
    """Reads objects for requests, one at a time: what is free is then known. Thread-safe, also after a fork."""

    def __init__(
        self,
        prefixes: Sequence[str],
        open_store: Callable[[str], ObjectStore],
        *,
        free_memory: Callable[[], int],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """`prefixes` are URLs that end with a slash. `free_memory` is in bytes, `clock` and `sleep` are in seconds."""
        self._prefixes = prefixes
        self._open_store = open_store
        self._free_memory = free_memory
        self._clock = clock
        self._sleep = sleep
        self._stores: dict[str, ObjectStore] = {}
        self._reading = threading.Lock()

    def read(self, url: str, size: int, deadline: float, path: str) -> bytearray:
        """Return the `size` bytes of an object. `path` is the reference's place in the document.

        Raise Forbidden outside of the prefixes, InputRefused for an object that is missing or may not be read,
        InputUnavailable if the store does not deliver by the deadline, InvalidRequest for an object of another size,
        TooLarge.
        """
        prefix = next((prefix for prefix in self._prefixes if url.startswith(prefix)), None)
        if prefix is None:
            known = ", ".join(self._prefixes)
            raise Forbidden(f"{describe(url)} may not be read, expected an object below {known}", path)
        key = url.removeprefix(prefix)
        if not key.isprintable() or any(part in ("", ".", "..") for part in key.split("/")):
            raise InvalidRequest(f"expected the name of an object below {prefix}, found {describe(key)}", path)
        if not self._reading.acquire(timeout=max(deadline - self._clock(), 0)):
            raise InputUnavailable("other requests are reading their inputs; try again", path)
        try:
            free = self._free_memory()
            if size > free // 2:
                raise TooLarge(f"the input has {size} bytes, of {free} that are free; send fewer rows", path)
            return self._fetch(prefix, key, _Buffer(size, path), deadline)
        except ObjectRefused as error:
            raise InputRefused(f"the input cannot be read: {error}", path) from error
        except StoreUnavailable as error:
            raise InputUnavailable(f"the input cannot be read now: {error}", path) from error
        except StoreError as error:
            raise InputRefused(f"the input cannot be read: {error}", path) from error
        finally:
            self._reading.release()

    def _fetch(self, prefix: str, key: str, buffer: _Buffer, deadline: float) -> bytearray:
        if prefix not in self._stores:
            self._stores[prefix] = self._open_store(prefix.rstrip("/"))
        pauses = iter(_PAUSES)
        while True:
            try:
                _fetch_once(self._stores[prefix], key, buffer, deadline - self._clock())
                return buffer.content()
            except StoreUnavailable:
                pause = next(pauses, None)
                if pause is None or self._clock() + pause >= deadline:
                    raise
                self._sleep(pause)


def _fetch_once(store: ObjectStore, key: str, buffer: _Buffer, timeout: float) -> None:
    try:
        store.fetch(key, buffer, timeout)
    except UseSdk as error:
        error.load().fetch(key, buffer, timeout)


class _Buffer:
    """A `pilotlight.fetch.Sink` in memory, which every try fills from the beginning."""

    pin = ""

    def __init__(self, size: int, path: str) -> None:
        self.size = size
        self._path = path
        self._content = bytearray()
        self._written = 0
        self._lock = threading.Lock()

    def missing(self) -> Sequence[Span]:
        """See `Sink`."""
        return [(0, self.size)]

    def restart(self, pin: str) -> None:  # noqa: ARG002 - no later try goes on from here
        """See `Sink`."""
        self._content = bytearray(self.size)
        self._written = 0

    def write(self, at: int, chunk: bytes | memoryview, /) -> None:
        """See `Sink`. Raises InvalidRequest beyond the size."""
        end = at + len(chunk)
        if end > self.size:
            self.check_size(end)
        memoryview(self._content)[at:end] = chunk
        with self._lock:
            self._written += len(chunk)

    def check_size(self, found: int) -> None:
        """Raise InvalidRequest unless the object has the size of the input."""
        if found != self.size:
            expected = f"expected {self.size} bytes for the input's datatype and shape"
            raise InvalidRequest(f"{expected}, found an object of {found}", self._path)

    def content(self) -> bytearray:
        """Return the bytes, once all are there. Raises InvalidRequest if the object has fewer."""
        self.check_size(self._written)
        return self._content

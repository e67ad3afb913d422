"""A model's files from a store, by a deadline, onto the disk.

A store gives bytes; `model_files` decides whether they are the pinned ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from pilotlight.errors import ObjectRefused, StoreError
from pilotlight.frozen import dataclass

Span = tuple[int, int]
"""A range of bytes: its first, and the one after its last."""

_CHUNK = 1 << 20
_MAX_WAIT = 10.0  # seconds for one response, or for one piece of a body


class Sink(Protocol):
    """Where a store writes an object's bytes: in any order, from any thread."""

    size: int
    """How many bytes the lock expects."""

    @property
    def pin(self) -> str:
        """The store's identity of the object that the bytes so far are of (an ETag, a generation); empty if unknown."""
        ...

    def missing(self) -> Sequence[Span]:
        """Return the ranges that have not been written yet, in order."""
        ...

    def restart(self, pin: str) -> None:
        """Forget all bytes so far: those to come are of another object, or of one from its beginning."""
        ...

    def write(self, at: int, chunk: bytes | memoryview, /) -> None:
        """Write bytes at the offset `at`. Raises DigestMismatch beyond the lock's size, and NoRoom."""
        ...

    def check_size(self, found: int) -> None:
        """Raise DigestMismatch unless the object has the lock's size."""
        ...


class ObjectStore(Protocol):
    """A model store as a cold start sees it."""

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """Write what is missing of an object to `sink`; `key` is relative to the store's prefix, `timeout` in seconds.

        One attempt: the caller repeats it. Bytes that were written before belong to the object that `sink.pin`
        identifies; if that object is gone, or the pin is empty, the store begins with `sink.restart`.

        The caller may abandon this call while it blocks, and then fork; in the child an import's lock would never be
        released. So it imports nothing: UseSdk is for that.

        Raises StoreUnavailable for what may pass, ObjectRefused for a 403 or a 404, UseSdk, and StoreError. The
        bytes may be wrong.
        """
        ...


class UseSdk(StoreError):
    """This store cannot fetch the object; the one that `load` imports may. The message gives the reason."""

    def __init__(self, message: str, load: Callable[[], ObjectStore]) -> None:
        super().__init__(message)
        self.load = load


class FolderStore:
    """A model store in a folder, `file:///dir`: for local work, and for images that contain their model."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:  # noqa: ARG002 - a disk does not stall
        """See `ObjectStore.fetch`."""
        try:
            file = (self._folder / key).open("rb")
        except OSError as error:
            raise ObjectRefused(f"{self._folder / key} cannot be read: {error.strerror}") from error
        sink.restart("")
        with file:
            at = 0
            while chunk := file.read(_CHUNK):
                sink.write(at, chunk)
                at += len(chunk)


@dataclass(frozen=True, slots=True)
class Deadline:
    """The time `end` on `clock`, in seconds. One wait gets at most half of what remains, so that a retry fits in.

    If it `is_whole` one wait may take all of it.
    """

    clock: Callable[[], float]
    end: float
    is_whole: bool = False

    @property
    def has_passed(self) -> bool:
        """Whether no time remains."""
        return self.clock() >= self.end

    def remaining(self) -> float:
        """Return the seconds until the end. Raises TimeoutError if there are none."""
        seconds = self.end - self.clock()
        if seconds <= 0:
            raise TimeoutError("timed out")
        return seconds

    def next_timeout(self) -> float:
        """Return the seconds for the next wait. Raises TimeoutError if no time remains."""
        remaining = self.remaining()
        return remaining if self.is_whole else min(_MAX_WAIT, max(remaining / 2, 0.05))

    def of_next_wait(self) -> Deadline:
        """Return the deadline of the next wait alone, however many reads it takes."""
        return Deadline(self.clock, self.clock() + self.next_timeout())

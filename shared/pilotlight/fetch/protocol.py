"""What a model store is to a cold start: something that gives bytes. `model_files` decides whether they are right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from pilotlight.errors import ObjectRefused, StoreError
from pilotlight.fetch.download import Span
from pilotlight.frozen import dataclass

_CHUNK = 1 << 20


class Sink(Protocol):
    """Where a store writes an object's bytes: in any order, from any thread."""

    size: int
    """How many bytes the lock expects."""

    @property
    def pin(self) -> str:
        """Which of the store's objects the bytes so far are of, in the store's own words; empty where it is unknown."""
        ...

    def missing(self) -> Sequence[Span]:
        """What has not come yet, in order."""
        ...

    def restart(self, pin: str) -> None:
        """Forget what came: what comes now is of another object, or of one from its beginning."""
        ...

    def write(self, at: int, chunk: bytes | memoryview, /) -> None:
        """Take the bytes from number `at` on. Raises DigestMismatch for more than the lock says, and NoRoom."""
        ...

    def check_size(self, found: int) -> None:
        """Raise DigestMismatch where the object has not as many bytes as the lock says."""
        ...


class ObjectStore(Protocol):
    """A model store as a cold start sees it."""

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """Write what is missing of an object to `sink`; `key` is relative to the store's prefix, `timeout` in seconds.

        One try: the caller repeats it. Bytes that came before belong to the object that `sink.pin` names; where that is
        not there any more, or the pin is empty, the store begins with `sink.restart`.

        It may be left alone in any of its waits, and a fork may follow, in which an import's lock is never released. So
        it imports nothing: for that there is UseSdk.

        Raises StoreUnavailable for what may pass, ObjectRefused for a 403 or a 404, UseSdk, and StoreError. The
        bytes need not be right.
        """
        ...


class UseSdk(StoreError):
    """This store cannot do it, and another can, which takes imports. The message says why."""

    def __init__(self, message: str, load: Callable[[], ObjectStore]) -> None:
        super().__init__(message)
        self.load = load


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
        sink.restart("")
        with file:
            at = 0
            while chunk := file.read(_CHUNK):
                sink.write(at, chunk)
                at += len(chunk)


_PATIENCE = 10.0  # seconds for whatever comes next


@dataclass(frozen=True, slots=True)
class Timer:
    """Time until `end`. One wait gets at most half of what is left, so that another try fits in after it."""

    clock: Callable[[], float]
    end: float

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.clock() >= self.end

    def next(self) -> float:
        """Seconds for the next wait. Raises TimeoutError when the time is over."""
        left = self.end - self.clock()
        if left <= 0:
            raise TimeoutError("timed out")
        return min(_PATIENCE, max(left / 2, 0.05))

    def wait(self) -> Timer:
        """A timer for the next wait alone, however many reads it takes."""
        return Timer(self.clock, self.clock() + self.next())

    def left(self) -> float:
        """Seconds until the end. Raises TimeoutError when there are none."""
        left = self.end - self.clock()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

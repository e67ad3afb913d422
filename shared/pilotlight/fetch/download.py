"""A file while it is downloaded: under a temporary name until it is complete and its digest is right."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from pilotlight.errors import DigestMismatch, NoRoom, StoreUnavailable
from pilotlight.fetch import Span
from pilotlight.model.lock import File

_PIECE = 1 << 20
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def owner_of(part: Path) -> int:
    """Return the process that downloads to a temporary name; 0 for a name that `Partial` never gives."""
    *_, owner, _, _ = ("", "", *part.name.split("."))
    return int(owner) if owner.isdecimal() and len(owner) < 10 else 0


class Partial:
    """The bytes of one file so far. They outlive a failed attempt, and the next one resumes from them.

    Bytes come in any order, from any thread, and are hashed up to the first gap: as read back from the disk, since
    those are the ones that are loaded.
    """

    def __init__(self, folder: Path, file: File) -> None:
        self.file = file
        self.pin = ""
        self._folder = folder
        self._path: Path | None = None
        self._descriptor = -1
        self._lock = threading.Lock()
        self._missing: Sequence[Span] = ()
        self._hash = hashlib.sha256()
        self._hashed = 0
        self.restart("")

    def begin(self, progress: Callable[[], None]) -> Incoming:
        """Open the file for an attempt. `progress` is called, from any thread, when there is more to hash.

        Raises NoRoom if the disk cannot hold the rest.
        """
        path = self._folder / f".{self.file.name}.{os.getpid()}.{os.urandom(4).hex()}.part"
        if not self._move_to(path):
            self.restart("")
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._lock = threading.Lock()  # after a fork an abandoned thread may have held the last one
        self._check_room()
        return Incoming(self, self._descriptor, self._lock, progress)

    def end(self, incoming: Incoming) -> None:
        """Close the file after an attempt. Later writes of its threads fail."""
        incoming.close()
        if self._missing == [(0, self.file.size)]:
            self.discard()

    def discard(self) -> None:
        """Remove the bytes so far, if any."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self._path = None
        self.restart("")

    def update_digest(self) -> None:
        """Hash the bytes that have come since the last call, up to the first gap. Not thread-safe."""
        with self._lock:
            hashing, at, end = self._hash, self._hashed, self._first_gap
        content = memoryview(bytearray(min(_PIECE, end - at)))
        while at < end:
            count = os.preadv(self._descriptor, [content[: end - at]], at)
            if not count:
                raise OSError(errno.EIO, f"{self._path} is shorter than what was written to it")
            hashing.update(content[:count])
            at += count
            with self._lock:
                if hashing is not self._hash:  # the download was restarted meanwhile
                    return
                self._hashed = at

    def finish(self) -> None:
        """Rename the file to its own name. Raises DigestMismatch, and removes it, unless the lock pins its bytes."""
        name, size = self.file.name, self.file.size
        found = size - sum(end - start for start, end in self._missing)
        if found != size:
            self.discard()
            raise DigestMismatch(f"{name}: expected {size} bytes, found {found}")
        self.update_digest()
        digest = self._hash.hexdigest()
        if digest != self.file.sha256 or self._path is None:
            self.discard()
            raise DigestMismatch(
                f"{name}: expected SHA-256 {self.file.sha256}, found {digest}; it is not the model that model.lock pins"
            )
        self._path.replace(self._folder / name)
        self._path = None

    def is_own(self, path: Path) -> bool:
        """Whether this download writes to `path`."""
        return path == self._path

    @property
    def missing(self) -> Sequence[Span]:
        """The ranges that have not been written yet, in order."""
        return self._missing

    def _move_to(self, path: Path) -> bool:
        """Whether the bytes so far were moved there. After a fork, the first of two processes that try gets them."""
        if self._path is None:
            return False
        try:
            self._path.rename(path)
        except FileNotFoundError:
            return False
        return True

    @property
    def _first_gap(self) -> int:
        return self._missing[0][0] if self._missing else self.file.size

    def _check_room(self) -> None:
        room, needed = os.fstatvfs(self._descriptor), sum(end - start for start, end in self._missing)
        # A file system without a limit reports no blocks at all.
        if room.f_blocks and room.f_bavail * room.f_frsize < needed:
            os.close(self._descriptor)
            self.discard()
            raise self.no_room(f"{room.f_bavail * room.f_frsize:,} are free")

    def no_room(self, reason: str) -> NoRoom:
        """Return the error for a full disk."""
        return NoRoom(
            f"{self._folder} has no room for {self.file.name}, which has {self.file.size:,} bytes ({reason}); give the "
            "function more temporary storage, or more memory if that holds it"
        )

    def mark_written(self, start: int, end: int) -> bool:
        """Record a range as written. Returns whether there is a whole piece more to hash."""
        before = self._first_gap
        pieces = (piece for a, b in self._missing for piece in ((a, min(b, start)), (max(a, end), b)))
        self._missing = [piece for piece in pieces if piece[0] < piece[1]]
        return self._first_gap // _PIECE > before // _PIECE

    def restart(self, pin: str) -> None:
        """Forget the bytes so far."""
        self.pin = pin
        self._missing = [(0, self.file.size)] if self.file.size else []
        self._hash = hashlib.sha256()
        self._hashed = 0


class Incoming:
    """A `pilotlight.fetch.Sink`: what a store writes to in one attempt."""

    def __init__(self, partial: Partial, descriptor: int, lock: threading.Lock, progress: Callable[[], None]) -> None:
        self.size = partial.file.size
        self._partial = partial
        self._descriptor = descriptor
        self._lock = lock
        self._progress = progress
        self._is_open = True

    @property
    def pin(self) -> str:
        """See `Sink`."""
        return self._partial.pin

    def missing(self) -> Sequence[Span]:
        """See `Sink`."""
        with self._lock:
            return self._partial.missing

    def restart(self, pin: str) -> None:
        """See `Sink`."""
        with self._lock:
            self._check_open()
            self._partial.restart(pin)

    def write(self, at: int, chunk: bytes | memoryview) -> None:
        """See `Sink`."""
        end = at + len(chunk)
        if end > self.size:
            raise DigestMismatch(f"{self._partial.file.name}: expected {self.size} bytes, the store sends more")
        with self._lock:
            self._check_open()
            self._write_all(at, chunk)
            has_more = self._partial.mark_written(at, end)
        if has_more:
            self._progress()

    def check_size(self, found: int) -> None:
        """See `Sink`."""
        if found != self.size:
            raise DigestMismatch(f"{self._partial.file.name}: expected {self.size} bytes, the store has {found}")

    def close(self) -> None:
        """Close this attempt's own descriptor, and refuse later writes."""
        with self._lock:
            if self._is_open:
                self._is_open = False
                os.close(self._descriptor)

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreUnavailable("this attempt has ended")

    def _write_all(self, at: int, chunk: bytes | memoryview) -> None:
        rest = memoryview(chunk)
        while rest:
            try:
                count = os.pwrite(self._descriptor, rest, at)
            except OSError as error:
                if error.errno in _DISK_FULL:
                    raise self._partial.no_room(str(error.strerror)) from error
                raise
            rest, at = rest[count:], at + count

"""A model's files in a folder: the pinned bytes, by a deadline, and nothing that could be mistaken for them.

A store runs in threads of its own and is abandoned at the deadline, whatever it waits for (a name's look-up, headers
that come byte by byte, a client's own work): what it writes after that is refused.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pilotlight.errors import ObjectRefused, StoreUnavailable
from pilotlight.fetch import ObjectStore, UseSdk
from pilotlight.fetch.download import Partial, owner_of
from pilotlight.frozen import TYPE_CHECKING
from pilotlight.model.lock import Description, File

if TYPE_CHECKING:
    from pilotlight.fetch.shared_folder import SharedFolder

_MAX_PARALLEL = 4  # files of one model; a large one comes over many connections anyway
_RESERVE = 0.5  # seconds that a store gets less than remain: its own error says best why it was not done in time


def files_for(processes: int, store: ObjectStore, model: Description, folder: Path) -> ModelFiles | SharedFolder:
    """Return what fetches a model to a folder that so many processes fill at once."""
    files = ModelFiles(store, model, folder)
    if processes == 1:
        return files
    from pilotlight.fetch.shared_folder import SharedFolder  # noqa: PLC0415 - most environments have one process

    return SharedFolder(files, folder)


class ModelFiles:
    """A model's files in a folder of its own. Their bytes so far outlive a failed attempt."""

    def __init__(
        self, store: ObjectStore, model: Description, folder: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` is in seconds, and advances during a wait."""
        self._store = store
        self._model = model
        self._folder = folder
        self._clock = clock
        self._partials = {file.name: Partial(folder, file) for file in model.files}

    def fetch(self, timeout: float, on_fetched: Callable[[int], None], *, alone: bool = False) -> None:
        """Fetch every file of the model to the folder, verified. `on_fetched` gets the size of each fetched file.

        `alone`: no other process downloads to the folder now, so that whatever others began is left over.

        A file that exists already counts only if its digest is right. A download has a temporary name until its
        digest is checked, so that a crash leaves nothing that could be mistaken for a model.

        Raises StoreUnavailable after `timeout` seconds, the store's own errors, DigestMismatch for other bytes than
        the lock's, and NoRoom.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._remove_leftovers(alone=alone)
        wanted = [file for file in self._model.files if not _is_present(self._folder / file.name, file)]
        try:
            self._fetch(wanted, timeout, on_fetched)
        except (StoreUnavailable, ObjectRefused):
            raise  # the next attempt resumes from here
        except BaseException:
            for partial in self._partials.values():
                partial.discard()
            raise

    def seem_present(self) -> bool:
        """Whether the folder has a file of each name and size."""
        return all(_has_size(self._folder / file.name, file) for file in self._model.files)

    def are_present(self) -> bool:
        """Whether the folder has each of the pinned files, verified."""
        return all(_is_present(self._folder / file.name, file) for file in self._model.files)

    def _fetch(self, wanted: Sequence[File], timeout: float, on_fetched: Callable[[int], None]) -> None:
        deadline, progress = self._clock() + timeout, threading.Semaphore(0)
        waiting, running = [*wanted], list[_Attempt]()
        try:
            while waiting or running:
                while waiting and len(running) < _MAX_PARALLEL:
                    running.append(self._begin(waiting.pop(0), self._store, deadline, progress))
                if not progress.acquire(timeout=max(deadline - self._clock(), 0)):
                    raise StoreUnavailable(f"{running[0].key}: the store did not deliver within {timeout:.1f} s")
                for attempt in [*running]:
                    attempt.partial.update_digest()
                    if attempt.has_ended:
                        running.remove(attempt)
                        if successor := self._finish(attempt, deadline, progress):
                            running.append(successor)
                        else:
                            on_fetched(attempt.partial.file.size)
        finally:
            for attempt in running:
                attempt.abandon()

    def _begin(self, file: File, store: ObjectStore, deadline: float, progress: threading.Semaphore) -> _Attempt:
        timeout = deadline - self._clock()
        return _Attempt(self._partials[file.name], store, self._model.key(file.name), timeout, progress)

    def _finish(self, attempt: _Attempt, deadline: float, progress: threading.Semaphore) -> _Attempt | None:
        """Verify the file of an attempt that has ended, or raise its error; return the attempt of an SDK instead."""
        try:
            if attempt.error is None:
                attempt.partial.finish()
                return None
        finally:
            attempt.abandon()
        if not isinstance(attempt.error, UseSdk):
            raise attempt.error
        return self._begin(attempt.partial.file, attempt.error.load(), deadline, progress)

    def _remove_leftovers(self, *, alone: bool) -> None:
        """Remove the downloads of a killed process: Lambda keeps /tmp over a crash, and it is small."""
        for part in self._folder.glob(".*.part"):
            owner = owner_of(part)
            is_left = owner and (alone or owner == os.getpid() or not _is_running(owner))
            if is_left and not any(partial.is_own(part) for partial in self._partials.values()):
                part.unlink(missing_ok=True)


class _Attempt:
    """A store's fetch of one file, in a thread of its own. `progress` is released for more bytes, and at the end."""

    def __init__(
        self, partial: Partial, store: ObjectStore, key: str, timeout: float, progress: threading.Semaphore
    ) -> None:
        self.partial = partial
        self.key = key
        self.has_ended = False
        self.error: BaseException | None = None
        self._incoming = partial.begin(progress.release)
        self._progress = progress
        store_timeout = timeout - min(timeout / 10, _RESERVE)
        threading.Thread(target=self._run, args=(store, key, store_timeout), name="fetch", daemon=True).start()

    def abandon(self) -> None:
        """Refuse whatever the store writes from here on."""
        self.partial.end(self._incoming)

    def _run(self, store: ObjectStore, key: str, timeout: float) -> None:
        try:
            store.fetch(key, self._incoming, timeout)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self.error = error
        self.has_ended = True
        self._progress.release()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _has_size(path: Path, file: File) -> bool:
    return path.is_file() and path.stat().st_size == file.size


def _is_present(path: Path, file: File) -> bool:
    if not _has_size(path, file):
        return False
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256

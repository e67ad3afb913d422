"""Bringing a model's files to a folder: the right bytes, in time, and nothing that could be taken for them.

A store runs in threads of its own and is left alone when the time is over, whatever it waits for (a name's look-up,
headers that come byte by byte, what a client does by itself): from then on nothing is taken that it has to write.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pilotlight.errors import ObjectRefused, StoreUnavailable
from pilotlight.fetch.download import Partial, owner_of
from pilotlight.fetch.protocol import ObjectStore, UseSdk
from pilotlight.model.lock import Description, File

_AT_ONCE = 4  # files of one model; a large one comes over many connections anyway
_RESERVE = 0.5  # seconds that a store gets less than there are: it can say best why it did not get done


class ModelFiles:
    """A model's files in a folder of its own. What came of them outlives a try that failed."""

    def __init__(
        self, store: ObjectStore, model: Description, folder: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` is in seconds, and goes on while somebody waits."""
        self._store = store
        self._model = model
        self._folder = folder
        self._clock = clock
        self._partials = {file.name: Partial(folder, file) for file in model.files}

    def fetch(self, timeout: float, fetched: Callable[[int], None]) -> None:
        """Bring every file of the model to the folder, verified. `fetched` is told the size of each that came.

        A file that is there already counts only if its digest is right. A download has a temporary name until its
        digest was checked, so that a crash leaves nothing that could be taken for a model.

        Raises StoreUnavailable when it takes longer than `timeout` seconds, what the store raises, DigestMismatch for
        other bytes than the lock's, and NoRoom.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._remove_leftovers()
        wanted = [file for file in self._model.files if not _is_there(self._folder / file.name, file)]
        try:
            self._fetch(wanted, timeout, fetched)
        except (StoreUnavailable, ObjectRefused):
            raise  # the next try goes on from here
        except BaseException:
            for partial in self._partials.values():
                partial.discard()
            raise

    def _fetch(self, wanted: Sequence[File], timeout: float, fetched: Callable[[int], None]) -> None:
        deadline, news = self._clock() + timeout, threading.Semaphore(0)
        waiting, running = [*wanted], list[_Try]()
        try:
            while waiting or running:
                while waiting and len(running) < _AT_ONCE:
                    running.append(self._begin(waiting.pop(0), self._store, deadline, news))
                if not news.acquire(timeout=max(deadline - self._clock(), 0)):
                    raise StoreUnavailable(f"{running[0].key}: the store did not deliver within {timeout:.1f} s")
                for one in [*running]:
                    one.partial.hash_on()
                    if one.is_over:
                        running.remove(one)
                        if again := self._settled(one, deadline, news):
                            running.append(again)
                        else:
                            fetched(one.partial.file.size)
        finally:
            for one in running:
                one.end()

    def _begin(self, file: File, store: ObjectStore, deadline: float, news: threading.Semaphore) -> _Try:
        return _Try(self._partials[file.name], store, self._model.key(file.name), deadline - self._clock(), news)

    def _settled(self, one: _Try, deadline: float, news: threading.Semaphore) -> _Try | None:
        """Make a file of a try that has ended, or raise what it raised; or begin the one that goes on in its place."""
        try:
            if one.raised is None:
                one.partial.finish()
                return None
        finally:
            one.end()
        if not isinstance(one.raised, UseSdk):
            raise one.raised
        return self._begin(one.partial.file, one.raised.load(), deadline, news)

    def _remove_leftovers(self) -> None:
        """Downloads that a killed process left: Lambda keeps /tmp over a crash, and it is small."""
        for part in self._folder.glob(".*.part"):
            owner = owner_of(part)
            is_left = owner == os.getpid() or not _is_running(owner)
            if is_left and not any(partial.is_own(part) for partial in self._partials.values()):
                part.unlink(missing_ok=True)


class _Try:
    """One file asked of a store, in a thread of its own. `news` is released when more of it came, and at its end."""

    def __init__(
        self, partial: Partial, store: ObjectStore, key: str, timeout: float, news: threading.Semaphore
    ) -> None:
        self.partial = partial
        self.key = key
        self.is_over = False
        self.raised: BaseException | None = None
        self._incoming = partial.begin(news.release)
        self._news = news
        own = timeout - min(timeout / 10, _RESERVE)
        threading.Thread(target=self._run, args=(store, key, own), name="fetch", daemon=True).start()

    def end(self) -> None:
        """Leave it alone: nothing that it still has to write is taken."""
        self.partial.end(self._incoming)

    def _run(self, store: ObjectStore, key: str, timeout: float) -> None:
        try:
            store.fetch(key, self._incoming, timeout)
        except BaseException as error:  # noqa: BLE001 - raised where somebody waits
            self.raised = error
        self.is_over = True
        self._news.release()


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

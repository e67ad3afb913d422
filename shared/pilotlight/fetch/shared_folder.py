"""A model's files in a folder that several processes fill at once: one downloads them, the others wait for it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from pilotlight.errors import StoreUnavailable
from pilotlight.fetch.model_files import ModelFiles

_PAUSE = 0.02  # seconds between two tries to take the lock


class SharedFolder:
    """`ModelFiles` for one of several processes. The kernel releases a dead process's lock, and the next one takes it.

    Without it each process would download the model, and the folder would have to hold as many copies at once.
    """

    def __init__(
        self,
        files: ModelFiles,
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`clock` and `sleep` are in seconds."""
        self._files = files
        self._folder = folder
        self._clock = clock
        self._sleep = sleep

    def fetch(self, timeout: float, on_fetched: Callable[[int], None]) -> None:
        """See `ModelFiles.fetch`. What another process fetched is verified here too, by all processes at once.

        Raises StoreUnavailable too if other processes hold the lock for `timeout` seconds.
        """
        deadline = self._clock() + timeout
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("wb") as lock:
            self._take(lock.fileno(), deadline)
            if self._files.seem_present():
                fcntl.flock(lock, fcntl.LOCK_UN)
                if self._files.are_present():
                    return
                self._take(lock.fileno(), deadline)
            self._files.fetch(max(deadline - self._clock(), 0), on_fetched, alone=True)

    def _take(self, lock: int, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._clock() >= deadline:
                    raise StoreUnavailable(
                        f"process {os.getpid()} waited in vain for another one to fetch the model to {self._folder}"
                    ) from None
                self._sleep(_PAUSE)
            else:
                return

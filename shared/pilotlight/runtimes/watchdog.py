"""Termination of runs that take too long: one thread for all of them, which sleeps until the nearest deadline."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from math import inf

Terminate = Callable[[], object]


class Watchdog:
    """Calls `terminate` of each run that has not ended by its deadline. Thread-safe and fork-safe.

    Its thread starts with a run and ends at a deadline with no runs left. A new run wakes it only if its deadline is
    the nearest, which is rare, since later runs have later deadlines: most runs cost one dictionary entry.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is monotonic and in seconds."""
        self._clock = clock
        self._reset()
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _reset(this))

    def begin(self, seconds: float, terminate: Terminate) -> object:
        """Register a run that starts now and may take `seconds`. Returns the handle for `end`."""
        run = object()
        deadline = self._clock() + seconds
        self._runs[run] = (deadline, terminate)
        # The entry comes first: the thread sets when it wakes before it reads the entries.
        if deadline < self._wakes:
            try:
                self._wake(deadline)
            except RuntimeError:  # no thread can be started; a run that is not watched must not start
                del self._runs[run]
                raise
        return run

    def end(self, run: object) -> bool:
        """Unregister a run and return whether it was terminated. It is never terminated after this returns."""
        if self._runs.pop(run, None) is not None:
            return False
        with self._changed:  # the thread removed the entry, and holds the lock while it terminates
            return True

    def _reset(self) -> None:
        """Forget all runs and the thread: it does not survive a fork, and may have held the lock."""
        self._runs: dict[object, tuple[float, Terminate]] = {}
        self._changed = threading.Condition()
        self._wakes = inf
        self._thread: threading.Thread | None = None

    def _wake(self, deadline: float) -> None:
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
                thread.start()
                self._thread = thread  # only now: if it cannot be started, the next run has to try again
            if deadline < self._wakes:
                self._wakes = deadline
                self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                self._wakes = inf  # a run that starts from here on waits for the lock
                nearest = self._terminate_late()
                if nearest == inf:
                    self._thread = None
                    return
                self._wakes = nearest
                self._changed.wait(max(nearest - self._clock(), 0))

    def _terminate_late(self) -> float:
        """Terminate the late runs and return the nearest deadline of the others."""
        now = self._clock()
        nearest = inf
        for run, (deadline, terminate) in self._runs.copy().items():
            if deadline > now:
                nearest = min(nearest, deadline)
            elif self._runs.pop(run, None) is not None:
                terminate()
        return nearest


def _reset(watchdog: weakref.ref[Watchdog]) -> None:
    alive = watchdog()
    if alive is not None:
        alive._reset()  # noqa: SLF001 - its own module

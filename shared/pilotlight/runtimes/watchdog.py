"""Ends runs that take too long: one thread for all of them, which sleeps until the nearest deadline."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from math import inf

Terminate = Callable[[], object]


class Watchdog:
    """Calls `terminate` of each run that has not ended by its deadline. Safe for threads and forks.

    Its thread begins with a run and ends at a deadline at which nothing runs. A run that begins wakes it only where its
    deadline comes before all others, which is once in a while, since later runs have later deadlines: most runs cost a
    dictionary's entry.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is monotonic and in seconds."""
        self._clock = clock
        self._reset()
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _reset(this))

    def begin(self, seconds: float, terminate: Terminate) -> object:
        """A run that begins now and may take `seconds`; what it returns is for `end`."""
        run = object()
        deadline = self._clock() + seconds
        self._runs[run] = (deadline, terminate)
        # The entry comes first: the thread says when it wakes, and only then looks at the entries.
        if deadline < self._wakes:
            try:
                self._wake(deadline)
            except RuntimeError:  # no thread can be started; what nobody watches must not begin
                del self._runs[run]
                raise
        return run

    def end(self, run: object) -> bool:
        """Whether the run was terminated; once this returns it never will be."""
        if self._runs.pop(run, None) is not None:
            return False
        with self._changed:  # the thread took the entry, and holds this while it terminates
            return True

    def _reset(self) -> None:
        """Begin anew, without a thread: one does not survive a fork, and may have held the lock."""
        self._runs: dict[object, tuple[float, Terminate]] = {}
        self._changed = threading.Condition()
        self._wakes = inf
        self._thread: threading.Thread | None = None

    def _wake(self, deadline: float) -> None:
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
                thread.start()
                self._thread = thread  # not before: where none can be started the next run has to find that out too
            if deadline < self._wakes:
                self._wakes = deadline
                self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                self._wakes = inf  # whoever begins from here on comes for the lock
                nearest = self._terminate_late()
                if nearest == inf:
                    self._thread = None
                    return
                self._wakes = nearest
                self._changed.wait(max(nearest - self._clock(), 0))

    def _terminate_late(self) -> float:
        """Terminate what is late; the nearest deadline of the others."""
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

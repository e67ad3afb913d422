"""How long the machine's processors stood still, so that no measurement counts that time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

_NAP = 0.01  # seconds
_STALL = 0.1  # seconds that no nap lasts on a processor that works


class _Watcher(threading.Thread):
    """Naps on one processor, and keeps the naps that lasted too long."""

    def __init__(self, processor: int | None) -> None:
        super().__init__(name=f"stalls of processor {processor}")
        self._processor = processor
        self._ended = threading.Event()
        self._since = time.monotonic()
        self._found: list[tuple[float, float]] = []

    def run(self) -> None:
        if self._processor is not None:
            os.sched_setaffinity(0, {self._processor})  # of this thread
        while not self._ended.is_set():
            time.sleep(_NAP)
            self._found, self._since = self.stalls(), time.monotonic()

    def stalls(self) -> list[tuple[float, float]]:
        """Return when the stalls began and ended, the current nap among them."""
        now = time.monotonic()
        return [*self._found, (self._since, now)] if now - self._since > _STALL else self._found

    def end(self) -> None:
        self._ended.set()
        self.join()


@contextmanager
def stalls() -> Iterator[Callable[[], float]]:
    """Give a function that returns for how many seconds a processor stood still since the beginning."""
    watchers = [_Watcher(processor) for processor in _processors()]
    for watcher in watchers:
        watcher.start()
    try:
        yield lambda: covered(span for watcher in watchers for span in watcher.stalls())
    finally:
        for watcher in watchers:
            watcher.end()


def _processors() -> list[int] | list[None]:
    """Return the processors of this process, or a single None where the system has no affinity."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [None]


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return how much time lies in at least one of the spans."""
    total, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total

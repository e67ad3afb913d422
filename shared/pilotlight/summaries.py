"""Summaries of many requests as log lines, of which a process writes at most one a minute for each kind."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pilotlight.telemetry import Report, Summary

# Seconds between two lines of one kind, and the bytes that the `counts` of one may take in JSON: with the platform's
# own fields a line has at most 2,048.
PERIOD = 60.0
MOST_BYTES = 1_400


class Summaries:
    """Reports summaries of one kind. Threads may call it at the same time.

    The first request of a process has its line at once, since a function may get no other one; those that come within
    a minute of a line are part of the next. What was counted after the last line is lost with the process.
    """

    def __init__(self, report: Report, take: Callable[[], Summary | None], clock: Callable[[], float]) -> None:
        """`take` returns what was counted since it was last called, or None for nothing. `clock` is in seconds."""
        self._report = report
        self._take = take
        self._clock = clock
        self._lock = threading.Lock()
        self._next = float("-inf")

    def offer(self) -> None:
        """Report a summary, if the last line was a minute ago. Raise what `take` and the report raise."""
        now = self._clock()
        if now < self._next:
            return
        with self._lock:
            if now < self._next:  # another thread was faster
                return
            summary = self._take()
            if summary is not None:
                self._next = now + PERIOD
        if summary is not None:
            self._report(summary)

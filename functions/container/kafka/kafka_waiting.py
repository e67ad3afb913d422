"""Waits of the loop: each returns after a moment, so that the loop can go on asking for messages in between."""

from __future__ import annotations

import time
from concurrent.futures import Future, wait
from threading import Event

from pilotlight.records.score import Scoring

# Seconds for which results are written again after SIGTERM.
STOPPING = 20.0


class Patience:
    """How long results are written again after SIGTERM."""

    def __init__(self, stopping: Event) -> None:
        self._stopping = stopping
        self._end: float | None = None

    def has_ended(self) -> bool:
        """Whether it has ended."""
        if self._end is None and self._stopping.is_set():
            self._end = time.monotonic() + STOPPING
        return self._end is not None and time.monotonic() > self._end


def is_done(future: Future[Scoring], seconds: float) -> bool:
    """Wait for a result, at most so many seconds. Return whether it is there."""
    return bool(wait([future], seconds).done)


def has_come(moment: float, seconds: float) -> bool:
    """Wait for a moment, at most so many seconds. Return whether it has come."""
    time.sleep(max(0.0, min(moment - time.monotonic(), seconds)))
    return time.monotonic() >= moment

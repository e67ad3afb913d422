"""Timing repeated runs of a loaded model."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Final

# Runs: at least _FEWEST, then until _SECONDS are over, at most _MOST.
_FEWEST: Final = 5
_SECONDS: Final = 0.5
_MOST: Final = 100


def median_seconds(run: Callable[[], object]) -> float:
    """Return the median time of repeated runs on this thread's processor clock."""
    times: list[float] = []
    while len(times) < _FEWEST or (len(times) < _MOST and sum(times) < _SECONDS):
        started = time.thread_time()
        run()
        times.append(time.thread_time() - started)
    return median(times)

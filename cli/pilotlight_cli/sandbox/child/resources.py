"""What this process takes: the time of repeated runs of a loaded model, and its peak memory."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

from pilotlight.errors import ModelError

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


def peak_bytes() -> int:
    """Return VmHWM: unlike getrusage's, it does not include the process that started this one. Raise ModelError."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if match is None:
        raise ModelError("/proc/self/status has no VmHWM, the peak memory of the process; expected Linux")
    return int(match[1]) * 1024

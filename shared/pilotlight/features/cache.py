"""Rows of features that this process keeps, bounded in number and in age."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from pilotlight.features.plan import Key
from pilotlight.features.values import Row


class Cache:
    """The rows read last. Thread-safe."""

    def __init__(self, entries: int, seconds: float, clock: Callable[[], float]) -> None:
        """Keep up to `entries` rows, each for up to `seconds` on the clock."""
        self._entries = entries
        self._seconds = seconds
        self._clock = clock
        self._rows: dict[Key, tuple[Row, float]] = {}
        self._lock = threading.Lock()

    def get(self, keys: Iterable[Key]) -> dict[Key, Row]:
        """Return the rows that are here and not too old."""
        if not self._rows:
            return {}
        oldest = self._clock() - self._seconds
        found = {}
        with self._lock:
            for key in keys:
                entry = self._rows.get(key)
                if entry is not None and entry[1] > oldest:
                    found[key] = entry[0]
        return found

    def put(self, rows: Mapping[Key, Row], read: float) -> None:
        """Keep rows that were read from the store at a time on the clock, instead of those kept longest."""
        if not self._entries:
            return
        with self._lock:
            for key, row in rows.items():
                self._rows.pop(key, None)
                self._rows[key] = row, read
            for key in list(self._rows)[: max(len(self._rows) - self._entries, 0)]:
                del self._rows[key]

"""The counts of what a served model sees and answers, in the bins of its reference, as summary lines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import add

from pilotlight.drift.columns import Source, sources_of
from pilotlight.drift.reference import Column
from pilotlight.drift.verdict import judge
from pilotlight.model.lock import Description
from pilotlight.model.tensor import Buffer, Strings, Tensor
from pilotlight.summaries import MOST_BYTES, Summaries
from pilotlight.telemetry import Report, Summary

EVENT = "drift"

# The part of the process's processor time that counting may take, with room for what a request pays before it.
SHARE = 0.04

# Rows that are counted together, and the most of one request's.
BLOCK = 128
_MOST_ROWS = 1_024

# Rows after which a process judges its columns by itself, for alarms; the fewest that find half a deviation surely.
WINDOW = 1_000

# Seconds that a value takes to count, until this is measured.
_VALUE = 2e-7

Clock = Callable[[], float]


class Watch:
    """Counts rows, and reports what was counted at most once a minute. Threads may call it at the same time.

    Where all rows would take more than SHARE of the processor's time, evenly spaced ones are counted, which depends on
    their number and never on their values.
    """

    def __init__(
        self,
        model: Description,
        columns: Sequence[Column],
        report: Report,
        *,
        clock: Clock = time.monotonic,
        processor: Clock = time.process_time,
        thread: Clock = time.thread_time,
        share: float = SHARE,
    ) -> None:
        """`clock` decides when a line is due; `processor` and `thread` are the processor's time of both, in seconds."""
        self._model = model
        self._columns = columns
        self._digest = model.reference.sha256[:16] if model.reference else ""
        self._sources = sources_of(model.signature)
        self._processor = processor
        self._thread = thread
        self._share = share
        self._lock = threading.Lock()
        self._summaries = Summaries(report, self._take, clock)
        self._began: float | None = None
        self._spent = 0.0
        self._counted = self._rows = self._seen = self._next = self._waiting = 0
        self._raw: list[bytearray | Strings] = []
        self._clear()
        self._counts = [[0] * column.bins.size for column in columns]
        self._window = [[0] * column.bins.size for column in columns]
        self._in_window = 0

    def __call__(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """See the rows of one call of the model. Never raise: a failing count must not fail the request."""
        with suppress(Exception):
            with self._lock:
                self._add(inputs, outputs)
                if self._waiting >= BLOCK:
                    self._count()
            self._summaries.offer()

    def _add(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """Keep the rows until there are enough to count; of many rows, as many as may be counted."""
        if self._began is None:
            self._began = self._processor()
        rows = inputs[0].shape[0]
        self._seen += rows
        picked = range(rows) if rows <= BLOCK else _evenly(rows, min(self._affordable(), _MOST_ROWS))
        for place, source in enumerate(self._sources):
            data = (outputs if source.is_output else inputs)[source.index].data
            self._raw[place] += data if len(picked) == rows else _picked(source, data, picked)  # type: ignore[operator]
        self._waiting += len(picked)

    def _affordable(self) -> int:
        """Return how many rows may be counted now."""
        pace = self._spent / self._counted if self._counted else _VALUE * len(self._columns)
        began = self._processor() if self._began is None else self._began
        credit = self._share * (self._processor() - began) - self._spent
        return max(0, int(credit / pace)) if pace else _MOST_ROWS

    def _count(self) -> None:
        """Count the rows that wait, or as many of them as may be counted."""
        started = self._thread()
        rows, raws = self._waiting, self._raw
        self._clear()
        # The first block shows what a row takes. Later ones have to wait for what it took beyond its share.
        picked = range(rows) if not self._counted else _evenly(rows, self._affordable())
        if not picked:
            return
        columns = [
            column
            for source, raw in zip(self._sources, raws, strict=True)
            for column in source.split(Tensor(source.datatype, (rows * source.width,), raw).values())
        ]
        if all(len(column) == rows for column in columns):
            for index, (column, values) in enumerate(zip(self._columns, columns, strict=True)):
                counts = column.bins.count(values if len(picked) == rows else [values[row] for row in picked])
                self._counts[index] = list(map(add, self._counts[index], counts))
                self._window[index] = list(map(add, self._window[index], counts))
            self._rows += len(picked)
            self._counted += len(picked)
            self._in_window += len(picked)
        self._spent += self._thread() - started

    def _clear(self) -> None:
        self._waiting = 0
        self._raw = [bytearray() if source.datatype.size else [] for source in self._sources]

    def _take(self) -> Summary | None:
        """Return the counts since the last line, or of so many columns as a line has room for; the next has others."""
        with self._lock:
            if self._waiting:
                self._count()
            if not self._seen:
                return None
            started = self._thread()
            first, size, counts = self._next, len('"first":1000,"counts":[]'), list[list[int]]()
            line: dict[str, object] = {"reference": self._digest, "rows": self._rows, "seen": self._seen}
            line |= self._judged()
            size += sum(len(name) + len(str(value)) + len('"":"",') for name, value in line.items())
            while self._next < len(self._columns):
                own = self._counts[self._next]
                size += len(",".join(map(str, own))) + len("[],")
                if size > MOST_BYTES:
                    break
                counts.append(own)
                self._counts[self._next] = [0] * len(own)
                self._next += 1
            self._next %= len(self._columns)
            self._rows = self._seen = 0
            self._spent += self._thread() - started
            return Summary(EVENT, self._model.name, self._model.version, {**line, "first": first, "counts": counts})

    def _judged(self) -> dict[str, int]:
        """Judge the rows of this process alone, once there are enough: how many, and how many columns have moved."""
        if self._in_window < WINDOW:
            return {}
        number = len(self._columns)
        pairs = zip(self._columns, self._window, strict=True)
        moved = sum(judge(column.bins, column.counts, window, number).level != "none" for column, window in pairs)
        judged, self._in_window = self._in_window, 0
        self._window = [[0] * column.bins.size for column in self._columns]
        return {"judged": judged, "moved": moved}


def _evenly(rows: int, wanted: int) -> range:
    """Return at most `wanted` rows with the same distance between them."""
    if wanted >= rows:
        return range(rows)
    step = -(-rows // wanted) if wanted else rows + 1
    return range(step - 1, rows, step)


def _picked(source: Source, data: Buffer | Strings, rows: range) -> bytes | Strings:
    width = source.width
    if isinstance(data, list):
        return [value for row in rows for value in data[row * width : (row + 1) * width]]
    size = width * source.datatype.size
    raw = memoryview(data).cast("B")
    return b"".join([raw[row * size : (row + 1) * size] for row in rows])

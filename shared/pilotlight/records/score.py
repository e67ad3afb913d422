"""Many records at once: those of one shape run as one batch, and each gets its own result or failure."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from pilotlight.codec.batches import joined, sliced
from pilotlight.codec.encode import count_out_of_range
from pilotlight.dataplane import RESERVE, DataPlane
from pilotlight.errors import NotReady, PredictionTimeout, RequestError
from pilotlight.frozen import EMPTY, dataclass
from pilotlight.model.tensor import Tensor
from pilotlight.protocols.predict import instance_documents
from pilotlight.records.decode import Decoded, EventRecord, decode

# How much of the time that is left one run may take by the pace of the last one.
_SHARE = 0.5

# Bytes of a string in a tensor, as far as the size of a batch is concerned.
_STRING_BYTES = 64

_Shape: TypeAlias = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A record with its result or, where `error` is not None, its failure. `fault` is a traceback, for the log only."""

    record: EventRecord
    result: Mapping[str, object] = EMPTY
    error: RequestError | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Scoring:
    """The outcome of each record, in the order of the records, and what the model did for them."""

    outcomes: list[Outcome]
    runs: int
    rows: int
    out_of_range: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """A decoded record, its place among the records, and the bytes of its inputs."""

    index: int
    decoded: Decoded
    size: int


class Scorer:
    """Scores records with the served model. It remembers how long a row of each shape took, from event to event."""

    def __init__(self, plane: DataPlane, *, max_bytes: int, clock: Callable[[], float]) -> None:
        """`max_bytes` bounds one payload and the inputs of one batch. `clock` is the data plane's, in seconds."""
        self.plane = plane
        self.max_bytes = max_bytes
        self.clock = clock
        self.paces: dict[_Shape, float] = {}

    def score(self, records: Sequence[EventRecord], deadline: float, trace: Mapping[str, object] = EMPTY) -> Scoring:
        """Return the outcome of each record by the deadline. Never raise for a record.

        Records that cannot be decoded fail with the place of their fault. The others run in batches of one shape, as
        large as `max_bytes` and the time left allow; the first run of a shape is one record, which shows how long a
        row takes. If a batch fails, its halves run, so that a record that the model refuses fails alone. Records whose
        turn does not come in time fail.
        """
        return _Event(self, records, deadline, trace).score()


class _Event:
    """The scoring of one event's records."""

    def __init__(
        self, scorer: Scorer, records: Sequence[EventRecord], deadline: float, trace: Mapping[str, object]
    ) -> None:
        self._plane = scorer.plane
        self._max_bytes = scorer.max_bytes
        self._clock = scorer.clock
        self._paces = scorer.paces
        self._records = records
        self._deadline = deadline
        self._trace = trace
        self._outcomes: dict[int, Outcome] = {}
        self._runs = self._rows = self._out_of_range = 0

    def score(self) -> Scoring:
        groups = self._groups()
        entries = [entry for group in groups for entry in group]
        try:
            if entries:
                self._plane.wait(self._deadline, self._trace)
        except NotReady as error:
            self._fail(entries, error)
        else:
            for group in groups:
                self._score_group(group)
        outcomes = [self._outcomes[index] for index in range(len(self._records))]
        return Scoring(outcomes, self._runs, self._rows, self._out_of_range)

    def _groups(self) -> list[list[_Entry]]:
        """Decode the records, and group those that can share a batch."""
        model = self._plane.model
        groups: dict[tuple[_Shape, int], list[_Entry]] = {}
        for index, record in enumerate(self._records):
            try:
                decoded = decode(model, record, self._max_bytes)
            except RequestError as error:
                self._outcomes[index] = Outcome(record, error=error)
                continue
            entry = _Entry(index, decoded, sum(map(_size, decoded.inputs)))
            shares = decoded.rows is not None and model.signature.batch == -1
            groups.setdefault((_shape(decoded), -1 if shares else index), []).append(entry)
        return list(groups.values())

    def _score_group(self, group: list[_Entry]) -> None:
        shape = _shape(group[0].decoded)
        start = 0
        while start < len(group):
            part = group[start : start + _fitting(group[start:], self._rows_in_time(shape), self._max_bytes)]
            if not part:
                self._fail(group[start:], _out_of_time())
                return
            self._score_part(part, shape)
            start += len(part)

    def _rows_in_time(self, shape: _Shape) -> int:
        """Return how many rows the next run may have; 0 if there is no time for one."""
        left = self._deadline - RESERVE - self._clock()
        pace = self._paces.get(shape)
        if left <= 0 or (pace is not None and pace > left):
            return 0
        return max(1, int(left * _SHARE / max(pace, 1e-9))) if pace is not None else 1

    def _score_part(self, part: list[_Entry], shape: _Shape) -> None:
        """Run a batch; if it fails, its halves."""
        if self._clock() > self._deadline - RESERVE:
            self._fail(part, _out_of_time())
            return
        try:
            self._run(part, shape)
        except (NotReady, PredictionTimeout) as error:
            self._fail(part, error)
        except Exception as error:  # noqa: BLE001 - whatever a library raises, the other records have to be scored
            if len(part) > 1:
                half = len(part) // 2
                self._score_part(part[:half], shape)
                self._score_part(part[half:], shape)
            elif isinstance(error, RequestError):
                self._fail(part, error)
            else:
                failure = RequestError("the record could not be scored", code="internal")
                self._fail(part, failure, traceback.format_exc())

    def _run(self, part: list[_Entry], shape: _Shape) -> None:
        first = part[0].decoded
        alone = len(part) == 1
        counts = [entry.decoded.rows or 1 for entry in part]
        inputs = first.inputs if alone else joined([entry.decoded.inputs for entry in part])
        began = self._clock()
        self._runs += 1
        rows = first.checked_rows if alone else sum(counts)
        outputs = self._plane.run(inputs, rows, self._deadline, self._trace)
        self._paces[shape] = (self._clock() - began) / sum(counts)
        model = self._plane.model
        single = instance_documents(model, outputs) if any(entry.decoded.document is None for entry in part) else []
        start = 0
        for entry, count in zip(part, counts, strict=True):
            document = entry.decoded.document
            own = outputs if alone or document is None else sliced(outputs, start, start + count)
            result = single[start] if document is None else document(own)
            self._outcomes[entry.index] = Outcome(self._records[entry.index], result)
            start += count
        self._rows += sum(counts)
        self._out_of_range += count_out_of_range(model.signature, outputs)

    def _fail(self, entries: Sequence[_Entry], error: RequestError, fault: str = "") -> None:
        for entry in entries:
            self._outcomes[entry.index] = Outcome(self._records[entry.index], error=error, fault=fault)


def _fitting(entries: Sequence[_Entry], rows: int, max_bytes: int) -> int:
    """Return how many of the first entries have at most that many rows and bytes; at least one if a row may run."""
    if not rows:
        return 0
    count = 1
    rows -= entries[0].decoded.rows or 1
    max_bytes -= entries[0].size
    for entry in entries[1:]:
        rows -= entry.decoded.rows or 1
        max_bytes -= entry.size
        if rows < 0 or max_bytes < 0:
            break
        count += 1
    return count


def _shape(decoded: Decoded) -> _Shape:
    """Return the shapes of a record's inputs without the rows, which records of one batch have in common."""
    start = 0 if decoded.rows is None else 1
    return tuple(tensor.shape[start:] for tensor in decoded.inputs)


def _size(tensor: Tensor) -> int:
    return tensor.count * (tensor.datatype.size or _STRING_BYTES)


def _out_of_time() -> RequestError:
    return RequestError("no time was left for this record; it has to come again", code="out_of_time")

"""Many records at once: those of one shape run as one batch, and each gets its own result or failure."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple

from pilotlight.codec.batches import sliced
from pilotlight.codec.encode import count_out_of_range
from pilotlight.dataplane import RESERVE, DataPlane
from pilotlight.errors import NotReady, PredictionTimeout, RequestError
from pilotlight.frozen import EMPTY, dataclass
from pilotlight.model.tensor import Tensor
from pilotlight.protocols.predict import instance_documents
from pilotlight.records.bulk import decode_all
from pilotlight.records.decode import EventRecord, made
from pilotlight.records.groups import Group, Shape, groups_of

# How much of the time that is left one run may take by the pace of the last one.
_SHARE = 0.5


class Outcome(NamedTuple):
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


class Scorer:
    """Scores records with the served model. It remembers how long a row of each shape took, from event to event."""

    def __init__(self, plane: DataPlane, *, max_bytes: int, clock: Callable[[], float]) -> None:
        """`max_bytes` bounds one payload and the inputs of one batch. `clock` is the data plane's, in seconds."""
        self.plane = plane
        self.max_bytes = max_bytes
        self.clock = clock
        self.paces: dict[Shape, float] = {}

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
        try:
            if groups:
                self._plane.wait(self._deadline, self._trace)
        except NotReady as error:
            for group in groups:
                self._fail(group.indices, error)
        else:
            for group in groups:
                self._score_group(group)
        outcomes = [self._outcomes[index] for index in range(len(self._records))]
        return Scoring(outcomes, self._runs, self._rows, self._out_of_range)

    def _groups(self) -> list[Group]:
        """Decode the records, and group those that can share a batch."""
        parts, errors = decode_all(self._plane, self._records, self._max_bytes, self._deadline)
        for index, error in errors.items():
            self._fail((index,), error)
        return groups_of(parts, are_shared=self._plane.model.signature.batch == -1)

    def _score_group(self, group: Group) -> None:
        start = 0
        while start < len(group.indices):
            rows = self._rows_in_time(group.shape)
            if not rows:
                self._fail(group.indices[start:], _out_of_time())
                return
            stop = group.fitting(start, rows, self._max_bytes)
            self._score_part(group, start, stop)
            start = stop

    def _rows_in_time(self, shape: Shape) -> int:
        """Return how many rows the next run may have; 0 if there is no time for one."""
        left = self._deadline - RESERVE - self._clock()
        pace = self._paces.get(shape)
        if left <= 0 or (pace is not None and pace > left):
            return 0
        return max(1, int(left * _SHARE / max(pace, 1e-9))) if pace is not None else 1

    def _score_part(self, group: Group, start: int, stop: int) -> None:
        """Run a batch; if it fails, its halves."""
        indices = group.indices[start:stop]
        if self._clock() > self._deadline - RESERVE:
            self._fail(indices, _out_of_time())
            return
        try:
            self._run(group, start, stop)
        except (NotReady, PredictionTimeout) as error:
            self._fail(indices, error)
        except Exception as error:  # noqa: BLE001 - whatever a library raises, the other records have to be scored
            if stop - start > 1:
                half = (start + stop) // 2
                self._score_part(group, start, half)
                self._score_part(group, half, stop)
            elif isinstance(error, RequestError):
                self._fail(indices, error)
            else:
                failure = RequestError("the record could not be scored", code="internal")
                self._fail(indices, failure, traceback.format_exc())

    def _run(self, group: Group, start: int, stop: int) -> None:
        rows = group.rows(start, stop)
        began = self._clock()
        self._runs += 1
        outputs = self._plane.run(
            group.inputs(start, stop), group.checked_rows(start, stop), self._deadline, self._trace
        )
        self._paces[group.shape] = (self._clock() - began) / rows
        indices = group.indices[start:stop]
        results = self._results(group, start, stop, outputs)
        outcomes = made(Outcome, map(self._records.__getitem__, indices), results, repeat(None), repeat(""))
        self._outcomes.update(zip(indices, outcomes, strict=True))
        self._rows += rows
        self._out_of_range += count_out_of_range(self._plane.model.signature, outputs)

    def _results(
        self, group: Group, start: int, stop: int, outputs: Sequence[Tensor]
    ) -> Iterable[Mapping[str, object]]:
        """Return the result of each record of a part, given the part's outputs."""
        documents = group.documents[start:stop]
        single = instance_documents(self._plane.model, outputs) if None in documents else []
        if not any(documents):
            return single
        results, row = [], 0
        for index, document in zip(range(start, stop), documents, strict=True):
            after = row + group.count(index)
            own = outputs if stop - start == 1 or document is None else sliced(outputs, row, after)
            results.append(single[row] if document is None else document(own))
            row = after
        return results

    def _fail(self, indices: Iterable[int], error: RequestError, fault: str = "") -> None:
        for index in indices:
            self._outcomes[index] = Outcome(self._records[index], error=error, fault=fault)


def _out_of_time() -> RequestError:
    return RequestError("no time was left for this record; it has to come again", code="out_of_time")

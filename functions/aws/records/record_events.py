"""One event of records: score them, write the results, report the failures by the rule of the source.

What the source delivers again has no result yet: a record that failed, and those that a queue's or stream's order puts
behind it. A tombstone's result is null, which tells a reader that the last one is void.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import direct_events
import emf
from destinations import Destination, Result
from event_sources import Batch, Delivery, read_event
from failure_rules import Position, RecordsFailed, redelivered, reply
from http_events import Invocation
from pilotlight.errors import RequestError
from pilotlight.frozen import replace
from pilotlight.records.decode import made
from pilotlight.records.results import OWN_ERRORS, failure_document, result_texts, scored
from pilotlight.records.score import Outcome, Scorer, Scoring
from pilotlight.service import Service
from s3_objects import Objects

# The part of an invocation's time that is reserved to write the results, at most so many seconds; and the seconds
# before the deadline by which the function returns.
_WRITING_SHARE, _MAX_WRITING = 0.25, 10.0
_RETURN = 0.3

_Pair: TypeAlias = "tuple[Delivery, Outcome | None]"
"""A record and its outcome, None for a tombstone."""


class RecordEvents:
    """Answers events with a service's model."""

    def __init__(
        self,
        service: Service,
        results: Destination,
        failures: Destination | None,
        objects: Objects,
        environ: Mapping[str, str],
    ) -> None:
        """`results` and `failures` are where those go; without the latter, a poison record stays with its source.

        `objects` reads what notifications name.
        """
        self._environ = environ
        self._service = service
        self._scorer = Scorer(service.plane, max_bytes=service.max_body_bytes, clock=time.monotonic)
        self._results = results
        self._failures = failures
        self._objects = objects
        self._names = frozenset(service.model.signature.feature_names)

    def answer(self, invocation: Invocation) -> dict[str, Any]:
        """Return which records are to come again; or to a warmer or a test, the model's readiness.

        Raises ValueError for any other event, which its source then delivers again, and RecordsFailed where its source
        does not take replies.
        """
        if isinstance(invocation.event, dict) and direct_events.is_harmless(invocation.event):
            return direct_events.readiness(self._service, invocation, self._environ)
        began = time.monotonic()
        writing = min((invocation.deadline - began) * _WRITING_SHARE, _MAX_WRITING)
        batch = read_event(invocation.event, self._names)
        deliveries, errors = self._objects.read(batch.deliveries, invocation.deadline - writing)
        batch = replace(batch, deliveries=deliveries)
        records = [delivery.record for delivery in batch.deliveries if delivery.record is not None]
        trace = emf.trace_fields({}, self._environ)
        scoring = self._scorer.score(records, invocation.deadline - writing, trace)
        pairs = _paired(batch.deliveries, scoring)
        errors |= {delivery.id: outcome.error for delivery, outcome in pairs if outcome and outcome.error}
        logged = dict(errors)
        rejected = self._reject(batch, errors, invocation.deadline - _RETURN)
        without = _ids(batch, _again(batch, errors)) | rejected
        results = _results([pair for pair in pairs if pair[0].id not in without])
        unwritten = self._results.write(results, invocation.deadline - _RETURN)
        errors |= {id_: _unwritten("result", reason) for id_, reason in unwritten.items()}
        logged |= errors
        again = _again(batch, errors)
        with suppress(Exception):  # a failing log must not fail the records
            self._service.report(
                scored(
                    scoring,
                    logged,
                    self._service.model,
                    request_id=invocation.id,
                    source=batch.deliveries[0].source if batch.deliveries else "",
                    records=len(batch.deliveries),
                    failed=len(again),
                    rejected=len(rejected),
                    trace=trace,
                    traces={delivery.id: delivery.trace for delivery in batch.deliveries if delivery.trace},
                    latency_ms=round((time.monotonic() - began) * 1000, 3),
                )
            )
        if again and batch.rule == "all":
            (id_, error), *others = errors.items()
            more = f", and {len(others)} more" if others else ""
            raise RecordsFailed(f"{id_}: {error.message} ({error.code}){more}")
        return reply(batch.rule, again)

    def _reject(self, batch: Batch, errors: dict[str, RequestError], deadline: float) -> set[str]:
        """Write the records that can never succeed to the failures, and return their ids; take them out of `errors`.

        One that comes again anyway, behind a record that may succeed, waits for its turn. If a failure cannot be
        written, the record stays among the errors.
        """
        if self._failures is None:
            return set()
        own = {id_: error for id_, error in errors.items() if error.code in OWN_ERRORS}
        waiting = _ids(batch, _again(batch, errors.keys() - own.keys()))
        rejected = {
            delivery.id: self._failure(delivery, own[delivery.id])
            for delivery in batch.deliveries
            if delivery.id in own and delivery.id not in waiting
        }
        unwritten = self._failures.write(list(rejected.values()), deadline)
        for id_ in rejected:
            del errors[id_]
        errors |= {id_: _unwritten(f"failure ({own[id_].message})", reason) for id_, reason in unwritten.items()}
        return rejected.keys() - unwritten.keys()

    def _failure(self, delivery: Delivery, error: RequestError) -> Result:
        content = failure_document(
            delivery.id,
            delivery.source,
            delivery.key,
            delivery.record,
            error,
            model=self._service.model,
            code_version=self._environ.get("AWS_LAMBDA_FUNCTION_VERSION", ""),
        )
        return Result(delivery.id, delivery.source, delivery.time, content.decode(), delivery.file)


def _paired(deliveries: Sequence[Delivery], scoring: Scoring) -> list[_Pair]:
    outcomes = iter(scoring.outcomes)
    return [(delivery, None if delivery.record is None else next(outcomes)) for delivery in deliveries]


def _again(batch: Batch, failing: Collection[str]) -> list[Position]:
    """Return what comes again if the records with those ids have failed."""
    if not failing:
        return []
    failed = {delivery.position.identifier for delivery in batch.deliveries if delivery.id in failing}
    return redelivered(batch.rule, [delivery.position for delivery in batch.deliveries], failed)


def _ids(batch: Batch, positions: Iterable[Position]) -> set[str]:
    identifiers = {position.identifier for position in positions}
    if not identifiers:
        return set()
    return {delivery.id for delivery in batch.deliveries if delivery.position.identifier in identifiers}


def _results(pairs: Iterable[_Pair]) -> list[Result]:
    """Return a result for each id; of records that come more than once, the last one's."""
    found = {pair[0].id: pair for pair in pairs}
    sources = [delivery.source for delivery, _ in found.values()]
    texts = result_texts(
        found,
        sources,
        [delivery.key for delivery, _ in found.values()],
        [outcome and outcome.result for _, outcome in found.values()],
    )
    times = [delivery.time for delivery, _ in found.values()]
    return made(Result, found, sources, times, texts, [delivery.file for delivery, _ in found.values()])


def _unwritten(what: str, reason: str) -> RequestError:
    return RequestError(f"the {what} could not be written: {reason}", code="destination")

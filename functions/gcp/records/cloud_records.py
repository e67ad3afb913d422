"""One CloudEvent: score its records, write their results, and say whether it is acknowledged or has to come again.

Pub/Sub and Eventarc acknowledge by the status: 2xx is done, all others come again, until the subscription's number of
attempts sends them to its dead-letter topic. https://cloud.google.com/pubsub/docs/push#receive_push
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from cloud_destinations import Destination, Origin, Outgoing
from cloud_events import Message, StoredObject, read_event
from google_api import Call, GoogleApi
from pilotlight.errors import NotFound, RequestError, StoreError
from pilotlight.fetch.http_client import percent_encoded
from pilotlight.frozen import dataclass
from pilotlight.records.decode import EventRecord
from pilotlight.records.objects import check_object, read_object
from pilotlight.records.results import failure_document, result_document, scored
from pilotlight.records.score import Scorer, Scoring
from pilotlight.service import Service

# Seconds for an event, of a function's default timeout of 60, and what is reserved of them to write the results.
EVENT_SECONDS, _WRITING = 50.0, 15.0

# Errors that another delivery may not meet. Nothing of such an event is final: all of its records come again.
_PASSING = ("destination", "features_unavailable", "not_ready", "out_of_time", "prediction_timeout", "source")

_NOTHING = Scoring([], 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Event:
    """A CloudEvent: its id, type and source, its data, and the fields that link a log line to its request."""

    id: str
    type: str
    source: str
    data: object
    trace: Mapping[str, object]


class CloudRecords:
    """Answers CloudEvents with a service's model."""

    def __init__(
        self,
        service: Service,
        storage: GoogleApi,
        results: Destination,
        failures: Destination | None,
        revision: str = "",
    ) -> None:
        """`storage` has the objects. `failures` gets records that can never be scored; without it they come again.

        `revision` is this version of the function.
        """
        self._service = service
        self._scorer = Scorer(service.plane, max_bytes=service.max_body_bytes, clock=time.monotonic)
        self._storage = storage
        self._results = results
        self._failures = failures
        self._revision = revision

    def answer(self, event: Event) -> RequestError | None:
        """Return None for an event that is done, with its results and failures written; else why it is not."""
        began = time.monotonic()
        deadline = began + EVENT_SECONDS
        scoring, errors, origin = _NOTHING, dict[str, RequestError](), Origin(event.id, "", event.id, time.time())
        records: Sequence[EventRecord] = ()
        refused: RequestError | None = None
        rejected = 0
        try:
            found = read_event(event.type, event.source, event.data)
            origin = _origin(found)
            records = self._records(found, deadline - _WRITING)
            scoring = self._scorer.score(records, deadline - _WRITING, event.trace)
            errors = {outcome.record.id: outcome.error for outcome in scoring.outcomes if outcome.error}
            refused = _passing(errors)
            if refused is None:
                self._results.write(origin, _results(origin, scoring), deadline)
        except RequestError as error:
            refused = error
            errors |= {origin.id: error}
        if errors and (refused is None or refused.code not in _PASSING):
            refused = self._reject(origin, records, errors, deadline)
            rejected = 0 if refused else len(errors)
        if refused is not None and refused not in errors.values():
            errors[origin.id] = refused
        with suppress(Exception):  # a failing log must not fail the records
            count = max(len(records), len(errors))
            self._service.report(
                scored(
                    scoring,
                    errors,
                    self._service.model,
                    request_id=event.id,
                    source=origin.source,
                    records=count,
                    failed=count if refused else 0,
                    rejected=rejected,
                    trace=event.trace,
                    latency_ms=round((time.monotonic() - began) * 1000, 3),
                )
            )
        return refused

    def _records(self, found: Message | StoredObject, deadline: float) -> Sequence[EventRecord]:
        if isinstance(found, Message):
            return [found.record]
        written = (self._results, self._failures) if self._failures else (self._results,)
        if any(place.holds(found.bucket, found.name) for place in written):
            return []  # what was written is an event of the same bucket
        limit = self._service.max_body_bytes
        check_object(found.name, found.size, limit)
        target = (
            f"/storage/v1/b/{percent_encoded(found.bucket)}/o/{percent_encoded(found.name)}"
            f"?alt=media&generation={found.generation}"
        )
        try:
            reply = self._storage.call(Call("GET", target, limit=limit), deadline)
        except StoreError as error:
            raise RequestError(f"the object could not be read: {error}", code="source") from error
        if reply.status == 404:
            raise NotFound(f"{found.id} does not exist any more: it was replaced or deleted")
        if reply.status != 200:
            raise RequestError(f"{found.id} could not be read: {reply.text}", code="source")
        check_object(
            found.name, len(reply.content), limit
        )  # the size of an object that is stored compressed is smaller
        return read_object(found.id, found.name, reply.content, limit)

    def _reject(
        self, origin: Origin, records: Sequence[EventRecord], errors: Mapping[str, RequestError], deadline: float
    ) -> RequestError | None:
        """Write the failures that no delivery could mend. Without a place for them, return the first."""
        if self._failures is None:
            return next(iter(errors.values()))
        came = {record.id: record for record in records}
        failures = [
            Outgoing(
                failure_document(
                    id_,
                    origin.source,
                    origin.key,
                    came.get(id_),
                    error,
                    model=self._service.model,
                    code_version=self._revision,
                ),
                {"id": id_, "source": origin.source, "code": error.code},
            )
            for id_, error in errors.items()
        ]
        try:
            self._failures.write(origin, failures, deadline)
        except RequestError as error:
            return error
        return None


def _origin(found: Message | StoredObject) -> Origin:
    if isinstance(found, Message):
        return Origin(found.record.id, found.source, found.record.id, found.time, found.key)
    return Origin(found.id, found.bucket, f"{found.name}.{found.generation}", found.time, found.url)


def _results(origin: Origin, scoring: Scoring) -> list[Outgoing]:
    return [
        Outgoing(
            result_document(outcome.record.id, origin.source, origin.key, outcome),
            {"id": outcome.record.id, "source": origin.source},
        )
        for outcome in scoring.outcomes
        if outcome.error is None
    ]


def _passing(errors: Mapping[str, RequestError]) -> RequestError | None:
    return next((error for error in errors.values() if error.code in _PASSING), None)


def status(error: RequestError) -> int:
    """Return the status of an event that is not done: 5xx unless the event itself is at fault."""
    if error.code in ("destination", "out_of_time", "source"):
        return 503
    return 500 if error.code == "internal" else error.status

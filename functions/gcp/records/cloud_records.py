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
from pilotlight.codec.encode import to_json
from pilotlight.errors import NotFound, RequestError, StoreError
from pilotlight.fetch.http_client import percent_encoded
from pilotlight.frozen import dataclass, replace
from pilotlight.records.decode import EventRecord
from pilotlight.records.objects import check_object, read_object
from pilotlight.records.results import result_document, scored
from pilotlight.records.score import Scorer, Scoring
from pilotlight.service import Service

# Seconds for an event, of a function's default timeout of 60, and what is reserved of them to write the results.
EVENT_SECONDS, _WRITING = 50.0, 15.0

# Errors that another delivery may not meet. Nothing of such an event is final: all of its records come again.
_PASSING = ("destination", "not_ready", "out_of_time", "prediction_timeout", "source")

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
        self, service: Service, storage: GoogleApi, results: Destination, failures: Destination | None
    ) -> None:
        """`storage` has the objects. `failures` gets records that can never be scored; without it they come again."""
        self._service = service
        self._scorer = Scorer(service.plane, max_bytes=service.max_body_bytes, clock=time.monotonic)
        self._storage = storage
        self._results = results
        self._failures = failures

    def answer(self, event: Event) -> RequestError | None:
        """Return None for an event that is done, with its results and failures written; else why it is not."""
        began = time.monotonic()
        deadline = began + EVENT_SECONDS
        scoring, errors, origin = _NOTHING, dict[str, RequestError](), Origin("", "", 0.0)
        records: Sequence[EventRecord] = ()
        refused: RequestError | None = None
        try:
            found = read_event(event.type, event.source, event.data)
            origin = _origin(found)
            records = self._records(found, deadline - _WRITING)
            scoring = self._scorer.score(records, deadline - _WRITING, event.trace)
            errors = {outcome.record.id: outcome.error for outcome in scoring.outcomes if outcome.error}
            refused = _passing(errors)
            if refused is None:
                self._results.write(origin, _results(found, scoring), deadline)
        except RequestError as error:
            refused = error
            errors |= {event.id: error}
        if errors and (refused is None or refused.code not in _PASSING):
            refused = self._fail(event, origin, records, errors, deadline)
        if refused is not None and refused not in errors.values():
            errors[event.id] = refused
        with suppress(Exception):  # a failing log must not fail the records
            record = scored(
                scoring,
                errors,
                self._service.model,
                request_id=event.id,
                source=origin.source,
                records=max(len(records), len(errors)),
                failed=max(len(records), 1) if refused else len(errors),
                latency_ms=round((time.monotonic() - began) * 1000, 3),
            )
            self._service.report(replace(record, trace=event.trace))
        return refused

    def _records(self, found: Message | StoredObject, deadline: float) -> Sequence[EventRecord]:
        if isinstance(found, Message):
            return [found.record]
        if self._results.holds(found.bucket, found.name):
            return []  # a result that was written is an event of the same bucket
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

    def _fail(
        self,
        event: Event,
        origin: Origin,
        records: Sequence[EventRecord],
        errors: Mapping[str, RequestError],
        deadline: float,
    ) -> RequestError | None:
        """Publish the failures that no delivery could mend. Without a topic for them, return the first."""
        if self._failures is None:
            return next(iter(errors.values()))
        payloads = {record.id: record for record in records}
        model = self._service.model
        failures = []
        for id_, error in errors.items():
            record = payloads.get(id_) or EventRecord(id_, to_json(event.data))
            assert isinstance(record.payload, bytes)  # noqa: S101 - as both sources deliver it
            attributes = {
                **record.attributes,
                "pilotlight-id": id_,
                "pilotlight-source": origin.source,
                "pilotlight-code": error.code,
                "pilotlight-error": error.message,
                "pilotlight-path": error.path or "",
                "pilotlight-model": f"{model.name}:{model.version}",
            }
            failures.append(Outgoing(record.payload, attributes))
        try:
            self._failures.write(origin, failures, deadline)
        except RequestError as error:
            return error
        return None


def _origin(found: Message | StoredObject) -> Origin:
    if isinstance(found, Message):
        return Origin(found.source, found.record.id, found.time)
    return Origin(found.bucket, f"{found.name}.{found.generation}", found.time)


def _results(found: Message | StoredObject, scoring: Scoring) -> list[Outgoing]:
    source, key = (found.source, found.key) if isinstance(found, Message) else (found.bucket, found.url)
    return [
        Outgoing(result_document(outcome.record.id, source, key, outcome), {"id": outcome.record.id, "source": source})
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

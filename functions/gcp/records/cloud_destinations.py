"""Where results and failures go: a topic of Pub/Sub, or objects in Cloud Storage.

Whoever reads a topic may get a result again, under the same id. An object is created once: the precondition lets no
redelivery write it again, and the function needs no permission to replace or delete objects.
https://cloud.google.com/pubsub/quotas#resource_limits and https://cloud.google.com/storage/docs/request-preconditions
"""

from __future__ import annotations

import time
from binascii import b2a_base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from google_api import Call, GoogleApi, Reply, pubsub, storage
from pilotlight.codec.encode import to_json
from pilotlight.errors import RequestError, SettingsError, StoreError
from pilotlight.fetch.http_client import percent_encoded
from pilotlight.frozen import dataclass

# Of one request to publish: messages and bytes, and of an attribute's value.
_MAX_MESSAGES, _MAX_BYTES, _MAX_VALUE = 1000, 9_000_000, 1024

# Bytes of a message around its data and attributes.
_AROUND = 100


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish, or a line of an object: its data and its attributes."""

    data: bytes
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Origin:
    """The event that results are of: the id of its record or object, its source, its name there, its time, its key.

    The time is in seconds since 1970, and the key that of a result, None without one.
    """

    id: str
    source: str
    name: str
    time: float
    key: str | None = None


class Destination(Protocol):
    """Where the results of an event go."""

    def holds(self, bucket: str, name: str) -> bool:
        """Whether an object could be one of the results."""
        ...

    def write(self, origin: Origin, results: Sequence[Outgoing], deadline: float) -> None:
        """Write all results of an event by the deadline, on `time.monotonic`'s clock.

        Raises RequestError with the code `destination`. Some may have been written: the event comes again, and they are
        written under the same ids.
        """
        ...


def open_destination(place: str, environ: Mapping[str, str]) -> Bucket | Topic:
    """Return the destination at a value of PILOTLIGHT_RESULTS or PILOTLIGHT_FAILURES.

    Raises SettingsError for another cloud's.
    """
    if place.startswith("gs://"):
        return Bucket(place, storage(environ))
    if place.startswith("projects/"):
        return Topic(place, pubsub(environ))
    raise SettingsError(
        f"found the destination {place!r}; on Google Cloud expected gs://bucket/prefix or projects/PROJECT/topics/TOPIC"
    )


class Topic:
    """A topic by its full name, `projects/PROJECT/topics/TOPIC`."""

    def __init__(self, name: str, api: GoogleApi) -> None:
        self._name = name
        self._api = api

    def holds(self, bucket: str, name: str) -> bool:  # noqa: ARG002
        """See `Destination.holds`."""
        return False

    def write(self, origin: Origin, results: Sequence[Outgoing], deadline: float) -> None:  # noqa: ARG002
        """See `Destination.write`. Results keep their order within a request."""
        for part in _parts([_message(result) for result in results]):
            body = b'{"messages":[%b]}' % b",".join(part)
            call = Call("POST", f"/v1/{self._name}:publish", body)
            _check(_call(self._api, call, deadline), self._name)


class Bucket:
    """A prefix in a bucket, `gs://bucket/prefix`."""

    def __init__(self, place: str, api: GoogleApi) -> None:
        self._place = place
        self._api = api
        self._bucket, _, prefix = place.removeprefix("gs://").partition("/")
        self._prefix = prefix.rstrip("/")

    def holds(self, bucket: str, name: str) -> bool:
        """See `Destination.holds`."""
        return bucket == self._bucket and name.startswith(f"{self._prefix}/" if self._prefix else "")

    def write(self, origin: Origin, results: Sequence[Outgoing], deadline: float) -> None:
        """See `Destination.write`. Writes an object of one line for each result, in a partition by the event's day."""
        if not results:
            return
        day = time.strftime("%Y-%m-%d", time.gmtime(origin.time))
        parts = (self._prefix, origin.source, f"dt={day}", f"{origin.name}.jsonl")
        name = percent_encoded("/".join(filter(None, parts)))
        bucket = percent_encoded(self._bucket)
        target = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&ifGenerationMatch=0&name={name}"
        body = b"".join(result.data + b"\n" for result in results)
        reply = _call(self._api, Call("POST", target, body, "application/x-ndjson"), deadline)
        if reply.status == 412:  # an earlier delivery wrote it
            return
        if reply.status == 403:  # so may a role without storage.objects.delete be answered about an existing object
            found = _call(self._api, Call("GET", f"/storage/v1/b/{bucket}/o/{name}"), deadline)
            reply = found if found.status == 200 else reply
        _check(reply, self._place)


def _call(api: GoogleApi, call: Call, deadline: float) -> Reply:
    try:
        return api.call(call, deadline)
    except StoreError as error:
        raise _unwritten(str(error)) from error


def _check(reply: Reply, place: str) -> None:
    if reply.status != 200:
        raise _unwritten(f"{place}: {reply.text}")


def _unwritten(reason: str) -> RequestError:
    return RequestError(f"it could not be written: {reason}", code="destination")


def _message(outgoing: Outgoing) -> bytes:
    attributes = {name: _short(value) for name, value in outgoing.attributes.items() if value}
    return to_json({"data": b2a_base64(outgoing.data, newline=False).decode(), "attributes": attributes})


def _short(value: str) -> str:
    return value.encode()[:_MAX_VALUE].decode(errors="ignore")


def _parts(messages: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Divide messages into requests within the limits. One that is too large by itself is a request, and is refused."""
    part: list[bytes] = []
    size = 0
    for message in messages:
        needed = len(message) + _AROUND
        if part and (len(part) == _MAX_MESSAGES or size + needed > _MAX_BYTES):
            yield part
            part, size = [], 0
        part.append(message)
        size += needed
    if part:
        yield part

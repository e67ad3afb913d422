"""CloudEvents of Google's sources: a message published to a topic, or an object written to a bucket.

https://github.com/googleapis/google-cloudevents has their data. Pub/Sub's own push wraps a message alike, without a
CloudEvent around it; functions-framework adds that.
"""

from __future__ import annotations

from binascii import Error, a2b_base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pilotlight.errors import InvalidRequest
from pilotlight.frozen import dataclass
from pilotlight.model.json_document import describe
from pilotlight.records.decode import EventRecord

PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"
FINALIZED = "google.cloud.storage.object.v1.finalized"


@dataclass(frozen=True, slots=True)
class Message:
    """A message: its topic's or subscription's name, the record, and when it was published, in seconds since 1970.

    `key` is its ordering key, None without one.
    """

    source: str
    record: EventRecord
    time: float
    key: str | None


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in one generation: its size in bytes, and when it was written, in seconds since 1970."""

    bucket: str
    name: str
    generation: str
    size: int
    time: float

    @property
    def url(self) -> str:
        """The object's URL, of any generation."""
        return f"gs://{self.bucket}/{self.name}"

    @property
    def id(self) -> str:
        """The id of the object as a record. Its rows add their line."""
        return f"{self.url}#{self.generation}"


def read_event(kind: str, source: str, data: object) -> Message | StoredObject:
    """Return what an event of that type and source delivers. Raise InvalidRequest with what was found instead."""
    if kind not in (PUBLISHED, FINALIZED):
        raise InvalidRequest(
            f"found an event of the type {describe(kind)}, expected {PUBLISHED} or {FINALIZED}", "$.type"
        )
    try:
        return _message(source, data) if kind == PUBLISHED else _object(data)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidRequest(f"the event lacks a field or has another value there: {error!r}", "$.data") from None


def _message(source: str, data: Any) -> Message:  # noqa: ANN401 - events have any form
    message: Mapping[str, Any] = data["message"]
    topic, _, name = source.rpartition("/topics/")
    subscription = data.get("subscription") or ""
    attributes: Mapping[str, str] = message.get("attributes") or {}
    try:
        payload = a2b_base64(message.get("data") or "", strict_mode=True)
    except Error as error:
        raise InvalidRequest(f"the message's data is not valid base64: {error}", "$.data.message.data") from None
    record = EventRecord(
        message.get("messageId") or message["message_id"],
        payload,
        {each.lower(): value for each, value in attributes.items()},
    )
    return Message(
        name if topic else subscription.rpartition("/")[2],
        record,
        _seconds(message.get("publishTime") or message["publish_time"]),
        message.get("orderingKey") or None,
    )


def _object(data: Any) -> StoredObject:  # noqa: ANN401
    return StoredObject(
        data["bucket"],
        data["name"],
        str(int(data["generation"])),
        int(data["size"]),
        _seconds(data["timeCreated"]),
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()

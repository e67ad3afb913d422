"""Messages of Kafka as records to score, and what is written for them: results, and dead letters.

A record's id is `topic-partition-offset`, the same at each delivery, as of the function for records on AWS.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import cast

from confluent_kafka import Message, TopicPartition

from pilotlight.errors import RequestError
from pilotlight.frozen import dataclass
from pilotlight.model.lock import Description
from pilotlight.records.decode import EventRecord
from pilotlight.records.results import result_document
from pilotlight.records.score import Outcome

Partition = tuple[str, int]
"""A topic and the number of its partition."""

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that was read. `record` is None for a tombstone: a message without a value."""

    id: str
    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    record: EventRecord | None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to write on behalf of `incoming`. `error` is why it is a dead letter, None for a result."""

    incoming: Incoming
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    error: RequestError | None = None


def read_message(message: Message[bytes, bytes]) -> Incoming:
    """Return a message without an error as a record; its headers are the record's attributes."""
    topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
    name = f"{topic}-{partition}-{offset}"
    given = cast("list[tuple[str, str | bytes | None]]", message.headers() or [])
    headers = [(key, _bytes(value)) for key, value in given]
    attributes = {key.lower(): value.decode(errors="replace") for key, value in headers}
    value = message.value()
    return Incoming(
        name,
        (topic, partition),
        offset,
        message.key(),
        value,
        headers,
        None if value is None else EventRecord(name, value, attributes),
    )


def result_message(incoming: Incoming, outcome: Outcome | None, topic: str) -> Outgoing:
    """Return the message of a result, under the key of its record. Without an outcome it is a tombstone's."""
    content = result_document(incoming.id, incoming.partition[0], _text(incoming.key), outcome)
    return Outgoing(incoming, topic, incoming.key, content, [("content-type", b"application/json")])


def dead_letter(incoming: Incoming, error: RequestError, model: Description, topic: str) -> Outgoing:
    """Return the message for a record that cannot be scored: the record itself, with the reason in headers."""
    reason = {
        "id": incoming.id,
        "code": error.code,
        "error": error.message,
        "path": error.path or "",
        "model": f"{model.name}:{model.version}",
        "model-digest": model.files[0].sha256,
    }
    headers = [*incoming.headers, *((f"pilotlight-{name}", text.encode()) for name, text in reason.items())]
    return Outgoing(incoming, topic, incoming.key, incoming.value, headers, error)


def to_kafka(partitions: Iterable[Partition]) -> list[TopicPartition]:
    """Return partitions as the client has them."""
    return [TopicPartition(topic, number) for topic, number in partitions]


def _bytes(value: str | bytes | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""


def _text(key: bytes | None) -> str | None:
    """Return a key as text, or in base64 if it is no text."""
    if key is None:
        return None
    try:
        return key.decode()
    except UnicodeDecodeError:
        return b64encode(key).decode()

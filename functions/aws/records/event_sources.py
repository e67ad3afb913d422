"""Events of queues and streams: their records, whatever the envelope.

SQS, standard and FIFO, also with SNS, EventBridge or S3 in front of the queue; SNS, EventBridge and S3 themselves;
Kinesis; DynamoDB Streams; Kafka, of MSK and self-managed:
https://docs.aws.amazon.com/lambda/latest/dg/lambda-services.html has their events.
"""

from __future__ import annotations

from binascii import Error, a2b_base64
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import emf
from dynamodb_values import to_values
from envelopes import Content, S3Object, has_envelope, notified, read_bridged, read_content, texts, to_seconds
from failure_rules import Position, Rule
from pilotlight.frozen import EMPTY, dataclass
from pilotlight.model.json_document import describe
from pilotlight.records.decode import EventRecord, made

_BASE64 = {"content-encoding": "base64"}


class Delivery(NamedTuple):
    """A record of an event.

    `source` is the queue's, stream's, table's, topic's or bucket's name, and `time` is when the record got there, in
    seconds since 1970; both are the same at each delivery. `record` is None for a tombstone: the key was deleted. `key`
    is the key in the source as a JSON value, None without one. `object` has the record, or several, and has not been
    read yet. `file` is the id of the object in which the record was; the records of a file have results in one file.
    `trace` has the fields that link a log line to the trace in which the record was sent.
    """

    id: str
    source: str
    position: Position
    record: EventRecord | None
    time: float
    key: object = None
    object: S3Object | None = None
    file: str = ""
    trace: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class Batch:
    """The records of an event, and the rule of its source for failures."""

    rule: Rule
    deliveries: list[Delivery]


# The fields of a delivery from `key` on, of records that have none of them.
_ABSENT = (repeat(None), repeat(None), repeat(""), repeat(EMPTY))


def read_event(event: object, names: Collection[str]) -> Batch:
    """Return the records of an event. `names` are the model's features.

    Raises ValueError, with what was found, for an event of an unknown source or one that lacks a field: its source then
    delivers all of it again.
    """
    try:
        batch = _read(event, names)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a record of the event lacks a field or has another type there: {error}") from error
    if batch is None:
        expected = "records of SQS, SNS, S3, Kinesis, DynamoDB Streams or Kafka, or an event of EventBridge"
        raise ValueError(f"expected {expected}; found {_found(event)}")
    return batch


def _read(event: Any, names: Collection[str]) -> Batch | None:  # noqa: ANN401 - events have any form
    match event:
        case {"eventSource": "aws:kafka" | "SelfManagedKafka", "records": dict(partitions)}:
            return Batch("each", [_kafka(record) for records in partitions.values() for record in records])
        case {"detail-type": str(), "source": str(), "detail": dict()}:
            return Batch("all", _bridged(event))
        case {"Records": [{"eventSource": str(source)} | {"EventSource": str(source)}, *_]}:
            return _read_records(source, _of_one_source(event), names)
    return None


def _read_records(source: str, records: list[dict[str, Any]], names: Collection[str]) -> Batch | None:
    match source:
        case "aws:sqs":
            rule: Rule = "group" if records[0]["eventSourceARN"].endswith(".fifo") else "each"
            return Batch(rule, _plain_sqs(records) or _flat(map(_sqs, records)))
        case "aws:kinesis":
            return Batch("stream", _kinesis(records))
        case "aws:dynamodb":
            return Batch("stream", _dynamodb(records, names))
        case "aws:sns":
            return Batch("all", _flat(map(_sns, records)))
        case "aws:s3":
            return Batch("all", [_of_object(notified(record)) for record in records])
    return None


def _of_one_source(event: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - events have any form
    records: list[dict[str, Any]] = event["Records"]
    sources = sorted({record.get("eventSource") or record["EventSource"] for record in records})
    if len(sources) > 1:
        raise ValueError(f"expected records of one source, found {', '.join(sources)}")
    return records


def _found(event: object) -> str:
    match event:
        case {"Records": [{"eventSource": source} | {"EventSource": source}, *_]} | {"eventSource": source}:
            return f"records of {describe(source)}"
        case {"Records": []}:
            return "no records"
        case dict():
            return f"the fields {sorted(map(str, event))}"
    return describe(event)


def _flat(deliveries: Iterable[list[Delivery]]) -> list[Delivery]:
    return [delivery for some in deliveries for delivery in some]


def _deliveries(
    content: Content, source: str, position: Position, time: float, xray: str | None = None
) -> list[Delivery]:
    """Return the delivery of a record, by its position, or one for each object that has the records."""
    attributes, id_ = content.attributes, str(position.identifier)
    trace = _trace(attributes.get("traceparent") if attributes else None, xray)
    if content.objects is not None:
        return [_of_object(found)._replace(position=position, trace=trace) for found in content.objects]
    record = EventRecord(id_, content.payload, attributes)
    return [Delivery(id_, source, position, record, time, None, None, "", trace)]


def _trace(w3c: str | None, xray: str | None = None) -> Mapping[str, object]:
    """Return the fields of a record's own trace, not of the invocation that scores it."""
    return emf.trace_fields({"traceparent": w3c or "", "x-amzn-trace-id": xray or ""}, {}) if w3c or xray else EMPTY


def _of_object(found: S3Object) -> Delivery:
    pending = None if found.is_removed else found
    return Delivery(found.id, found.bucket, Position(found.id), None, found.time, found.url, pending, found.id)


def _plain_sqs(records: Sequence[dict[str, Any]]) -> list[Delivery]:
    """Return the messages of a queue if all have a body alone, else none: `_sqs` reads what else there may be."""
    own = [record["attributes"] for record in records]
    bodies = [record["body"] for record in records]
    more = [record for record in records if record.get("messageAttributes")]
    if more or [attributes for attributes in own if "AWSTraceHeader" in attributes] or has_envelope("\n".join(bodies)):
        return []
    ids = [record["messageId"] for record in records]
    arns = [record["eventSourceARN"] for record in records]
    queues = {arn: arn.rpartition(":")[2] for arn in set(arns)}
    return made(
        Delivery,
        ids,
        map(queues.__getitem__, arns),
        made(Position, ids, [attributes.get("MessageGroupId", "") for attributes in own], repeat(0)),
        made(EventRecord, ids, bodies, repeat(EMPTY)),
        [int(attributes["SentTimestamp"]) / 1000 for attributes in own],
        *_ABSENT,
    )


def _sqs(record: dict[str, Any]) -> list[Delivery]:
    own, sent = record["attributes"], record.get("messageAttributes")
    content = read_content(record["body"], texts(sent, "stringValue") if sent else EMPTY)
    queue = record["eventSourceARN"].rpartition(":")[2]
    position = Position(record["messageId"], own.get("MessageGroupId", ""))
    return _deliveries(content, queue, position, int(own["SentTimestamp"]) / 1000, own.get("AWSTraceHeader"))


def _sns(record: dict[str, Any]) -> list[Delivery]:
    message = record["Sns"]
    content = read_content(message["Message"], texts(message.get("MessageAttributes") or {}, "Value"))
    topic = message["TopicArn"].rpartition(":")[2]
    return _deliveries(content, topic, Position(message["MessageId"]), to_seconds(message["Timestamp"]))


def _bridged(event: dict[str, Any]) -> list[Delivery]:
    return _deliveries(read_bridged(event), event["source"], Position(event["id"]), to_seconds(event["time"]))


def _kinesis(records: Sequence[dict[str, Any]]) -> list[Delivery]:
    data = [record["kinesis"] for record in records]
    numbers = [each["sequenceNumber"] for each in data]
    ids = [record["eventID"] for record in records]
    return made(
        Delivery,
        ids,
        [record["eventSourceARN"].split("/")[1] for record in records],
        made(Position, numbers, repeat(""), map(int, numbers)),
        made(EventRecord, ids, [each["data"] for each in data], repeat(_BASE64)),
        [float(each["approximateArrivalTimestamp"]) for each in data],
        [each["partitionKey"] for each in data],
        *_ABSENT[1:],
    )


def _dynamodb(records: Sequence[dict[str, Any]], names: Collection[str]) -> list[Delivery]:
    """Read changes of items. Attributes of a key that are no features only name its item, and are left out."""
    changes = [record["dynamodb"] for record in records]
    numbers = [change["SequenceNumber"] for change in changes]
    keys = to_values([change["Keys"] for change in changes])
    removed = [record["eventName"] == "REMOVE" for record in records]
    images = [{} if is_removed else change.get("NewImage") for change, is_removed in zip(changes, removed, strict=True)]
    if None in images:
        raise ValueError("a record has no new image; set the stream's view type to NEW_IMAGE or NEW_AND_OLD_IMAGES")
    items = to_values(images)
    for item, key in zip(items, keys, strict=True):
        for name in key.keys() - names:
            item.pop(name, None)
    ids = [record["eventID"] for record in records]
    return made(
        Delivery,
        ids,
        [record["eventSourceARN"].split("/")[1] for record in records],
        made(Position, numbers, repeat(""), map(int, numbers)),
        [
            None if is_removed else EventRecord(id_, item)
            for id_, item, is_removed in zip(ids, items, removed, strict=True)
        ],
        [float(change["ApproximateCreationDateTime"]) for change in changes],
        keys,
        *_ABSENT[1:],
    )


def _kafka(record: dict[str, Any]) -> Delivery:
    topic, partition, offset = record["topic"], int(record["partition"]), int(record["offset"])
    name = f"{topic}-{partition}-{offset}"
    headers = {
        key.lower(): bytes(byte % 256 for byte in value).decode(errors="replace")  # Java's bytes have a sign
        for header in record.get("headers") or ()
        for key, value in header.items()
    }
    if headers:
        headers["content-encoding"] = f"{headers.get('content-encoding', '')},base64"
    value = record.get("value")
    return Delivery(
        name,
        topic,
        Position((f"{topic}-{partition}", offset)),
        None if value is None else EventRecord(name, value, headers or _BASE64),
        record["timestamp"] / 1000,
        _text(record.get("key")),
        trace=_trace(headers.get("traceparent")),
    )


def _text(key: str | None) -> str | None:
    """Return a key in base64 as text, or as it is if it is no text."""
    try:
        return key if key is None else a2b_base64(key, strict_mode=True).decode()
    except (Error, UnicodeDecodeError):
        return key

"""Events of queues and streams: their records, whatever the envelope.

SQS, standard and FIFO, also with SNS or EventBridge in front of the queue; Kinesis; DynamoDB Streams; Kafka, of MSK and
self-managed: https://docs.aws.amazon.com/lambda/latest/dg/lambda-services.html has their events.
"""

from __future__ import annotations

import json
import re
from binascii import Error, a2b_base64
from collections.abc import Collection, Mapping
from typing import Any

from failure_rules import Position, Rule
from pilotlight.frozen import dataclass
from pilotlight.model.json_document import describe
from pilotlight.records.decode import EventRecord

_BASE64 = {"content-encoding": "base64"}
_WHOLE = re.compile(r"-?[0-9]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record of an event.

    `source` is the queue's, stream's, table's or topic's name, and `time` is when the record got there, in seconds
    since 1970; both are the same at each delivery. `record` is None for a tombstone: the key was deleted. `key` is the
    key in the source as a JSON value, None without one.
    """

    id: str
    source: str
    position: Position
    record: EventRecord | None
    time: float
    key: object = None


@dataclass(frozen=True, slots=True)
class Batch:
    """The records of an event, and the rule of its source for failures."""

    rule: Rule
    deliveries: list[Delivery]


def read_event(event: object, names: Collection[str]) -> Batch:
    """Return the records of an event. `names` are the model's features.

    Raises ValueError, with what was found, for an event of an unknown source or one that lacks a field: its source then
    delivers all of it again.
    """
    try:
        match event:
            case {"eventSource": "aws:kafka" | "SelfManagedKafka", "records": dict(partitions)}:
                return Batch("each", [_kafka(record) for records in partitions.values() for record in records])
            case {"Records": [{"eventSource": "aws:sqs", "eventSourceARN": str(arn)}, *_]}:
                rule: Rule = "group" if arn.endswith(".fifo") else "each"
                return Batch(rule, [_sqs(record) for record in _of_one_source(event)])
            case {"Records": [{"eventSource": "aws:kinesis"}, *_]}:
                return Batch("stream", [_kinesis(record) for record in _of_one_source(event)])
            case {"Records": [{"eventSource": "aws:dynamodb"}, *_]}:
                return Batch("stream", [_dynamodb(record, names) for record in _of_one_source(event)])
    except (KeyError, TypeError) as error:
        raise ValueError(f"a record of the event lacks a field or has another type there: {error}") from error
    raise ValueError(f"expected records of SQS, Kinesis, DynamoDB Streams or Kafka; found {_found(event)}")


def _of_one_source(event: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - events have any form
    records: list[dict[str, Any]] = event["Records"]
    sources = sorted({record["eventSource"] for record in records})
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


def _sqs(record: dict[str, Any]) -> Delivery:
    own = record["attributes"]
    payload, attributes = _unwrapped(record["body"], _texts(record.get("messageAttributes") or {}, "stringValue"))
    return Delivery(
        record["messageId"],
        record["eventSourceARN"].rpartition(":")[2],
        Position(record["messageId"], own.get("MessageGroupId", "")),
        EventRecord(record["messageId"], payload, attributes),
        int(own["SentTimestamp"]) / 1000,
    )


def _unwrapped(body: str, attributes: Mapping[str, str]) -> tuple[str | dict[str, Any], Mapping[str, str]]:
    """Return what SNS or EventBridge wrapped in a message's body, or the body itself."""
    if '"TopicArn"' not in body and '"detail-type"' not in body:
        return body, attributes
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):
        return body, attributes
    match envelope:
        case {"Type": "Notification", "TopicArn": str(), "Message": str(message)}:
            return message, _texts(envelope.get("MessageAttributes") or {}, "Value")
        case {"detail-type": str(), "source": str(), "detail": dict(detail)}:
            return detail, attributes
    return body, attributes


def _texts(attributes: Mapping[str, Any], field: str) -> dict[str, str]:
    """Return the attributes that are text, by lower-case name."""
    return {name.lower(): value[field] for name, value in attributes.items() if isinstance(value.get(field), str)}


def _kinesis(record: dict[str, Any]) -> Delivery:
    data = record["kinesis"]
    number = data["sequenceNumber"]
    return Delivery(
        record["eventID"],
        record["eventSourceARN"].split("/")[1],
        Position(number, sequence=int(number)),
        EventRecord(record["eventID"], data["data"], _BASE64),
        float(data["approximateArrivalTimestamp"]),
        data["partitionKey"],
    )


def _dynamodb(record: dict[str, Any], names: Collection[str]) -> Delivery:
    """Read a change of an item. Attributes of its key that are no features only name it, and are left out."""
    change = record["dynamodb"]
    number, keys = change["SequenceNumber"], _values(change["Keys"])
    scored = None
    if record["eventName"] != "REMOVE":
        image = change.get("NewImage")
        if image is None:
            raise ValueError("a record has no new image; set the stream's view type to NEW_IMAGE or NEW_AND_OLD_IMAGES")
        item = {name: value for name, value in _values(image).items() if name not in keys or name in names}
        scored = EventRecord(record["eventID"], item)
    source = record["eventSourceARN"].split("/")[1]
    position = Position(number, sequence=int(number))
    return Delivery(record["eventID"], source, position, scored, float(change["ApproximateCreationDateTime"]), keys)


def _values(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(typed) for name, typed in attributes.items()}


def _value(typed: dict[str, Any]) -> Any:  # noqa: ANN401 - a JSON value
    """Return a value of DynamoDB as JSON has it; binary values stay base64.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
    """
    ((kind, value),) = typed.items()
    match kind:
        case "N":
            return _number(value)
        case "NS":
            return [_number(each) for each in value]
        case "L":
            return [_value(each) for each in value]
        case "M":
            return _values(value)
        case "NULL":
            return None
    return value


def _number(text: str) -> float:
    return int(text) if _WHOLE.fullmatch(text) else float(text)


def _kafka(record: dict[str, Any]) -> Delivery:
    topic, partition, offset = record["topic"], int(record["partition"]), int(record["offset"])
    name = f"{topic}-{partition}-{offset}"
    headers = {
        key.lower(): bytes(byte % 256 for byte in value).decode(errors="replace")  # Java's bytes have a sign
        for header in record.get("headers") or ()
        for key, value in header.items()
    }
    headers["content-encoding"] = f"{headers.get('content-encoding', '')},base64"
    value = record.get("value")
    return Delivery(
        name,
        topic,
        Position((f"{topic}-{partition}", offset)),
        None if value is None else EventRecord(name, value, headers),
        record["timestamp"] / 1000,
        _text(record.get("key")),
    )


def _text(key: str | None) -> str | None:
    """Return a key in base64 as text, or as it is if it is no text."""
    try:
        return key if key is None else a2b_base64(key, strict_mode=True).decode()
    except (Error, UnicodeDecodeError):
        return key

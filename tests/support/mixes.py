"""Events of each source with good, poison, duplicate, reordered and tombstone records in any mix."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from properties import st

QUEUES = ("sqs", "fifo", "sns-sqs")
ASYNCHRONOUS = ("sns", "eventbridge", "s3")
SOURCES = (*QUEUES, *ASYNCHRONOUS, "kinesis", "dynamodb", "msk", "kafka")
WITH_TOMBSTONES = ("s3", "dynamodb", "msk", "kafka")
REGION = "us-east-1:123456789012"


@dataclass(frozen=True)
class Mix:
    """An event, its records, and the identifiers of those that the model cannot score and of the tombstones."""

    source: str
    event: Mapping[str, Any]
    records: Sequence[Mapping[str, Any]]
    poison: frozenset[Any]
    tombstones: frozenset[Any]


def identifier(source: str, record: Mapping[str, Any]) -> Any:
    """Return what the source calls a record."""
    if source in QUEUES:
        return record["messageId"]
    if source in ASYNCHRONOUS:
        return name_of(source, record)
    if source in ("kinesis", "dynamodb"):
        return record["kinesis"]["sequenceNumber"] if source == "kinesis" else record["dynamodb"]["SequenceNumber"]
    return f"{record['topic']}-{record['partition']}", record["offset"]


def name_of(source: str, record: Mapping[str, Any]) -> str:
    """Return the id of a record that has no identifier for a reply."""
    if source == "s3":
        found = record["s3"]["object"]
        return f"{found['key']}@{found['sequencer']}"
    return str(record["Sns"]["MessageId"] if source == "sns" else record["id"])


@st.composite
def mixes(draw: st.DrawFn, source: str) -> Mix:
    """Draw an event of a source: a few kinds of records, some of them repeated, in any order."""
    kinds = ["good", "poison", *(["tombstone"] if source in WITH_TOMBSTONES else [])]
    most = 1 if source == "eventbridge" else 12
    first = draw(st.integers(0, 10**6)) if most == 1 else 0
    drawn = draw(st.lists(st.tuples(st.sampled_from(kinds), st.integers(0, 2)), min_size=1, max_size=most))
    made = [(kind, record_of(source, number, group, kind)) for number, (kind, group) in enumerate(drawn, first)]
    repeated = [] if most == 1 else draw(st.lists(st.sampled_from(made), max_size=3))
    mixed = draw(st.permutations([*made, *repeated]))
    named = [(kind, identifier(source, record)) for kind, record in mixed]
    records = [record for _, record in mixed]
    return Mix(
        source,
        event_of(source, records),
        records,
        frozenset(name for kind, name in named if kind == "poison"),
        frozenset(name for kind, name in named if kind == "tombstone"),
    )


def event_of(source: str, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the event with those records."""
    if source == "eventbridge":
        return dict(*records)
    if source not in ("msk", "kafka"):
        return {"Records": list(records)}
    partitions: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        partitions.setdefault(f"{record['topic']}-{record['partition']}", []).append(record)
    name = {"eventSource": "aws:kafka", "eventSourceArn": f"arn:aws:kafka:{REGION}:cluster/own/1"}
    return {**(name if source == "msk" else {"eventSource": "SelfManagedKafka"}), "records": partitions}


def record_of(source: str, number: int, group: int, kind: str, body: str = "") -> dict[str, Any]:
    """Return a record; the body of a good one is JSON features, of a poison one text."""
    text = body or text_of(number, kind)
    if source == "s3":
        return _s3(number, group, kind)
    return _MAKE[source](number, group, None if kind == "tombstone" else text)


def text_of(number: int, kind: str) -> str:
    """Return the text of a record."""
    return "not for the model" if kind == "poison" else json.dumps({"features": [number / 16, 2, 3]})


def object_of(key: str) -> bytes:
    """Return the content of the object that a record of S3 names."""
    _, kind, number = key.removesuffix(".json").split("/")
    return text_of(int(number), kind).encode()


def _sqs(number: int, group: int, text: str | None, queue: str = "rows") -> dict[str, Any]:
    attributes = {"ApproximateReceiveCount": "1", "SentTimestamp": "1764633600000"}
    return {
        "messageId": f"00000000-0000-0000-0000-{number:012}",
        "receiptHandle": f"receipt-{number}",
        "body": text,
        "attributes": attributes | ({"MessageGroupId": f"group-{group}"} if queue.endswith(".fifo") else {}),
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{queue}",
        "awsRegion": "us-east-1",
    }


def _notification(number: int, text: str | None) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": f"11111111-0000-0000-0000-{number:012}",
        "TopicArn": f"arn:aws:sns:{REGION}:rows",
        "Message": text,
        "Timestamp": "2025-12-02T00:00:00.000Z",
        "MessageAttributes": {"Content-Type": {"Type": "String", "Value": "application/json"}},
    }


def _sns(number: int, _: int, text: str | None) -> dict[str, Any]:
    subscription = f"arn:aws:sns:{REGION}:rows:22222222"
    notification = _notification(number, text)
    return {"EventSource": "aws:sns", "EventSubscriptionArn": subscription, "Sns": notification}


def _eventbridge(number: int, _: int, text: str | None) -> dict[str, Any]:
    return {
        "version": "0",
        "id": f"33333333-0000-0000-0000-{number:012}",
        "detail-type": "Row",
        "source": "rows",
        "account": "123456789012",
        "time": "2025-12-02T00:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail": json.loads(text) if text and text[0] == "{" else {"text": text},
    }


def _s3(number: int, group: int, kind: str) -> dict[str, Any]:
    removed = kind == "tombstone"
    found = {"key": f"{group}/{kind}/{number}.json", "sequencer": f"{number:018X}"}
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": "2025-12-02T00:00:00.000Z",
        "eventName": "ObjectRemoved:Delete" if removed else "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": "rows", "arn": "arn:aws:s3:::rows"},
            "object": found if removed else {**found, "size": 30, "eTag": "d41d8cd98f00b204e9800998ecf8427e"},
        },
    }


def _kinesis(number: int, group: int, text: str | None) -> dict[str, Any]:
    sequence = str(9_999_999_999_999_999_999_990 + number)  # numbers of 22 and of 23 digits
    return {
        "kinesis": {
            "partitionKey": f"key-{group}",
            "data": b64encode((text or "").encode()).decode(),
            "sequenceNumber": sequence,
            "approximateArrivalTimestamp": 1764633600.5,
        },
        "eventSource": "aws:kinesis",
        "eventID": f"shardId-000000000000:{sequence}",
        "eventSourceARN": f"arn:aws:kinesis:{REGION}:stream/rows",
    }


def _dynamodb(number: int, group: int, text: str | None) -> dict[str, Any]:
    keys = {"id": {"S": f"item-{group}"}}
    values = json.loads(text)["features"] if text and text[0] == "{" else [text]
    image = {"features": {"L": [{"S": each} if isinstance(each, str) else {"N": str(each)} for each in values]}}
    return {
        "eventID": f"event-{number}",
        "eventName": "REMOVE" if text is None else "MODIFY",
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            "Keys": keys,
            **({} if text is None else {"NewImage": keys | image}),
            "ApproximateCreationDateTime": 1764633600,
            "SequenceNumber": str(990 + number),
        },
        "eventSourceARN": f"arn:aws:dynamodb:{REGION}:table/rows/stream/2026-12-02T00:00:00.000",
    }


def _kafka(number: int, group: int, text: str | None) -> dict[str, Any]:
    return {
        "topic": "rows",
        "partition": group,
        "offset": 100 + number,
        "timestamp": 1764633600500,
        "timestampType": "CREATE_TIME",
        "key": b64encode(f"key-{number}".encode()).decode(),
        "value": None if text is None else b64encode(text.encode()).decode(),
        "headers": [{"content-type": list(b"application/json")}],
    }


_MAKE = {
    "sqs": _sqs,
    "fifo": lambda number, group, text: _sqs(number, group, text, "rows.fifo"),
    "sns-sqs": lambda number, group, text: _sqs(number, group, json.dumps(_notification(number, text))),
    "sns": _sns,
    "eventbridge": _eventbridge,
    "kinesis": _kinesis,
    "dynamodb": _dynamodb,
    "msk": _kafka,
    "kafka": _kafka,
}

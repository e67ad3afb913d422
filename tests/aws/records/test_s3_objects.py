"""Objects that notifications name: which are read, what their records are, and why others fail."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from doubles import FEATURES, service
from envelopes import read_content
from event_sources import read_event
from http_events import Invocation
from mixes import event_of, record_of
from record_doubles import LATER, Bucket, Memory, predict
from record_events import RecordEvents
from s3_objects import Objects

LIMIT = 1000


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "GetObject")


def notification(*keys: str, size: int | None = 10, name: str = "ObjectCreated:Put") -> dict[str, Any]:
    records = []
    for key in keys:
        record = record_of("s3", 1, 0, "good")
        record["eventName"] = name
        record["s3"]["object"] = {"key": key, "sequencer": "0A"} | ({} if size is None else {"size": size})
        records.append(record)
    return {"Records": records}


def failures(bucket: Objects, event: Any) -> dict[str, tuple[str, str]]:
    _, errors = bucket.read(read_event(event, ()).deliveries, LATER)
    return {id_: (error.code, error.message) for id_, error in errors.items()}


@pytest.mark.parametrize(
    ("key", "size", "content", "expected"),
    [
        ("a.csv", 10, b"", ("unsupported_media_type", 'found an object that ends in ".csv", expected a JSON document')),
        ("a.parquet", 10, b"", ("unsupported_media_type", 'found an object that ends in ".parquet"')),
        ("a.json.zst", 10, b"", ("unsupported_media_type", 'found an object that ends in ".zst"')),
        (
            "a.jsonl",
            1001,
            b"",
            ("too_large", "the object has 1001 bytes, the limit is 1000; score it with `pilotlight"),
        ),
        (
            "a.jsonl.gz",
            None,
            gzip.compress(bytes(1001), mtime=0),
            ("too_large", "the payload has more than 1000 bytes after"),
        ),
        ("a.jsonl", 10, b"\x1f\x8bno", ("invalid_request", "the payload is not valid gzip")),
        ("results/a.json", 10, b"", ("invalid_request", "the object is where this function writes; give")),
        ("a.json", 10, refused("NoSuchKey"), ("not_found", "the object does not exist any more: s3://rows/a.json")),
        ("a.json", 10, refused("AccessDenied"), ("source", "the object could not be read: An error occurred")),
    ],
)
def test_an_object_that_cannot_be_scored_fails_with_its_reason(
    key: str, size: int | None, content: bytes | Exception, expected: tuple[str, str]
) -> None:
    bucket = Bucket({key: content, "good.json": b"[1, 2, 3]"}.__getitem__)
    event = notification(key, size=size)
    event["Records"] += notification("good.json")["Records"]
    (found,) = failures(bucket, event).values()
    assert found[0] == expected[0]
    assert found[1].startswith(expected[1])
    if found[0] in ("unsupported_media_type", "too_large"):
        assert "`pilotlight batch`" in found[1]


def test_short_lines_are_bounded_by_their_number() -> None:
    bucket = Bucket(lambda key: b"1\n" * (10_000 + (key == "b.jsonl")), max_bytes=10**6)
    deliveries, errors = bucket.read(read_event(notification("a.jsonl", "b.jsonl"), ()).deliveries, LATER)
    assert len(deliveries) == 10_001
    assert [error.message for error in errors.values()] == [
        "the object has 10001 records, the limit is 10000; score it with `pilotlight batch`"
    ]


def test_an_event_reads_as_many_objects_as_fit_into_memory_and_the_others_come_again() -> None:
    keys = [f"{number}.json" for number in range(6)]
    bucket = Bucket(lambda _: b"[1, 2, 3]")
    found = failures(bucket, notification(*keys, size=LIMIT))
    assert sorted(bucket.fetched) == keys[:4]
    assert {id_: code for id_, (code, _) in found.items()} == {f"{key}@0A": "out_of_time" for key in keys[4:]}


def test_objects_that_are_not_read_in_time_come_again() -> None:
    _, errors = Bucket(lambda _: b"1,2,3").read(read_event(notification("a.json"), ()).deliveries, -1.0)
    assert [error.code for error in errors.values()] in (["out_of_time"], [])


FORMS = {
    "notification": notification("a.json"),
    "event bridge": {
        "version": "0",
        "id": "1",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "time": "2025-12-02T00:00:00Z",
        "detail": {"bucket": {"name": "rows"}, "object": {"key": "a.json", "size": 9, "sequencer": "0A"}},
    },
}
FORMS["sns"] = {"Type": "Notification", "TopicArn": "arn", "Message": json.dumps(FORMS["notification"])}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("source", ["sqs", "fifo", "sns", ""])
def test_a_notification_is_found_in_whatever_delivers_it(form: str, source: str) -> None:
    event = event_of(source, [record_of(source, 1, 0, "good", json.dumps(FORMS[form]))]) if source else FORMS[form]
    if not source and form == "sns":
        return
    memory = Memory()
    subject = RecordEvents(service(FEATURES, predict), memory, None, Bucket(lambda _: b"[1, 2, 3]"), {})
    assert subject.answer(Invocation(event, "an-id", LATER)) == {"batchItemFailures": []}
    assert [(each.id, each.source, each.file) for each in memory.written] == [("a.json@0A", "rows", "a.json@0A")]


@pytest.mark.parametrize(
    "name", ["ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated", "LifecycleExpiration:Delete"]
)
def test_an_object_that_is_gone_is_a_tombstone(name: str) -> None:
    memory = Memory()
    subject = RecordEvents(service(FEATURES, predict), memory, None, Bucket(KeyError), {})
    event = notification("a.parquet", name=name)
    assert subject.answer(Invocation(event, "an-id", LATER)) == {"batchItemFailures": []}
    assert [json.loads(each.content)["result"] for each in memory.written] == [None]


def test_s3s_test_of_a_notification_is_no_record() -> None:
    body = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2025-12-02T00:00:00Z", "Bucket": "a"})
    memory = Memory()
    subject = RecordEvents(service(FEATURES, predict), memory, None, Bucket(KeyError), {})
    event = event_of("sqs", [record_of("sqs", 1, 0, "good", body)])
    assert subject.answer(Invocation(event, "an-id", LATER)) == {"batchItemFailures": []}
    assert memory.written == []


@pytest.mark.parametrize(
    "body",
    [
        '{"Records": [{"eventSource": "aws:s3"}]}',
        '{"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {}, "object": {}}}]}',
        '{"detail-type": "Object Created", "source": "aws.s3", "detail": {"object": {}}}',
        '{"Type": "Notification", "TopicArn": "a", "Message": "1", "MessageAttributes": {"a": 1}}',
        '"aws:s3" [[[',
    ],
)
def test_what_lacks_an_envelopes_fields_is_itself_the_payload(body: str) -> None:
    content = read_content(body)
    assert (content.payload, content.objects) == (body, None)

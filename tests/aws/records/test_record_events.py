"""Events of records in mixes of every kind: each record ends in exactly one of a result or a failure."""

from __future__ import annotations

import gzip
import json
import re
import time
from base64 import b64encode
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import pytest
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    SqsFifoPartialProcessor,
    process_partial_response,
)

from doubles import FEATURES, Records, description, service
from dynamodb_values import to_values
from event_sources import read_event
from failure_rules import RecordsFailed
from http_events import Invocation
from mixes import ASYNCHRONOUS, QUEUES, SOURCES, Mix, event_of, identifier, mixes, object_of, record_of
from pilotlight.model.tensor import Tensor
from pilotlight.telemetry import Scored, fields
from properties import given, settings, st
from record_doubles import LATER, Bucket, Memory, predict
from record_events import RecordEvents

ORACLES = {
    "sqs": EventType.SQS,
    "sns-sqs": EventType.SQS,
    "kinesis": EventType.KinesisDataStreams,
    "dynamodb": EventType.DynamoDBStreams,
}
ALL = ("all of it",)

# What a message of a queue may have beside a body.
EXTRAS: tuple[dict[str, Any], ...] = (
    {"messageAttributes": {"Content-Type": {"stringValue": "text/csv", "dataType": "String"}}},
    {"attributes": {"AWSTraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"}},
    {"body": json.dumps({"Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:1:rows", "Message": "[1, 2]"})},
    {"body": "no JSON"},
)

# Mixes of each source. 1,000 of them find no more, and take five times as long.
EXAMPLES = 1000

# Seconds of an event that runs out of time.
LEFT = 2.0


def events(records: Records | None = None, model: Any = predict) -> tuple[RecordEvents, Memory]:
    memory = Memory()
    return RecordEvents(service(FEATURES, model, records=records), memory, None, Bucket(object_of), {}), memory


def rejecting() -> tuple[RecordEvents, Memory, Memory]:
    """Return the function with a destination for failures, the results and the failures."""
    results, failures = Memory(), Memory()
    environ = {"AWS_LAMBDA_FUNCTION_VERSION": "7"}
    return RecordEvents(service(FEATURES, predict), results, failures, Bucket(object_of), environ), results, failures


def answer(subject: RecordEvents, event: Any) -> list[Any]:
    """Return what the function reports as failed; `ALL` if it raises the error that makes all of it come again."""
    try:
        reply = subject.answer(Invocation(event, "an-id", LATER))
    except RecordsFailed:
        return [*ALL]
    assert list(reply) == ["batchItemFailures"]
    return [failure["itemIdentifier"] for failure in reply["batchItemFailures"]]


def powertools(mix: Mix) -> list[Any]:
    """Return the identifiers that Powertools reports when exactly the poison records raise."""
    processor: Any
    if mix.source == "fifo":
        processor = SqsFifoPartialProcessor(skip_group_on_error=True)
        processor.raise_on_entire_batch_failure = False
    else:
        kind = ORACLES.get(mix.source, EventType.Kafka)
        processor = BatchProcessor(kind, raise_on_entire_batch_failure=False)

    def handle(record: Any) -> None:
        if identifier(mix.source, record.raw_event) in mix.poison:
            raise ValueError("poison")

    context: Any = None
    found = process_partial_response(dict(mix.event), handle, processor, context)
    return [failure["itemIdentifier"] for failure in found["batchItemFailures"]]


def coming_again(mix: Mix, reported: list[Any]) -> set[str]:
    """Return the ids of the records that come again, after checking what their source hears by its own rule."""
    deliveries = read_event(mix.event, ()).deliveries
    if mix.source in ASYNCHRONOUS:  # a failure takes the whole event with it
        assert reported == ([*ALL] if mix.poison else [])
        return {each.id for each in deliveries} if mix.poison else set()
    expected = powertools(mix)
    if mix.source in ("kinesis", "dynamodb"):  # Powertools reports all, of which Lambda takes the lowest
        expected = [min(expected, key=int)] if expected else []
        again = {each.id for each in deliveries if expected and each.position.sequence >= int(expected[0])}
    else:
        again = {each.id for each in deliveries if document(each.position.identifier) in expected}
    assert sorted(reported, key=str) == sorted(unique(expected), key=str)
    return again


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_every_record_ends_in_one_of_result_or_failure_by_the_rule_of_its_source(
    source: str, data: st.DataObject
) -> None:
    """The good records have one shape: the first of them shows the pace, and the others are one batch."""
    mix = data.draw(mixes(source))
    runs: list[int] = []

    def counted(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        runs.append(inputs[0].shape[0])
        return predict(inputs)

    subject, memory = events(model=counted)
    again = coming_again(mix, answer(subject, mix.event))
    deliveries = read_event(mix.event, ()).deliveries
    good = [name for name in map(partial(identifier, source), mix.records) if name not in mix.poison | mix.tombstones]
    assert runs == [1, len(good) - 1][: len(good)] if len(good) != 1 else [1]
    written = [result.id for result in memory.written]
    assert len(set(written)) == len(written)
    assert set(written).isdisjoint(again)
    assert set(written) | again == {each.id for each in deliveries}
    for result, each in ((json.loads(result.content), each) for result in memory.written for each in deliveries):
        if result["id"] == each.id:
            assert (result["result"] is None) == (each.position.identifier in mix.tombstones)


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=100)
@given(data=st.data())
def test_records_of_an_event_are_read_as_each_in_an_event_of_its_own(source: str, data: st.DataObject) -> None:
    """Some of a queue's messages get what is read one by one: attributes, a trace, an envelope."""
    mix = data.draw(mixes(source))
    records: list[dict[str, Any]] = [dict(record) for record in mix.records]
    for record in records if source in QUEUES else ():
        more: dict[str, Any] = data.draw(st.sampled_from(({}, {}, {}, *EXTRAS)))
        record |= {name: {**record[name], **value} if name == "attributes" else value for name, value in more.items()}
    alone = [each for record in records for each in read_event(event_of(source, [record]), ("a",)).deliveries]
    together = read_event(event_of(source, records), ("a",)).deliveries
    assert sorted(together, key=str) == sorted(alone, key=str)  # Kafka's are by partition


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("1", "2.5", "-0"), [1, 2.5, 0]),
        (("1E+2", "1e-7"), [100.0, 1e-7]),
        (("007", "1."), [7, 1.0]),
        (("9" * 30, "-9223372036854775809"), [int("9" * 30), -(2**63) - 1]),
    ],
)
def test_numbers_of_an_item_are_read_together_as_one_by_one(texts: tuple[str, ...], expected: list[float]) -> None:
    item = {"id": {"S": "a"}, **{f"f{index}": {"N": text} for index, text in enumerate(texts)}, "last": {"NULL": True}}
    (found,) = to_values([item])
    assert list(found) == list(item)
    assert [(value, type(value)) for value in found.values()] == [
        ("a", str),
        *((value, type(value)) for value in expected),
        (None, type(None)),
    ]


def test_a_number_of_an_item_that_is_several_values_is_refused() -> None:
    with pytest.raises(ValueError, match="1,2"):
        to_values([{"a": {"N": "1,2"}, "b": {"N": ""}}])


def document(name: Any) -> Any:
    return name if isinstance(name, str) else {"partition": name[0], "offset": name[1]}


def unique(found: list[Any]) -> list[Any]:
    return [each for place, each in enumerate(found) if each not in found[:place]]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("sqs", {"id": "00000000-0000-0000-0000-000000000012", "source": "rows"}),
        ("fifo", {"id": "00000000-0000-0000-0000-000000000012", "source": "rows.fifo"}),
        ("sns-sqs", {"id": "00000000-0000-0000-0000-000000000012", "source": "rows"}),
        ("sns", {"id": "11111111-0000-0000-0000-000000000012", "source": "rows"}),
        ("eventbridge", {"id": "33333333-0000-0000-0000-000000000012", "source": "rows"}),
        ("s3", {"id": "1/good/12.json@00000000000000000C", "source": "rows", "key": "s3://rows/1/good/12.json"}),
        ("kinesis", {"id": "shardId-000000000000:10000000000000000000002", "source": "rows", "key": "key-1"}),
        ("dynamodb", {"id": "event-12", "source": "rows", "key": {"id": "item-1"}}),
        ("msk", {"id": "rows-1-112", "source": "rows", "key": "key-12"}),
        ("kafka", {"id": "rows-1-112", "source": "rows", "key": "key-12"}),
    ],
)
def test_a_result_has_the_records_id_source_and_key_and_the_document_of_predict(
    source: str, expected: dict[str, Any]
) -> None:
    subject, memory = events()
    assert answer(subject, event_of(source, [record_of(source, 12, 1, "good")])) == []
    (result,) = memory.written
    content = json.loads(result.content)
    assert content.pop("result").items() >= {"prediction": "large", "model_name": "example", "model_version": 3}.items()
    assert content == expected
    assert 1764633600 <= result.time <= 1764633601


@pytest.mark.parametrize("source", SOURCES)
def test_a_destination_that_is_down_fails_its_records(source: str) -> None:
    subject, memory = events()
    records = [record_of(source, number, number % 2, "good") for number in range(1 if source == "eventbridge" else 4)]
    failing = read_event(event_of(source, records), ()).deliveries[-1 if source == "eventbridge" else 1]
    memory.down = {failing.id}
    again = answer(subject, event_of(source, records))
    assert again == [*ALL] if source in ASYNCHRONOUS else document(failing.position.identifier) in again
    assert len(again) == (2 if source == "fifo" else 1)


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=100)
@given(data=st.data(), is_down=st.booleans())
def test_with_a_place_for_failures_poison_goes_there_and_holds_up_nothing(
    source: str, data: st.DataObject, is_down: bool
) -> None:
    """If that place is down, the poison fails as without it, and nothing is lost."""
    mix = data.draw(mixes(source))
    subject, results, failures = rejecting()
    deliveries = read_event(mix.event, ()).deliveries
    poison = {each.id for each in deliveries if each.position.identifier in mix.poison}
    failures.down = poison if is_down else set()
    reported = answer(subject, mix.event)
    again = coming_again(mix, reported) if is_down else set()
    assert bool(reported) == bool(again)
    assert {each.id for each in failures.written} == (set() if is_down else poison)
    assert {each.id for each in results.written} == {each.id for each in deliveries} - again - poison


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        ("fifo", {"payload": "not for the model", "attributes": {}}),
        ("s3", {"payload": "not for the model", "attributes": {}, "key": "s3://rows/1/poison/12.json"}),
        (
            "kinesis",
            {"payload": b64encode(b"not for the model").decode(), "attributes": {"content-encoding": "base64"}}
            | {"key": "key-1"},
        ),
        ("dynamodb", {"payload": {"features": ["not for the model"]}, "attributes": {}, "key": {"id": "item-1"}}),
    ],
)
def test_a_failure_says_why_by_which_model_and_code_and_what_the_record_was(
    source: str, payload: dict[str, Any]
) -> None:
    subject, results, failures = rejecting()
    event = event_of(source, [record_of(source, number, 1, kind) for number, kind in ((12, "poison"), (13, "good"))])
    assert answer(subject, event) == []
    (failure,) = failures.written
    content = json.loads(failure.content)
    error = content.pop("error")
    assert error["code"] == "invalid_request"
    assert error["message"].startswith("expected 3 ")
    assert content == payload | {
        "id": failure.id,
        "source": failure.source,
        "model_name": "example",
        "model_version": 3,
        "model_sha256": description().files[0].sha256,
        "code_version": "7",
    }
    assert len(results.written) == 1


def test_a_record_that_may_succeed_later_never_goes_to_the_failures_nor_what_waits_behind_it() -> None:
    subject, results, failures = rejecting()
    kinds = ("good", "poison", "good", "poison")
    made = [record_of("kinesis", number, 0, kind) for number, kind in enumerate(kinds)]
    deliveries = read_event(event_of("kinesis", made), ()).deliveries
    results.down = {deliveries[2].id}
    assert answer(subject, event_of("kinesis", made)) == [made[2]["kinesis"]["sequenceNumber"]]
    no_time = Invocation(event_of("kinesis", made), "an-id", 0.0)
    failures.written.clear()
    assert subject.answer(no_time)["batchItemFailures"] == [{"itemIdentifier": made[0]["kinesis"]["sequenceNumber"]}]
    assert failures.written == []


WRAPPED = {
    "sns": {
        "Type": "Notification",
        "TopicArn": "arn:aws:sns:us-east-1:123456789012:rows",
        "Message": "1,2,3",
        "MessageAttributes": {"Content-Type": {"Type": "String", "Value": "text/csv"}},
    },
    "eventbridge": {"detail-type": "Row", "source": "shop", "detail": {"height": 1, "width": 2, "depth": 3}},
}


@pytest.mark.parametrize("envelope", WRAPPED)
def test_what_sns_and_eventbridge_put_into_a_queue_is_unwrapped(envelope: str) -> None:
    subject, memory = events()
    record = record_of("sqs", 1, 0, "good", json.dumps(WRAPPED[envelope]))
    assert answer(subject, event_of("sqs", [record])) == []
    assert json.loads(memory.written[0].content)["result"]["prediction"] == "large"


def test_a_messages_own_attributes_say_how_to_read_it() -> None:
    subject, memory = events()
    csv, refused = record_of("sqs", 1, 0, "good", "1,2,3"), record_of("sqs", 2, 0, "good")
    csv["messageAttributes"] = {"Content-Type": {"stringValue": "text/csv", "dataType": "String"}}
    refused["messageAttributes"] = {"content-type": {"stringValue": "image/png", "dataType": "String"}}
    assert answer(subject, event_of("sqs", [csv, refused])) == [refused["messageId"]]
    assert [result.id for result in memory.written] == [csv["messageId"]]


@pytest.mark.parametrize(("source", "headers"), [("kinesis", []), ("msk", []), ("kafka", [b"gzip"])])
def test_gzip_in_a_stream_is_unpacked(source: str, headers: list[bytes]) -> None:
    subject, memory = events()
    packed = b64encode(gzip.compress(b'{"features": [1, 2, 3]}')).decode()
    record = record_of(source, 1, 0, "good")
    if source == "kinesis":
        record["kinesis"]["data"] = packed
    else:
        record |= {"value": packed, "headers": [{"Content-Encoding": list(value)} for value in headers]}
    assert answer(subject, event_of(source, [record])) == []
    assert json.loads(memory.written[0].content)["result"]["prediction"] == "large"


def test_an_items_attributes_are_the_features_and_its_key_is_none() -> None:
    subject, memory = events()
    record = record_of("dynamodb", 1, 0, "good")
    features = {"height": {"N": "1"}, "width": {"N": "2.5"}, "depth": {"N": "3e0"}}
    record["dynamodb"]["NewImage"] = record["dynamodb"]["Keys"] | features
    assert answer(subject, event_of("dynamodb", [record])) == []
    assert json.loads(memory.written[0].content)["result"]["prediction"] == "large"


@pytest.mark.parametrize(
    ("event", "found"),
    [
        ({"Records": [{"eventSource": "aws:codecommit"}]}, 'found records of "aws:codecommit"'),
        ({"Records": [{"EventSource": "aws:sns", "Sns": {}}]}, "a record of the event lacks a field"),
        ({"Records": [{"eventSource": "aws:s3", "s3": {}}]}, "a record of the event lacks a field"),
        ({"detail-type": "Row", "source": "rows", "detail": {}}, "a record of the event lacks a field"),
        ({"eventSource": "aws:mq", "messages": []}, 'found records of "aws:mq"'),
        ({"Records": []}, "found no records"),
        ({"hello": "world"}, r"found the fields ['hello']"),
        ("text", 'found "text"'),
        ([], "found an array"),
        (
            {"Records": [record_of("sqs", 1, 0, "good"), record_of("kinesis", 2, 0, "good")]},
            "expected records of one source, found aws:kinesis, aws:sqs",
        ),
        ({"Records": [{"eventSource": "aws:kinesis", "kinesis": {}}]}, "lacks a field"),
    ],
)
def test_an_event_of_no_known_source_is_an_error_that_names_what_was_found(event: Any, found: str) -> None:
    subject, memory = events()
    with pytest.raises(ValueError, match=re.escape(found)):
        subject.answer(Invocation(event, "an-id", LATER))
    assert memory.written == []


def test_a_stream_without_new_images_is_told_to_have_them() -> None:
    record = record_of("dynamodb", 1, 0, "good")
    del record["dynamodb"]["NewImage"]
    with pytest.raises(ValueError, match="set the stream's view type to NEW_IMAGE or NEW_AND_OLD_IMAGES"):
        answer(events()[0], event_of("dynamodb", [record]))


@pytest.mark.parametrize("event", [{}, {"key1": "value1"}, {"source": "aws.scheduler"}, {"warmer": True}])
def test_a_warmer_and_a_test_get_the_models_readiness(event: Any) -> None:
    assert events()[0].answer(Invocation(event, "an-id", LATER))["status"] == "ready"


def test_an_event_returns_before_its_deadline_and_the_rest_comes_again() -> None:
    """50 messages, a tenth of the time left for a row: what is done is written, and only that."""

    def slow(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        time.sleep(LEFT / 10 * inputs[0].shape[0])
        return predict(inputs)

    subject, memory = events(model=slow)
    made = [record_of("sqs", number, 0, "good") for number in range(50)]
    deadline = time.monotonic() + LEFT
    reply = subject.answer(Invocation(event_of("sqs", made), "an-id", deadline))
    assert time.monotonic() < deadline
    done = {result.id for result in memory.written}
    again = {failure["itemIdentifier"] for failure in reply["batchItemFailures"]}
    assert 1 <= len(done) < 10
    assert len(memory.written) == len(done)
    assert len(reply["batchItemFailures"]) == len(again) == 50 - len(done)
    assert done | again == {record["messageId"] for record in made}


W3C, OTHER = (f"00-{number * 16}-{number * 8}-01" for number in ("0a", "0b"))
XRAY = "1-5759e988-bd862e3fe1be46a994272793"


@pytest.mark.parametrize("source", ["sqs", "fifo", "sns-sqs", "sns", "msk", "kafka"])
def test_the_log_line_links_to_the_traces_of_the_records_and_has_the_invocations_own(source: str) -> None:
    reported = Records()
    environ = {"_X_AMZN_TRACE_ID": f"Root={XRAY};Sampled=1"}
    function = service(FEATURES, predict, records=reported)
    subject = RecordEvents(function, Memory(), Memory(), Bucket(object_of), environ)
    made = [record_of(source, number, 0, kind) for number, kind in enumerate(("good", "good", "good", "poison"))]
    for record, sent in zip(made, (W3C, W3C, "not a trace", OTHER), strict=True):
        put_trace(source, record, sent)
    answer(subject, event_of(source, made))
    (line,) = [fields(each) for each in reported.all if isinstance(each, Scored)]
    traces = [{"trace_id": number * 16, "span_id": number * 8, "trace_flags": "01"} for number in ("0a", "0b")]
    if source in ("sqs", "fifo"):
        traces[1]["xray_trace_id"] = XRAY[:-1] + "0"
    assert line["xray_trace_id"] == XRAY
    assert line["traces"] == traces
    (failure,) = cast("list[dict[str, Any]]", line["failures"])
    assert failure.items() >= traces[1].items()


def put_trace(source: str, record: dict[str, Any], sent: str) -> None:
    """Send a record in a trace, and with X-Ray's too where its source has a field for it and the trace is OTHER."""
    if source in ("msk", "kafka"):
        record["headers"].append({"traceparent": list(sent.encode())})
    elif source == "sns":
        record["Sns"]["MessageAttributes"]["traceparent"] = {"Type": "String", "Value": sent}
    elif source == "sns-sqs":
        body = json.loads(record["body"])
        body["MessageAttributes"]["traceparent"] = {"Type": "String", "Value": sent}
        record["body"] = json.dumps(body)
    else:
        record["messageAttributes"]["traceparent"] = {"stringValue": sent, "dataType": "String"}
        if sent == OTHER:
            record["attributes"]["AWSTraceHeader"] = f"Root={XRAY[:-1]}0;Parent=53995c3f42cd8ad8;Sampled=1"


def test_the_log_has_one_line_an_event_with_the_reasons() -> None:
    reported = Records()
    subject, memory = events(reported)
    made = [record_of("sqs", number, 0, kind) for number, kind in enumerate(("good", "poison", "good"))]
    memory.down = {made[2]["messageId"]}
    answer(subject, event_of("sqs", made))
    (line,) = [each for each in reported.all if isinstance(each, Scored)]
    assert (line.source, line.records, line.failed, line.faults, line.rows) == ("rows", 3, 2, 1, 2)
    assert [(each["code"], each["error"]) for each in line.failures] == [
        ("invalid_request", "expected 3 cells, found 1"),
        ("destination", "the result could not be written: it is down"),
    ]

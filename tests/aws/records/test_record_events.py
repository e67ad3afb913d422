"""Events of records in mixes of every kind: each record ends in exactly one of a result or a failure."""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import pytest
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    SqsFifoPartialProcessor,
    process_partial_response,
)

from destinations import Destination, Failures, Result
from doubles import FEATURES, Records, service
from event_sources import read_event
from http_events import Invocation
from mixes import SOURCES, Mix, event_of, identifier, mixes, record_of
from pilotlight.model.tensor import BYTES, FP32, Tensor
from pilotlight.telemetry import Scored
from properties import given, settings, st
from record_events import RecordEvents

ORACLES = {"sqs": EventType.SQS, "kinesis": EventType.KinesisDataStreams, "dynamodb": EventType.DynamoDBStreams}
LATER = 1e9


class Memory(Destination):
    """A destination in memory; results whose id is in `down` are refused."""

    def __init__(self) -> None:
        super().__init__("s3://unused")
        self.written: list[Result] = []
        self.down: set[str] = set()

    def write(self, results: Sequence[Result], deadline: float) -> Failures:
        """See `Destination.write`."""
        self.written += [result for result in results if result.id not in self.down]
        return {result.id: "it is down" for result in results if result.id in self.down}


def predict(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    rows = inputs[0].shape[0]
    firsts = inputs[0].values()[::3]
    labels = ["large" if value >= 0.5 else "small" for value in firsts]
    return Tensor(BYTES, (rows,), labels), Tensor(FP32, (rows, 2), inputs[0].data[: rows * 8])


def events(records: Records | None = None) -> tuple[RecordEvents, Memory]:
    memory = Memory()
    return RecordEvents(service(FEATURES, predict, records=records), memory, {}), memory


def answer(subject: RecordEvents, event: Any) -> list[Any]:
    reply = subject.answer(Invocation(event, "an-id", LATER))
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


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=1000)
@given(data=st.data())
def test_every_record_ends_in_one_of_result_or_failure_and_powertools_reports_the_same(
    source: str, data: st.DataObject
) -> None:
    mix = data.draw(mixes(source))
    subject, memory = events()
    found = answer(subject, mix.event)
    expected = powertools(mix)
    deliveries = read_event(mix.event, ()).deliveries
    if source in ("kinesis", "dynamodb"):  # Powertools reports all, of which Lambda takes the lowest
        expected = [min(expected, key=int)] if expected else []
        again = {each.id for each in deliveries if expected and each.position.sequence >= int(expected[0])}
    else:
        again = {each.id for each in deliveries if document(each.position.identifier) in expected}
    assert sorted(found, key=str) == sorted(unique(expected), key=str)
    written = [result.id for result in memory.written]
    assert len(set(written)) == len(written)
    assert set(written).isdisjoint(again)
    assert set(written) | again == {each.id for each in deliveries}
    for result, each in ((json.loads(result.content), each) for result in memory.written for each in deliveries):
        if result["id"] == each.id:
            assert (result["result"] is None) == (each.position.identifier in mix.tombstones)


def document(name: Any) -> Any:
    return name if isinstance(name, str) else {"partition": name[0], "offset": name[1]}


def unique(found: list[Any]) -> list[Any]:
    return [each for place, each in enumerate(found) if each not in found[:place]]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("sqs", {"id": "00000000-0000-0000-0000-000000000012", "source": "rows"}),
        ("fifo", {"id": "00000000-0000-0000-0000-000000000012", "source": "rows.fifo"}),
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
    records = [record_of(source, number, number % 2, "good") for number in range(4)]
    (second,) = [each.id for each in read_event(event_of(source, records), ()).deliveries if "1" in each.id[-1:]]
    memory.down = {second}
    again = answer(subject, event_of(source, records))
    assert document(identifier(source, records[1])) in again
    assert len(again) == (2 if source == "fifo" else 1)


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
        ({"Records": [{"EventSource": "aws:sns", "Sns": {}}]}, 'found records of "aws:sns"'),
        ({"Records": [{"eventSource": "aws:s3", "s3": {}}]}, 'found records of "aws:s3"'),
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

"""What `deploy aws` refuses of a source of records, before it builds. The queues are moto's."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import boto3
import pytest

from fakes.s3_server import S3Server
from pilotlight_cli.aws.calls import AwsError
from pilotlight_cli.aws.record_sources import refusals, unreadable
from pilotlight_cli.aws.template import effective_values
from templates import SOURCES, TEMPLATE

ACCOUNT = "us-east-1:123456789012"
_NAMES = (f"rows-{number}" for number in count(1))


def values(source: str, **given: str) -> dict[str, str]:
    return effective_values(TEMPLATE, {**SOURCES[source], **given})


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_is_good_as_it_is(source: str) -> None:
    assert refusals(values(source)) == []


def test_without_a_source_there_is_nothing_to_refuse() -> None:
    assert refusals(effective_values(TEMPLATE, {})) == []
    assert refusals({}) == []  # the template of an older project


TABLE = {"RecordsResults": f"arn:aws:dynamodb:{ACCOUNT}:table/rows"}
REFUSED = [
    ("create-fifo", {"RecordsWindowSeconds": "1"}, "RecordsWindowSeconds is 1; expected 0 or nothing: a FIFO queue"),
    ("fifo", {"RecordsBatchSize": "11"}, "RecordsBatchSize is 11; expected at most 10 of a FIFO queue"),
    ("create", {"RecordsWindowSeconds": "0"}, "RecordsWindowSeconds is 0; expected at least 1 for more than 10"),
    ("queue", {"RecordsConcurrency": "1"}, "RecordsConcurrency is 1; expected a whole number from 2 to 1000 for a q"),
    ("kinesis", {"RecordsConcurrency": "11"}, "RecordsConcurrency is 11; expected a whole number from 1 to 10 for a"),
    ("kafka", {"RecordsConcurrency": "2.5"}, "RecordsConcurrency is 2.5; expected a whole number"),
    ("create", {"RecordsFilter": "{kind}"}, "RecordsFilter is '{kind}'; expected a JSON object"),
    ("create", {"KafkaTopic": "rows"}, "KafkaTopic is 'rows'; expected nothing for a queue: it is for Kafka alone"),
    ("msk", {"KafkaTopic": ""}, "KafkaTopic is missing; expected the topic to read of arn:aws:kafka:"),
    ("kafka", {"KafkaSecretArn": ""}, "KafkaSecretArn is missing; expected a secret with the user name and password"),
    (
        "msk",
        {"KafkaSecretArn": SOURCES["kafka"]["KafkaSecretArn"], "KafkaAuthentication": "BASIC_AUTH"},
        "KafkaAuthentication is BASIC_AUTH; expected SASL_SCRAM_512_AUTH",
    ),
    ("queue", {"RecordsResults": SOURCES["queue"]["RecordsSource"]}, "RecordsResults is what RecordsSource reads"),
    ("dynamodb", TABLE, "RecordsResults is what RecordsSource reads; expected another one"),
]


@pytest.mark.parametrize(("source", "given", "sentence"), REFUSED)
def test_what_the_kind_of_source_does_not_take_is_refused_with_a_sentence(
    source: str, given: dict[str, str], sentence: str
) -> None:
    (found,) = refusals(values(source, **given))
    assert found.startswith(sentence)


@pytest.mark.parametrize(
    ("source", "given"),
    [
        ("create", {"RecordsBatchSize": "10", "RecordsWindowSeconds": "0"}),
        ("create-fifo", {"RecordsBatchSize": "10", "RecordsWindowSeconds": "0"}),
        ("kinesis", {"RecordsWindowSeconds": "0", "RecordsBatchSize": "10000"}),
        ("create", {"RecordsFilter": '{"body": {"kind": ["row"]}}'}),
    ],
)
def test_what_it_takes_is_not(source: str, given: dict[str, str]) -> None:
    assert refusals(values(source, **given)) == []


# ---- Queues that are there ----


@pytest.fixture
def sqs(s3_server: S3Server, aws_environ: None) -> Any:
    return boto3.client("sqs", endpoint_url=s3_server.url, region_name="us-east-1")


def of_queue(sqs: Any, ending: str = "", *, window: str = "", **attributes: str) -> list[str]:
    """Return what is refused of a new queue with these attributes."""
    name = f"{next(_NAMES)}{ending}"
    fifo = {"FifoQueue": "true"} if ending else {}
    sqs.create_queue(QueueName=name, Attributes={**fifo, **attributes})
    found = {"RecordsSource": f"arn:aws:sqs:{ACCOUNT}:{name}", "RecordsWindowSeconds": window}
    return unreadable(values("queue", **found), "us-east-1", sqs)


def redrive(sqs: Any, ending: str = "") -> str:
    name = f"{next(_NAMES)}{ending}"
    sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"} if ending else {})
    return json.dumps({"deadLetterTargetArn": f"arn:aws:sqs:{ACCOUNT}:{name}", "maxReceiveCount": 5})


def test_a_queue_that_gives_time_and_keeps_dead_letters_is_good(sqs: Any) -> None:
    assert of_queue(sqs, RedrivePolicy=redrive(sqs), VisibilityTimeout="361") == []
    assert of_queue(sqs, ".fifo", RedrivePolicy=redrive(sqs, ".fifo"), VisibilityTimeout="360") == []


@pytest.mark.parametrize(("window", "visible", "wanted"), [("", "360", 361), ("0", "359", 360), ("60", "419", 420)])
def test_a_queue_that_shows_messages_again_too_soon_is_refused(
    window: str, visible: str, wanted: int, sqs: Any
) -> None:
    (found,) = of_queue(sqs, window=window, RedrivePolicy=redrive(sqs), VisibilityTimeout=visible)
    assert f"has a visibility timeout of {visible} s, expected at least {wanted}: six times" in found
    assert f"--attributes VisibilityTimeout={wanted}'" in found


def test_a_queue_without_a_dead_letter_queue_is_refused(sqs: Any) -> None:
    (found,) = of_queue(sqs, VisibilityTimeout="900")
    assert "has no dead-letter queue, so a message that cannot be scored comes again until it expires" in found


def test_a_queue_that_is_not_there_is_an_error_that_names_it(sqs: Any) -> None:
    given = values("queue", RecordsSource=f"arn:aws:sqs:{ACCOUNT}:nowhere")
    with pytest.raises(AwsError, match="the queue nowhere: .*NonExistentQueue"):
        unreadable(given, "us-east-1", sqs)


@pytest.mark.parametrize("source", ["queue", "kinesis", "dynamodb", "msk"])
def test_a_source_in_another_region_is_refused_before_it_is_asked(source: str) -> None:
    (found,) = unreadable(values(source), "eu-central-1", None)
    assert found.startswith("RecordsSource is in us-east-1, expected one in eu-central-1")


@pytest.mark.parametrize("source", ["create", "create-fifo", "kafka"])
def test_a_source_without_an_arn_has_no_region(source: str) -> None:
    assert unreadable(values(source), "eu-central-1", None) == []

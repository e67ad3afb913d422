"""The source of records in a stack's parameters: what its kind takes, which the template's rules cannot compare.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pilotlight_cli.aws.calls import calling
from pilotlight_cli.aws.release import SOURCE

_RESULTS, _BATCH, _WINDOW, _MOST = "RecordsResults", "RecordsBatchSize", "RecordsWindowSeconds", "RecordsConcurrency"
_TOPIC, _SECRET = "KafkaTopic", "KafkaSecretArn"

_QUEUE, _STREAM, _KAFKA = "a queue", "a stream", "Kafka"
_KINDS = {"create": _QUEUE, "create-fifo": _QUEUE, "kafka": _KAFKA}
_SERVICES = {"sqs": _QUEUE, "kinesis": _STREAM, "dynamodb": _STREAM, "kafka": _KAFKA}

# Batches at the same time.
_CONCURRENCY = {_QUEUE: (2, 1000), _STREAM: (1, 10), _KAFKA: (1, 1000)}

# More records than this need a batch window, and a FIFO queue gives no more.
_QUEUE_BATCH = 10

# The timeout of the function in deploy/aws/streams.yaml, six times: what Lambda recommends for a queue.
_VISIBILITY_SECONDS = 360


def refusals(values: Mapping[str, str]) -> list[str]:
    """Return a sentence for each reason to refuse the source of records in these values of all parameters."""
    return list(_problems(values)) if values.get(SOURCE) else []


def unreadable(values: Mapping[str, str], region: str, sqs: Any) -> list[str]:  # noqa: ANN401 - boto3 makes the type
    """Return a sentence for each reason why Lambda cannot read the source that is there in a region.

    `sqs` is a client of SQS. Raise AwsError for a queue that does not exist or whose attributes are not readable.
    """
    source = values[SOURCE]
    if not source.startswith("arn:"):
        return []
    found = source.split(":")[3]
    if found != region:
        return [f"{SOURCE} is in {found}, expected one in {region}: Lambda reads sources of its own region alone"]
    return list(_of_queue(source, values, sqs)) if source.split(":")[2] == "sqs" else []


def _problems(values: Mapping[str, str]) -> Iterator[str]:
    source, kind = values[SOURCE], _kind(values[SOURCE])
    if source == values[_RESULTS] or source.startswith(f"{_table(values[_RESULTS])}/stream/"):
        yield f"{_RESULTS} is what {SOURCE} reads; expected another one: each result would be the next record"
    fewest, most = _CONCURRENCY[kind]
    if not values[_MOST].isdecimal() or not fewest <= int(values[_MOST]) <= most:
        yield f"{_MOST} is {values[_MOST]}; expected a whole number from {fewest} to {most} for {kind}"
    if values["RecordsFilter"] and not _is_object(values["RecordsFilter"]):
        yield f"RecordsFilter is {values['RecordsFilter']!r}; expected a JSON object"
    if kind == _QUEUE:
        yield from _of_batches(values)
    yield from _of_kafka(values, kind)


def _kind(source: str) -> str:
    """Return the kind of a source that the template's pattern accepts."""
    first, *rest = source.split(":")
    return _SERVICES[rest[1]] if first == "arn" else _KINDS[first]


def _table(arn: str) -> str:
    return arn if ":table/" in arn else "no table"


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _of_batches(values: Mapping[str, str]) -> Iterator[str]:
    batch, window = values[_BATCH], values[_WINDOW]
    if values[SOURCE].endswith("fifo"):
        if int(window or 0):
            yield f"{_WINDOW} is {window}; expected 0 or nothing: a FIFO queue has no batch window"
        if batch and int(batch) > _QUEUE_BATCH:
            yield f"{_BATCH} is {batch}; expected at most {_QUEUE_BATCH} of a FIFO queue"
    elif int(batch or 100) > _QUEUE_BATCH and window and not int(window):
        yield f"{_WINDOW} is {window}; expected at least 1 for more than {_QUEUE_BATCH} messages at once"


def _of_kafka(values: Mapping[str, str], kind: str) -> Iterator[str]:
    if kind != _KAFKA:
        for name in (_TOPIC, _SECRET):
            if values[name]:
                yield f"{name} is {values[name]!r}; expected nothing for {kind}: it is for Kafka alone"
        return
    if not values[_TOPIC]:
        yield f"{_TOPIC} is missing; expected the topic to read of {values[SOURCE]}"
    if values[SOURCE].startswith("kafka:") and not values[_SECRET]:
        yield f"{_SECRET} is missing; expected a secret with the user name and password for {values[SOURCE]}"
    if values[SOURCE].startswith("arn:") and values[_SECRET] and values["KafkaAuthentication"] != "SASL_SCRAM_512_AUTH":
        yield f"KafkaAuthentication is {values['KafkaAuthentication']}; expected SASL_SCRAM_512_AUTH, which MSK has"


def _of_queue(arn: str, values: Mapping[str, str], sqs: Any) -> Iterator[str]:  # noqa: ANN401
    account, name = arn.split(":")[4:]
    url = f"{sqs.meta.endpoint_url}/{account}/{name}"
    with calling(f"the queue {name}", "sqs:GetQueueAttributes"):
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout", "RedrivePolicy"])
    attributes = found.get("Attributes", {})
    wanted = _VISIBILITY_SECONDS + int(values[_WINDOW] or not name.endswith(".fifo"))
    visible = int(attributes["VisibilityTimeout"])
    if visible < wanted:
        yield (
            f"the queue {name} has a visibility timeout of {visible} s, expected at least {wanted}: six times the "
            f"function's timeout, and the batch window. Set it with 'aws sqs set-queue-attributes --queue-url {url} "
            f"--attributes VisibilityTimeout={wanted}'"
        )
    if not attributes.get("RedrivePolicy"):
        yield (
            f"the queue {name} has no dead-letter queue, so a message that cannot be scored comes again until it "
            "expires; expected a redrive policy"
        )

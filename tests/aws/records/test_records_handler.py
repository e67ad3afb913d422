"""The function for records in AWS's runtime, with real queues and destinations of moto."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import pytest

from destinations import Destination, Result
from event_sources import read_event
from harness import Pinned, in_lambda, records_in_lambda, sample, stored
from mixes import event_of, record_of
from pilotlight_cli.local.lambda_runtime import FunctionFailed, LambdaRuntime
from pilotlight_cli.local.stores import EmbeddedStore, acting_in
from repository import EVENTS
from waiting import wait_until

GOOD = json.dumps({"features": [1.0] * 30})
PREDICTION = "malignant"
ACCOUNT = "us-east-1:123456789012"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    return sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def store(model: Pinned) -> Iterator[EmbeddedStore]:
    with ExitStack() as stack:
        embedded = stack.enter_context(stored("aws", model))
        endpoint = {"AWS_ENDPOINT_URL": embedded.environ["AWS_ENDPOINT_URL_S3"]}
        stack.enter_context(acting_in({**embedded.environ, **endpoint}))
        yield embedded


@pytest.fixture(scope="module")
def function(model: Pinned, store: EmbeddedStore) -> Iterator[LambdaRuntime]:
    with records_in_lambda(model, store, f"{store.url}/results") as runtime:
        yield runtime


def client(service: str) -> Any:
    return boto3.client(service, region_name="us-east-1")  # type: ignore[call-overload]


def objects(store: EmbeddedStore) -> dict[str, Any]:
    """Return the results under the prefix of the function, by their keys, without those of several lines."""
    s3, bucket = client("s3"), store.url.removeprefix("s3://")
    found = s3.list_objects_v2(Bucket=bucket, Prefix="results/").get("Contents", [])
    contents = {each["Key"]: s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in found}
    return {key: json.loads(content) for key, content in contents.items() if content.count(b"\n") == 1}


@pytest.mark.parametrize("source", ["kinesis", "dynamodb", "msk", "kafka"])
def test_an_events_results_are_objects_by_day_and_a_redelivery_writes_them_again(
    source: str, function: LambdaRuntime, store: EmbeddedStore
) -> None:
    made = [record_of(source, number, 0, kind, body) for number, kind, body in ((0, "good", GOOD), (1, "poison", ""))]
    event = event_of(source, made)
    first, second = function.invoke(event), function.invoke(event)
    assert first == second
    assert len(first["batchItemFailures"]) == 1
    name = read_event(event, ()).deliveries[0].id
    ((key, found),) = ((key, found) for key, found in objects(store).items() if found["id"] == name)
    assert key.startswith("results/rows/dt=2025-12-02/")
    assert key.endswith(".jsonl")
    assert found["result"]["model_name"] == "breast-cancer"


@pytest.mark.parametrize("file", sorted((EVENTS / "records").glob("*.json")), ids=lambda file: file.stem)
def test_the_real_events_of_each_source_get_the_sample_requests_answer(
    file: Path, function: LambdaRuntime, model: Pinned, store: EmbeddedStore
) -> None:
    event = json.loads(file.read_bytes())
    deliveries = read_event(event, model.model.signature.feature_names).deliveries
    for each in filter(None, (delivery.object for delivery in deliveries)):
        put(each.bucket, each.key, json.dumps(sample_document()))
    assert function.invoke(event) == {"batchItemFailures": []}
    found = {each["id"]: each["result"] for each in objects(store).values()}
    answers = [found[each.id] for each in deliveries if each.record is not None or each.object is not None]
    assert [(each["prediction"], each["model_version"]) for each in answers] == [(PREDICTION, 1)] * len(answers)
    assert answers
    assert all(found[each.id] is None for each in deliveries if each.record is None and each.object is None)


def sample_document() -> Any:
    """Return the sample request's document."""
    return json.loads((EVENTS / "records" / "eventbridge.json").read_bytes())["detail"]


def put(bucket: str, key: str, body: str | bytes) -> None:
    s3 = client("s3")
    if bucket not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=key, Body=body)


def test_lines_of_an_object_have_results_in_one_object_and_a_bad_line_fails_all(
    function: LambdaRuntime, store: EmbeddedStore
) -> None:
    """In a queue the message with the notification comes again; S3 itself invokes again after an error."""
    lines = [json.dumps(sample_document()), "", ",".join(["1.5"] * 30), json.dumps([2.0] * 30)]
    put("incoming", "good lines/a+b.jsonl.gz", gzip.compress("\n".join(lines).encode()))
    put("incoming", "bad.ndjson", "\n".join([*lines, "poison"]))
    good, bad = (notification(key) for key in ("good+lines/a%2Bb.jsonl.gz", "bad.ndjson"))
    assert function.invoke(good) == {"batchItemFailures": []}
    with pytest.raises(FunctionFailed, match=r"RecordsFailed: bad.ndjson@0055AED6DCD90281E5#5: expected 30 cells"):
        function.invoke(bad)
    messages = [record_of("sqs", number, 0, "", json.dumps(event)) for number, event in enumerate((good, bad))]
    failed = function.invoke(event_of("sqs", messages))["batchItemFailures"]
    assert [each["itemIdentifier"] for each in failed] == [messages[1]["messageId"]]
    s3, bucket = client("s3"), store.url.removeprefix("s3://")
    (found,) = s3.list_objects_v2(Bucket=bucket, Prefix="results/incoming/dt=2026-12-02/good")["Contents"]
    content = s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read().decode()
    results = [json.loads(line) for line in content.splitlines()]
    name = "good lines/a+b.jsonl.gz"
    assert [result["id"] for result in results] == [f"{name}@0055AED6DCD90281E5#{line}" for line in (1, 3, 4)]
    assert {result["key"] for result in results} == {f"s3://incoming/{name}"}
    assert "bad" not in str(s3.list_objects_v2(Bucket=bucket, Prefix="results/incoming")["Contents"])


def notification(key: str) -> dict[str, Any]:
    """Return S3's notification of an object whose name is encoded as there."""
    event: dict[str, Any] = json.loads((EVENTS / "records" / "s3.json").read_bytes())
    event["Records"][0]["eventTime"] = "2026-12-02T10:00:00.000Z"
    event["Records"][0]["s3"]["object"] = {"key": key, "size": 10, "sequencer": "0055AED6DCD90281E5"}
    return event


def test_a_start_without_a_destination_fails_with_a_sentence(model: Pinned, store: EmbeddedStore) -> None:
    with records_in_lambda(model, store, "") as runtime:
        with pytest.raises(FunctionFailed, match="PILOTLIGHT_RESULTS is missing: without a destination all results"):
            runtime.invoke({})
        line = runtime.log.wait_for("cold_start", 60)
        assert line is not None
        assert line["state"] == "failed"


def test_the_predict_function_takes_no_notice_of_a_destination(model: Pinned, store: EmbeddedStore) -> None:
    with in_lambda(model, store, PILOTLIGHT_RESULTS="s3://bucket") as runtime:
        assert runtime.invoke({"features": [1.0] * 30})["model_name"] == "breast-cancer"


def test_it_describes_its_version_and_answers_a_test_event(function: LambdaRuntime, model: Pinned) -> None:
    assert function.invoke({"pilotlight": "describe"})["model"]["name"] == model.model.name
    assert function.invoke({"key1": "value1"})["status"] == "ready"
    with pytest.raises(FunctionFailed, match='ValueError: .* found records of "aws:codecommit"'):
        function.invoke({"Records": [{"eventSource": "aws:codecommit"}]})
    assert function.invoke(event_of("sqs", [record_of("sqs", 1, 0, "good", GOOD)])) == {"batchItemFailures": []}


def poll(queue: str, arn: str, invoke: Callable[[Any], Any]) -> int:
    """Do what Lambda's mapping does with one batch: delete what succeeded, return the number of messages."""
    sqs = client("sqs")
    names: Any = ["All"]
    found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, AttributeNames=names)
    messages = found.get("Messages", [])
    if not messages:
        return 0
    records = [
        {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": arn,
        }
        for message in messages
    ]
    failed = {each["itemIdentifier"] for each in invoke({"Records": records})["batchItemFailures"]}
    assert failed <= {message["MessageId"] for message in messages}
    for message in messages:
        if message["MessageId"] in failed:
            sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
        else:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return len(messages)


def new_queue(name: str, **attributes: str) -> tuple[str, str]:
    sqs = client("sqs")
    fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    url = sqs.create_queue(QueueName=name, Attributes=fifo | attributes)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def bodies(queue: str) -> list[str]:
    sqs, found = client("sqs"), []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            found.append(message["Body"])
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return found


@pytest.mark.parametrize("ending", ["", ".fifo"])
def test_poison_ends_in_the_dead_letter_queue_and_every_other_message_in_one_result(
    ending: str, model: Pinned, store: EmbeddedStore
) -> None:
    """In a FIFO queue, what is behind the poison waits for it and is then scored in order."""
    dead, dead_arn = new_queue(f"dead{ending}")
    out, out_arn = new_queue(f"out{ending}")
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 3})
    queue, arn = new_queue(f"in{ending}", RedrivePolicy=redrive)
    sqs = client("sqs")
    for number in range(25):
        fifo = {"MessageGroupId": str(number % 2), "MessageDeduplicationId": str(number)} if ending else {}
        body = "poison" if number in (7, 20) else json.dumps({"features": [float(number)] * 30})
        sqs.send_message(QueueUrl=queue, MessageBody=body, **fifo)
    with records_in_lambda(model, store, out_arn) as runtime:
        quiet = 0
        while quiet < 3:
            quiet = 0 if poll(queue, arn, runtime.invoke) else quiet + 1
    results = [json.loads(body) for body in bodies(out)]
    ids = [result["id"] for result in results]
    gone = bodies(dead)
    assert "poison" in gone
    assert len(set(ids)) == len(ids)
    assert len(ids) + len(gone) == 25
    if not ending:
        assert gone == ["poison", "poison"]


def test_poison_goes_to_the_failures_with_its_reason_and_the_message_is_done(
    model: Pinned, store: EmbeddedStore
) -> None:
    failures, arn = new_queue("failures")
    event = event_of("sqs", [record_of("sqs", 1, 0, "poison"), record_of("sqs", 2, 0, "good", GOOD)])
    with records_in_lambda(model, store, f"{store.url}/results", PILOTLIGHT_FAILURES=arn) as runtime:
        assert runtime.invoke(event) == {"batchItemFailures": []}
        line = runtime.log.wait_for("records", 60)
    assert line is not None
    assert (line["failed"], line["rejected"], line["level"], len(line["failures"])) == (0, 1, "WARNING", 1)
    (failure,) = map(json.loads, bodies(failures))
    assert failure["id"] == event["Records"][0]["messageId"]
    assert failure["error"] == {"code": "invalid_request", "message": "expected 30 cells, found 1", "path": None}
    assert failure["payload"] == "not for the model"
    assert failure["model_sha256"] == model.model.files[0].sha256


def arn_of(service: str) -> str:
    """Make a destination of a service, and return its ARN."""
    if service == "sns":
        return str(client("sns").create_topic(Name="results")["TopicArn"])
    if service == "events":
        return str(client("events").create_event_bus(Name="results")["EventBusArn"])
    if service == "kinesis":
        client("kinesis").create_stream(StreamName="results", ShardCount=1)
        wait_until(lambda: "ACTIVE" in str(client("kinesis").describe_stream_summary(StreamName="results")), limit=60)
        return f"arn:aws:kinesis:{ACCOUNT}:stream/results"
    if service == "dynamodb":
        made = client("dynamodb").create_table(
            TableName="results",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        return str(made["TableDescription"]["TableArn"])
    return new_queue("results.fifo" if service == "fifo" else "results")[1]


def contents(service: str, arn: str) -> list[str] | None:
    """Return what readers of a destination find; None where moto keeps nothing to read."""
    if service == "kinesis":
        kinesis = client("kinesis")
        (shard,) = kinesis.list_shards(StreamName="results")["Shards"]
        start = kinesis.get_shard_iterator(
            StreamName="results", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        return [each["Data"].decode().strip() for each in kinesis.get_records(ShardIterator=start)["Records"]]
    if service == "dynamodb":
        return [item["document"]["S"] for item in client("dynamodb").scan(TableName="results")["Items"]]
    if service in ("sns", "events"):
        return None
    return bodies(client("sqs").get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"])


@pytest.mark.parametrize(
    ("service", "copies"), [("sqs", 2), ("fifo", 1), ("sns", 2), ("events", 2), ("kinesis", 2), ("dynamodb", 1)]
)
def test_results_reach_each_destination_and_repeat_only_under_their_ids(
    service: str, copies: int, store: EmbeddedStore
) -> None:
    arn = arn_of(service)
    destination = Destination(arn)
    results = [Result(f"id-{number}", "rows", 0.0, json.dumps({"id": f"id-{number}"})) for number in range(25)]
    for _ in range(2):
        assert destination.write(results, time.monotonic() + 60) == {}
    found = contents(service, arn)
    if found is not None:
        assert sorted(found) == sorted([result.content for result in results] * copies)


@pytest.mark.parametrize("service", ["sqs", "sns", "events", "kinesis", "dynamodb:table/"])
def test_a_destination_that_does_not_exist_fails_every_result(service: str, store: EmbeddedStore) -> None:
    name, _, kind = service.partition(":")
    kind = kind or {"events": "event-bus/", "kinesis": "stream/"}.get(name, "")
    destination = Destination(f"arn:aws:{name}:{ACCOUNT}:{kind}nowhere")
    results = [Result("one", "rows", 0.0, "{}"), Result("two", "rows", 0.0, "{}")]
    if name != "events":  # moto takes events for any bus
        assert destination.write(results, time.monotonic() + 60).keys() == {"one", "two"}


def test_results_that_a_destination_does_not_take_in_time_have_failed(store: EmbeddedStore) -> None:
    destination = Destination(f"{store.url}/late")
    failures = destination.write([Result("one", "rows", 0.0, "{}")], time.monotonic() - 1)
    assert failures == {"one": "the service did not answer in time"}

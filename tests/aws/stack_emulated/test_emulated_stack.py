"""template.yaml deployed to an emulator of AWS with the real packages: who gets which answer, and what rings."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from werkzeug.wrappers import Request, Response

import onnx_models
from batch_runs import bucket_files
from fakes.embedded_metrics import metric_data
from fakes.emulated_aws import EmulatedAws, emulated_aws, without_the_refused
from harness import Pinned, pinned, sample
from pilotlight_cli.aws import keys
from pilotlight_cli.local.stores import acting_in
from pilotlight_cli.local.wsgi import serving_wsgi
from pilotlight_cli.registry.publish import copy
from pilotlight_cli.staging import build
from pilotlight_cli.stores import open_store
from reporting import REPORTED, Recorder
from repository import LOCK, sample_request
from templates import BATCH, SOURCES, UNFOLDED, UNFOLDED_STREAMS, streams_parameters
from translation import ACCOUNT, REGION, deployed, translate
from waiting import wait_until

STORE = "s3://models"
PACKAGES = "packages"
FUNCTIONS = {
    "PredictFunction": "predict",
    "PreTrafficHook": "hooks",
    "PostTrafficHook": "hooks",
    "AuthorizerFunction": "authorizer",
}
PATH, BODY = sample_request()

# The head of a table, one entry a row: a request for seven makes the model break its own signature.
GOOD, BAD = {"features": [1]}, {"features": [7]}


@pytest.fixture(scope="module")
def aws(lambda_image: str, address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedAws]:
    """Yield an emulator whose S3 has the sample model, and the packages of the functions that serve it."""
    with emulated_aws(lambda_image, address, tmp_path_factory.mktemp("aws")) as running:
        for bucket in (STORE.partition("://")[2], PACKAGES):
            running.client("s3").create_bucket(Bucket=bucket)
        upload_model(running, sample(tmp_path_factory.mktemp("store")))
        for function in set(FUNCTIONS.values()):
            upload_package(running, function, LOCK, tmp_path_factory.mktemp(function))
        yield running


def upload_model(aws: EmulatedAws, model: Pinned) -> None:
    with acting_in(aws.environ):
        copy(model.store, open_store(STORE), model.model.name, model.model.version, lambda _: None)


def upload_package(aws: EmulatedAws, function: str, lock: Path, folder: Path, name: str = "") -> str:
    """Build a function's package and put it into S3; its URL."""
    package = build("aws", lock, folder / function, lambda _: None, function=function)
    archive = shutil.make_archive(str(folder / "package"), "zip", package.folder)
    aws.client("s3").upload_file(archive, PACKAGES, name or function)
    return f"s3://{PACKAGES}/{name or function}"


def deploy(aws: EmulatedAws, stack: str, predict: str = "", **given: str) -> tuple[dict[str, str], list[str]]:
    """Deploy a stack of template.yaml; its outputs, and what had to be dropped."""
    urls = {name: f"s3://{PACKAGES}/{function}" for name, function in FUNCTIONS.items()}
    if predict:
        urls["PredictFunction"] = predict
    values = {"StoreUrl": STORE, **given}
    template, dropped = without_the_refused(deployed(translate(UNFOLDED, values, urls), values, stack))
    return aws.deploy(stack, template), dropped


@dataclass
class Caller:
    """Calls the API of a stack, with an id for each request: the function's lines are known by it."""

    aws: EmulatedAws
    stack: str
    api: str
    sent: set[str] = field(default_factory=set)
    answered: list[str] = field(default_factory=list)

    def ask(self, path: str, body: object = None, **headers: str) -> requests.Response:
        """Return the answer to a request whose line is in the log.

        The emulator reads a container's output once, just after the answer. What Docker passes on later it never has,
        or takes for the next request's: such a request is sent again.
        """
        for _ in range(20):
            request = token_hex(8)
            self.sent.add(request)
            reply = self.aws.call(self.api, path, body, **headers, **{"x-request-id": request})
            if request in self.lines():
                self.answered.append(request)
                return reply
        raise AssertionError("20 requests in a row have left no line in the emulator's log")

    def lines(self) -> dict[str, dict[str, Any]]:
        """Return the lines of requests in the function's log, by the requests' ids."""
        lines = [json.loads(one) for one in self.aws.log_lines(f"/pilotlight/{self.stack}/predict") if one[:1] == "{"]
        return {line["request_id"]: line for line in lines if line["event"] == "request"}

    def versions(self) -> list[str]:
        """Return the version in the line of each answered request. The function got no other request."""
        lines = self.lines()
        assert lines.keys() <= self.sent
        return [lines[request]["ExecutedVersion"] for request in self.answered]


def test_a_request_through_the_api_gets_the_right_prediction_from_the_live_version(aws: EmulatedAws) -> None:
    outputs, _ = deploy(aws, "open", Authorization="open-to-everyone")
    caller = Caller(aws, "open", outputs["ApiUrl"])
    reply = caller.ask(PATH, BODY)
    assert reply.status_code == 200, reply.text
    assert (reply.json()["prediction"], reply.json()["probability"]) == ("malignant", 0.96875)
    unknown = caller.ask("/nowhere", BODY)
    assert unknown.json()["code"] == "not_found"
    alias = aws.client("lambda").get_alias(FunctionName=outputs["FunctionName"], Name="live")
    assert caller.versions() == [alias["FunctionVersion"]] * 2 == ["1", "1"]


def test_what_the_emulator_refuses_is_these_and_the_rest_is_made(aws: EmulatedAws, record_property: Recorder) -> None:
    _, dropped = deploy(aws, "scaled", StartMode="provisioned", MaxProvisioned="2")
    record_property(REPORTED, f"the emulator of AWS takes a stack without {', '.join(dropped)}")
    assert [name.partition(" ")[0] for name in dropped] == [
        "ProvisionedTarget",
        "ProvisionedTracking",
        "Judge",
        "ReleaseAlarm",
        "Monitoring",
        "OutOfRangeAlarm",
        "WorseAlarm",
        "ServerlessDeploymentApplication",
        "PredictFunctionDeploymentGroup",
    ]


KEY = RSAKey.generate_key(2048, {"kid": "first"})
STRANGER = RSAKey.generate_key(2048, {"kid": "first"})


@contextmanager
def issuer() -> Iterator[str]:
    """Yield the URL of an issuer of tokens: its discovery document and its public keys."""

    @Request.application
    def answer(request: Request) -> Response:
        documents: dict[str, Any] = {
            "/.well-known/openid-configuration": {"issuer": url, "jwks_uri": f"{url}/keys"},
            "/keys": KeySet([KEY]).as_dict(private=False),
        }
        return Response(json.dumps(documents[request.path]), content_type="application/json")

    with serving_wsgi(answer) as url:
        yield url


def token(issuer: str, key: RSAKey = KEY, **claims: object) -> str:
    """Return a token for this API that is good for ten minutes, but for what `claims` say."""
    now = int(time.time())
    good = {"iss": issuer, "aud": "models", "sub": "somebody", "iat": now - 5, "exp": now + 600}
    return jwt.encode({"alg": "RS256", "kid": "first"}, good | claims, key)


def test_a_jwt_lets_in_who_has_a_good_one_and_nobody_else(aws: EmulatedAws) -> None:
    with issuer() as url:
        outputs, _ = deploy(aws, "tokens", Authorization="jwt", JwtIssuer=url, JwtAudience="models,others")
        api = outputs["ApiUrl"]
        caller = Caller(aws, "tokens", api)
        authorized = {
            "good": token(url),
            "for the other audience": token(url, aud="others"),
            "expired": token(url, exp=int(time.time()) - 60),
            "for a stranger's audience": token(url, aud="strangers"),
            "of another issuer": token("https://elsewhere.example.com"),
            "signed by somebody else": token(url, STRANGER),
        }
        let_in = ("good", "for the other audience")
        statuses = {
            name: (caller.ask if name in let_in else partial(aws.call, api))(
                PATH, BODY, authorization=f"Bearer {one}"
            ).status_code
            for name, one in authorized.items()
        }
        statuses["missing"] = aws.call(api, PATH, BODY).status_code
    assert statuses == {
        "good": 200,
        "for the other audience": 200,
        "expired": 401,
        "for a stranger's audience": 401,
        "of another issuer": 401,
        "signed by somebody else": 401,
        "missing": 401,
    }
    assert caller.versions() == ["1", "1"]


def test_an_api_key_lets_in_who_has_one_and_its_secret_is_stored_nowhere(aws: EmulatedAws) -> None:
    outputs, _ = deploy(aws, "keyed", Authorization="api-key")
    api, ssm = outputs["ApiUrl"], aws.client("ssm")
    made, key = keys.create(ssm, "keyed", label="a test", expires=None, now=datetime.now(UTC))
    caller = Caller(aws, "keyed", api)
    answered = caller.ask(PATH, BODY, **{"x-api-key": key})
    assert answered.status_code == 200, answered.text
    assert answered.json()["prediction"] == "malignant"
    assert aws.call(api, PATH, BODY).status_code == 401
    assert aws.call(api, PATH, BODY, **{"x-api-key": f"{made.id}.{'A' * 43}"}).status_code == 403
    (stored,) = ssm.get_parameters_by_path(Path=keys.path("keyed"))["Parameters"]
    assert key.partition(".")[2] not in stored["Value"]
    assert caller.versions() == ["1"]


def test_a_release_that_fails_raises_its_own_alarm(aws: EmulatedAws, tmp_path: Path) -> None:
    deploy(aws, "failing", Authorization="open-to-everyone")
    golden = tmp_path / "golden.json"
    golden.write_text(json.dumps(onnx_models.HEAD_GOLDEN))
    model = pinned(onnx_models.head(tmp_path), "head", tmp_path / "models", golden=golden)
    upload_model(aws, model)
    package = upload_package(aws, "predict", model.lock, tmp_path, "head")
    outputs, _ = deploy(aws, "failing", package, Authorization="open-to-everyone")

    caller = Caller(aws, "failing", outputs["ApiUrl"])
    assert caller.ask("/predict", GOOD).json()["prediction"] == 20.0
    publish_metrics(aws, "failing")
    alarm = server_errors_alarm(aws, "failing")
    assert alarm["AlarmName"] == "failing-server-errors-2"
    assert alarm["StateValue"] == "OK"

    for _ in range(5):
        assert caller.ask("/predict", BAD).status_code == 500
    publish_metrics(aws, "failing")
    alarm = server_errors_alarm(aws, "failing")
    assert alarm["StateValue"] == "ALARM"
    failed = [line for line in caller.lines().values() if line["status"] == 500]
    assert seen_by(aws, alarm) == len(failed) >= 5
    assert seen_by(aws, alarm, ExecutedVersion="1") == 0.0


def publish_metrics(aws: EmulatedAws, stack: str) -> None:
    """Publish the metrics in the function's log lines as CloudWatch does. Lines that were read before count again."""
    for namespace, data in metric_data(aws.log_lines(f"/pilotlight/{stack}/predict")).items():
        aws.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=data)


def server_errors_alarm(aws: EmulatedAws, stack: str) -> Any:
    prefix = f"{stack}-server-errors-"
    (alarm,) = aws.client("cloudwatch").describe_alarms(AlarmNamePrefix=prefix)["MetricAlarms"]
    return alarm


def seen_by(aws: EmulatedAws, alarm: Any, **other: str) -> float:
    """Return the statistic that an alarm looks at, over the last minutes; `other` are values for its dimensions."""
    dimensions = {one["Name"]: one["Value"] for one in alarm["Dimensions"]} | other
    now = datetime.now(UTC)
    asked = aws.client("cloudwatch").get_metric_statistics(
        Namespace=alarm["Namespace"],
        MetricName=alarm["MetricName"],
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        Statistics=[alarm["Statistic"]],
        Period=alarm["Period"],
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=1),
    )
    return float(sum(point[alarm["Statistic"]] for point in asked["Datapoints"]))


def test_a_message_of_a_queue_becomes_a_result_in_a_queue_and_a_poison_one_is_put_aside(
    aws: EmulatedAws, tmp_path: Path
) -> None:
    """The nested stack for records by itself, with the queue that it makes."""
    sqs = aws.client("sqs")
    results = sqs.create_queue(QueueName="scores")["QueueUrl"]
    urls = {
        "RecordsFunction": upload_package(aws, "records", LOCK, tmp_path),
        "RecordsPreTrafficHook": f"s3://{PACKAGES}/hooks",
    }
    given = {"Stack": "rows", "Store": STORE, "Results": f"arn:aws:sqs:{REGION}:{ACCOUNT}:scores"}
    values = {**streams_parameters(**SOURCES["create"]), **given}
    template = deployed(translate(UNFOLDED_STREAMS, values, urls), values, "rows")
    scaling = template["Resources"]["QueueMapping"]["Properties"]["ScalingConfig"]
    scaling["MaximumConcurrency"] = int(scaling["MaximumConcurrency"])  # the emulator compares the parameter's text
    aws.deploy("rows", without_the_refused(template)[0])

    rows = sqs.get_queue_url(QueueName="rows-records")["QueueUrl"]
    sent = [sqs.send_message(QueueUrl=rows, MessageBody=json.dumps(BODY))["MessageId"] for _ in range(12)]
    poison = sqs.send_message(QueueUrl=rows, MessageBody="poison")["MessageId"]
    scored = taken(sqs, results, len(sent))
    assert {result["id"] for result in scored} == set(sent)
    assert {(result["source"], result["result"]["prediction"]) for result in scored} == {("rows-records", "malignant")}
    (failure,) = taken(sqs, sqs.get_queue_url(QueueName="rows-records-failed")["QueueUrl"], 1)
    assert (failure["id"], failure["error"]["code"], failure["payload"]) == (poison, "invalid_request", "poison")


def taken(sqs: Any, queue: str, count: int) -> list[dict[str, Any]]:
    """Return the documents of so many messages, once they have come, with those that came with them."""
    found: list[dict[str, Any]] = []

    def have_come() -> bool:
        reply = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in reply.get("Messages", ()):
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return len(found) >= count

    wait_until(have_come, limit=240)
    return found


@pytest.fixture(scope="module")
def batch_package(aws: EmulatedAws, tmp_path_factory: pytest.TempPathFactory) -> str:
    return upload_package(aws, "batch", LOCK, tmp_path_factory.mktemp("batch"))


@pytest.mark.parametrize(("tolerated", "status"), [("5", "SUCCEEDED"), ("1", "FAILED")])
def test_a_bucket_of_300_shards_of_which_six_fail_passes_or_fails_by_what_is_tolerated(
    tolerated: str, status: str, aws: EmulatedAws, batch_package: str
) -> None:
    s3, states = aws.client("s3"), aws.client("stepfunctions")
    bucket = f"rows-{tolerated}"
    s3.create_bucket(Bucket=bucket)
    for name, content in bucket_files(294, 6).items():
        s3.put_object(Bucket=bucket, Key=f"in/{name}", Body=content)
    given = {"StoreUrl": STORE, "InputBucket": bucket, "OutputBucket": bucket}
    values = {**given, "Concurrency": "2", "ToleratedFailurePercentage": tolerated}
    stack = f"batch-{tolerated}"
    outputs = aws.deploy(stack, deployed(translate(BATCH, values, {"BatchFunction": batch_package}), values, stack))

    job = {"input": f"s3://{bucket}/in", "output": f"s3://{bucket}/out"}
    machine = outputs["StateMachineArn"]
    execution = states.start_execution(stateMachineArn=machine, input=json.dumps(job))["executionArn"]
    wait_until(lambda: states.describe_execution(executionArn=execution)["status"] != "RUNNING", limit=600)
    found = states.describe_execution(executionArn=execution)
    assert found["status"] == status, found
    (run,) = states.list_map_runs(executionArn=execution)["mapRuns"]
    counts = states.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]
    assert [counts[name] for name in ("total", "succeeded", "failed")] == [300, 294, 6]

    function, payload = outputs["FunctionName"], {"task": "report", "output": job["output"]}
    asked = aws.client("lambda").invoke(FunctionName=function, Payload=json.dumps(payload))
    report = json.loads(asked["Payload"].read())
    assert report == {"rows": 2940, "written": 294 * 9, "failed": 294} | {
        "shards": 300,
        "done": 294,
        "missing": 6,
        "output": job["output"],
    }
    if status == "SUCCEEDED":
        assert json.loads(found["output"]) == report
    else:
        assert found["error"] == "States.ExceedToleratedFailureThreshold"

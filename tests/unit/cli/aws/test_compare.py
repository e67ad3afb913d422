"""What is asked of a deployed function, and what is made of its answers. Lambda's API is a fake."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from fakes.lambda_api import lambda_api
from fakes.sam_cli import DeployedLambda
from pilotlight.model.golden import read_golden
from pilotlight.model.lock import load_lock
from pilotlight_cli.aws.calls import AwsError, client
from pilotlight_cli.aws.compare import NotServed, compare, compare_records
from pilotlight_cli.aws.served import Served, read_served, smoke
from pilotlight_cli.aws.template import effective_values
from pilotlight_cli.local.lambda_runtime import FunctionFailed
from repository import LOCK
from templates import TEMPLATE

RELEASE = "1" * 64
DIGEST = hashlib.sha256(LOCK.read_bytes()).hexdigest()
NAME = "stack-predict"


def answers(
    reply: Callable[[Any], Any] | None = None, *, release: str = RELEASE, lock: str = DIGEST
) -> Callable[[object], Any]:
    """Return a version that says who it is, and answers an HTTP event as `reply` does."""

    def answer(event: object) -> Any:
        if event == {"pilotlight": "describe"}:
            return {"function_version": "3", "release": release, "lock": lock}
        return (reply or published)(event)

    return answer


def published(event: Any) -> Any:
    """Return the answer that the sample's publisher saw."""
    instances = json.loads(event["body"])["instances"]
    for sample in read_golden(LOCK.with_name("golden.json").read_bytes()).samples:
        if len(instances) == sample.inputs[0].shape[0] and instances[0] == pytest.approx(sample.inputs[0].data[:30]):
            outputs = {tensor.name: tensor for tensor in sample.outputs}
            names = {output.role: output.name for output in load_lock(LOCK).model.signature.outputs}
            labels, shares = outputs[names["label"]], outputs[names["probabilities"]]
            rows = [shares.data[start : start + 2] for start in range(0, len(shares.data), 2)]
            model = {"model_name": "breast-cancer", "model_version": 1}
            body = {"predictions": labels.data, "probabilities": rows, **model}
            return {"statusCode": 200, "body": json.dumps(body)}
    raise AssertionError("no such sample")


@pytest.fixture
def function(aws_environ: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeployedLambda]:
    """Yield the function, whose version 3 is behind the alias and answers rightly."""
    found = DeployedLambda(NAME, {"3": answers()}, {"live": "3"})
    with lambda_api(found) as environ:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        yield found


def values(**given: str) -> Mapping[str, str]:
    return {**effective_values(TEMPLATE, given), "ReleaseDigest": RELEASE}


def check(**given: str) -> Served:
    return compare(client("lambda"), NAME, LOCK.parent, values(**given), lambda _: None)


def test_a_function_that_serves_what_was_deployed_passes(function: DeployedLambda) -> None:
    assert check() == Served("3", RELEASE, DIGEST)


@pytest.mark.parametrize("other", [(RELEASE, "0" * 64), ("2" * 64, DIGEST), ("", DIGEST)])
def test_a_function_that_serves_something_else_is_a_failure(function: DeployedLambda, other: tuple[str, str]) -> None:
    function.versions["3"] = answers(release=other[0], lock=other[1])
    with pytest.raises(NotServed, match=r"serves version 3, with the release .* expected the release 111111111111"):
        check()


@pytest.mark.parametrize("answer", [None, "nothing", {"function_version": "3"}, {"statusCode": 400}])
def test_an_answer_that_is_no_description_is_shown(function: DeployedLambda, answer: object) -> None:
    function.versions["3"] = lambda _: answer
    with pytest.raises(AwsError, match=rf"{NAME}:live returned .*, expected a description of its version"):
        read_served(client("lambda"), NAME)


def test_a_function_that_fails_is_said_to_with_its_own_words(function: DeployedLambda) -> None:
    def fail(_: object) -> Any:
        raise FunctionFailed("Runtime.ExitError", "the model is gone")

    function.versions["3"] = fail
    with pytest.raises(AwsError, match=rf"{NAME}:live failed: .*the model is gone"):
        read_served(client("lambda"), NAME)


def test_a_function_that_is_not_there_is_named(function: DeployedLambda) -> None:
    with pytest.raises(AwsError, match="invoking other:live: .*ResourceNotFound"):
        read_served(client("lambda"), "other")


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ({"statusCode": 503, "body": '{"error": "not ready"}'}, "status 503, expected 200: not ready"),
        (
            {"statusCode": 200, "body": '{"model_name": "breast-cancer", "model_version": 1, "predictions": []}'},
            "the response differs from the published one: output .*found 0 values",
        ),
        (
            {"statusCode": 200, "body": '{"model_name": "breast-cancer", "model_version": 2}'},
            "response from breast-cancer:2, expected breast-cancer:1",
        ),
        ({"statusCode": 200, "body": "<html>"}, "the response is not a JSON object: <html>"),
        ("hello", "no response: the function returned hello"),
    ],
)
def test_answers_that_are_not_as_published_are_told(function: DeployedLambda, reply: object, problem: str) -> None:
    function.versions["3"] = answers(lambda _: reply)
    with pytest.raises(NotServed, match=rf"does not answer as published: golden sample 1: {problem}"):
        check()


def test_samples_go_as_events_of_the_http_api(function: DeployedLambda) -> None:
    seen: list[Any] = []

    def note(event: Any) -> Any:
        seen.append(event)
        return published(event)

    function.versions["3"] = answers(note)
    golden = read_golden(LOCK.with_name("golden.json").read_bytes())
    assert smoke(client("lambda"), NAME, load_lock(LOCK).model, golden) == []
    assert len(seen) == len(golden.samples)
    assert {(event["version"], event["requestContext"]["http"]["method"], event["rawPath"]) for event in seen} == {
        ("2.0", "POST", "/predict_batch")
    }


def test_instances_that_are_kept_ready_are_looked_for(function: DeployedLambda) -> None:
    given = {"StartMode": "provisioned", "MinProvisioned": "2", "MaxProvisioned": "3"}
    with pytest.raises(NotServed, match=r"put-provisioned-concurrency-config .*-concurrent-executions 2'"):
        check(**given)
    function.ready = 2
    assert check(**given).version == "3"


@pytest.mark.parametrize("mode", ["on-demand", "snapstart"])
def test_instances_that_are_still_kept_ready_are_a_failure_since_they_cost(function: DeployedLambda, mode: str) -> None:
    function.ready = 4
    with pytest.raises(
        NotServed, match=r"still has 4 provisioned instance\(s\), which cost money: 'aws lambda delete-provis"
    ):
        check(StartMode=mode)


def test_a_version_without_a_snapshot_is_a_failure_where_one_was_asked_for(function: DeployedLambda) -> None:
    with pytest.raises(NotServed, match="does not start from a snapshot"):
        check(StartMode="snapstart")
    function.snapshots.add("3")
    assert check(StartMode="snapstart").version == "3"


def test_another_number_of_ready_instances_than_asked_for_is_told(function: DeployedLambda) -> None:
    said: list[str] = []
    function.ready = 9
    given = values(StartMode="provisioned", MinProvisioned="2", MaxProvisioned="3")
    compare(client("lambda"), NAME, LOCK.parent, given, said.append)
    assert "has 9 provisioned instance(s) requested, expected 2 to 3" in said[0]


def test_the_function_for_records_has_to_serve_the_same_release(function: DeployedLambda) -> None:
    values = effective_values(TEMPLATE, {"ReleaseDigest": RELEASE})
    compare_records(client("lambda"), NAME, LOCK.parent, values)
    function.versions["3"] = answers(release="2" * 64)
    with pytest.raises(NotServed, match="serves version 3, with the release 222222222222 and the lock"):
        compare_records(client("lambda"), NAME, LOCK.parent, values)

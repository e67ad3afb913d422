"""The hook of the function for records, against CodeDeploy's records and the function in AWS's own runtime."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from botocore.config import Config

import hook_report
import records_traffic
from fakes.codedeploy_api import CodeDeploy, codedeploy_api
from fakes.lambda_api import FakeLambda, lambda_api
from harness import Pinned, pinned, prepared, sample, stored
from pilotlight_cli.local.lambda_runtime import LambdaRuntime, lambda_runtime
from pilotlight_cli.local.stores import EmbeddedStore, acting_in
from repository import SAMPLE
from version_checks import CheckFailed, Functions

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

NAME = "stack-records"


class Context:
    """What awslambdaric gives a handler, as far as a hook reads it."""

    def get_remaining_time_in_millis(self) -> float:
        return 60_000


@pytest.fixture(scope="module")
def store(models: tuple[Pinned, Pinned]) -> Iterator[EmbeddedStore]:
    with stored("aws", models[0]) as running:
        yield running


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pinned, Pinned]:
    """Return a model that is published, and one that the store does not have."""
    folder = tmp_path_factory.mktemp("models")
    return sample(folder / "sample"), pinned(SAMPLE / "model.onnx", "other", folder)


@pytest.fixture(scope="module")
def versions(models: tuple[Pinned, Pinned], store: EmbeddedStore) -> Iterator[dict[str, LambdaRuntime]]:
    """Version 1 serves its model, and 2 has none."""
    settings = {"PILOTLIGHT_RESULTS": f"{store.url}/results"}
    with ExitStack() as stack:
        running = {}
        for number, model in zip(("1", "2"), models, strict=True):
            function = stack.enter_context(prepared("aws", model, store, settings, "records"))
            handler = "records_handler.lambda_handler"
            running[number] = stack.enter_context(lambda_runtime(function, handler, version=number))
        yield running


@pytest.fixture
def function(versions: dict[str, LambdaRuntime], monkeypatch: pytest.MonkeyPatch) -> FakeLambda:
    """Return the function; no call is made again because the machine stalls."""
    for name in ("_READ", "_REPORT", "_INVOKE"):
        slow = getattr(hook_report, name).merge(Config(connect_timeout=60, read_timeout=60))
        monkeypatch.setattr(hook_report, name, slow)
    return FakeLambda(NAME, {number: runtime.invoke for number, runtime in versions.items()}, {"live": "1"})


@pytest.fixture
def codedeploy() -> Iterator[CodeDeploy]:
    with codedeploy_api(CodeDeploy()) as service:
        yield service


def run(codedeploy: CodeDeploy, function: FakeLambda, target: str) -> dict[str, Any]:
    """Return what the hook says of a deployment to `target`, after it has told CodeDeploy the same, once."""
    event = codedeploy.deploy(NAME, target)
    with lambda_api(function) as found, acting_in({**codedeploy.environ, **found}):
        said = records_traffic.lambda_handler(event, Context())
    assert codedeploy.reports == [(event["DeploymentId"], event["LifecycleEventHookExecutionId"], said["status"])]
    return said


def test_a_version_that_serves_its_model_passes_and_no_result_is_written(
    codedeploy: CodeDeploy, function: FakeLambda, store: EmbeddedStore
) -> None:
    said = run(codedeploy, function, "1")
    assert (said["status"], said["found"]) == ("Succeeded", "version 1 of stack-records serves breast-cancer:1")
    with acting_in(store.environ):
        s3 = boto3.client("s3", endpoint_url=store.environ["AWS_ENDPOINT_URL_S3"])
        found = s3.list_objects_v2(Bucket=store.url.removeprefix("s3://"), Prefix="results/")
    assert found["KeyCount"] == 0


def test_a_version_whose_model_is_not_in_the_store_fails(codedeploy: CodeDeploy, function: FakeLambda) -> None:
    said = run(codedeploy, function, "2")
    assert said["status"] == "Failed"
    assert "stack-records:2 " in said["found"]


def test_a_version_that_is_another_than_was_asked_fails(codedeploy: CodeDeploy, function: FakeLambda) -> None:
    function.versions["3"] = function.versions["1"]
    said = run(codedeploy, function, "3")
    assert said["found"] == "CheckFailed: expected version 3 of stack-records to respond, found version 1"


def test_a_model_that_loads_after_the_init_phase_is_waited_for_and_no_longer_than_that() -> None:
    now = [0.0]
    answers = iter(["waiting", "waiting", "ready"])

    class Client:
        """A function that answers the next of `answers`."""

        def invoke(self, **_: object) -> dict[str, Any]:
            return {"Payload": io.BytesIO(json.dumps({"status": next(answers, "waiting")}).encode())}

    def sleep(seconds: float) -> None:
        now[0] += seconds

    functions = Functions(cast("LambdaClient", Client()), NAME, lambda: now[0], sleep)
    records_traffic.wait_until_ready(functions, "1")
    assert now == [1.0]
    with pytest.raises(CheckFailed, match="stack-records:1 is not ready: {'status': 'waiting'}"):
        records_traffic.wait_until_ready(functions, "1")
    assert now == [11.5]

"""The function for whole buckets in AWS's runtime, with a real S3 of moto: its plan, its shards, its report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

import batch_operations
from batch_operations import Invocations
from batch_runs import ask, bucket_files, results, scored
from batch_tasks import Tasks
from harness import Pinned, batch_in_lambda, sample, stored
from pilotlight.errors import NotReady
from pilotlight_cli.assets import ROOT
from pilotlight_cli.local.lambda_runtime import FunctionFailed, LambdaRuntime
from pilotlight_cli.local.stores import EmbeddedStore, acting_in
from pilotlight_cli.stores import open_store


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    return sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def store(model: Pinned) -> Iterator[EmbeddedStore]:
    with stored("aws", model) as embedded, acting_in(embedded.environ):
        yield embedded


@pytest.fixture(scope="module")
def function(model: Pinned, store: EmbeddedStore) -> Iterator[LambdaRuntime]:
    with batch_in_lambda(model, store) as runtime:
        yield runtime


def run(function: LambdaRuntime, job: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Do what the state machine does, and return the report and the errors of shards."""
    plan = function.invoke({"task": "plan", "job": job})
    lines = open_store(f"s3://{plan['bucket']}").read(plan["shards"]).splitlines()
    assert len(lines) == plan["count"]
    common = {name: plan[name] for name in ("input", "output", "settings")}
    errors = []
    for line in lines:
        try:
            function.invoke({"task": "shard", **common, "shard": json.loads(line)})
        except FunctionFailed as error:
            errors.append(error.type)
    return function.invoke({"task": "report", "output": plan["output"]}), errors


def put(store: EmbeddedStore, folder: str, good: int, corrupt: int) -> str:
    root = open_store(store.url)
    for name, content in bucket_files(good, corrupt).items():
        root.replace(f"{folder}/{name}", content)
    return f"{store.url}/{folder}"


def test_a_job_makes_the_folder_that_the_command_makes(
    function: LambdaRuntime, store: EmbeddedStore, tmp_path: Path
) -> None:
    source = put(store, "whole", 3, 0)
    options: dict[str, Any] = {"keep": ("id",), "format": "jsonl", "shard_bytes": 2000}
    output = f"{store.url}/whole-scored"
    report, errors = run(function, {"input": source, "output": output, **options})
    manifest = scored(ask(source, tmp_path / "out", **options))
    assert errors == []
    assert report.items() > {"rows": 30, "written": 27, "failed": 3, "missing": 0}.items()
    assert report["shards"] == report["done"] == len(manifest["parts"]) > 3
    names = {path.name for path in (tmp_path / "out").iterdir()}
    folder = open_store(output)
    found = {name: folder.read(name) for name in names}
    timeless = [{**json.loads(found.pop("_manifest.json")), "seconds": 0}, {**manifest, "seconds": 0}]
    for document in timeless:
        document["parts"] = [part | {"seconds": 0} for part in document["parts"]]
    assert timeless[0] == timeless[1]
    assert found == {name: (tmp_path / "out" / name).read_bytes() for name in found}
    assert len(found) == len(manifest["parts"]) + 1  # the failures


def test_shards_that_fail_are_missing_in_the_report_and_the_same_job_goes_on_with_them(
    function: LambdaRuntime, store: EmbeddedStore
) -> None:
    source, output = put(store, "cut", 4, 2), f"{store.url}/cut-scored"
    job = {"input": source, "output": output}
    report, errors = run(function, job)
    assert errors == ["FormatError"] * 2
    assert report.items() > {"rows": 40, "written": 36, "failed": 4, "shards": 6, "done": 4, "missing": 2}.items()
    folder = open_store(output)
    missing = [json.loads(line)["file"] for line in folder.read("_missing.jsonl").splitlines()]
    assert missing == [f"{source}/cut-{number}.jsonl.gz" for number in range(2)]
    assert "_manifest.json" not in set(folder.keys(""))
    again = function.invoke({"task": "plan", "job": job})
    assert again["count"] == 2  # of six
    assert run(function, job)[0] == report
    with pytest.raises(FunctionFailed, match="has results of another job"):
        function.invoke({"task": "plan", "job": job | {"format": "jsonl"}})


def test_an_object_that_changed_since_the_plan_is_not_scored(function: LambdaRuntime, store: EmbeddedStore) -> None:
    source, output = put(store, "changed", 1, 0), f"{store.url}/changed-scored"
    plan = function.invoke({"task": "plan", "job": {"input": source, "output": output}})
    shard = json.loads(open_store(output).read("_shards.jsonl"))
    open_store(store.url).replace("changed/000.csv", b"other")
    common = {name: plan[name] for name in ("input", "output", "settings")}
    with pytest.raises(FunctionFailed, match=r"000\.csv has changed since the job began"):
        function.invoke({"task": "shard", **common, "shard": shard})


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"task": "other"}, "found the task 'other', expected one of plan, shard, report"),
        ({"Records": []}, "found the task None"),
        ({"task": "plan", "job": {"input": "s3://in"}}, 'expected {"input": "s3://...", "output": "s3://..."}'),
        ({"task": "plan", "job": {"input": "in", "output": "s3://out"}}, "found 'in'; expected s3://BUCKET/PREFIX"),
        ({"task": "plan", "job": {"input": "s3://in/a", "output": "s3://in/a/b"}}, "would read its own results"),
        ({"task": "plan", "job": {"input": "s3://in", "output": "s3://out", "kep": []}}, "unknown field kep"),
        ({"task": "plan", "job": {"input": "s3://in", "output": "s3://out", "keep": "id"}}, "expected a JSON list"),
        ({"task": "plan", "job": {"input": "s3://in", "output": "s3://out", "format": "xml"}}, "expected parquet, csv"),
        ({"task": "plan", "job": {"input": "s3://in", "output": "s3://out", "shard_bytes": 0}}, "expected 1 or more"),
    ],
)
def test_what_is_wrong_is_named(event: dict[str, Any], message: str, function: LambdaRuntime) -> None:
    with pytest.raises(FunctionFailed) as caught:
        function.invoke(event)
    assert message in str(caught.value)


KEY = "rows/monday [1].csv"


def invocation(schema: str, store: EmbeddedStore, *keys: str, **arguments: str) -> dict[str, Any]:
    """Return the documented event of a schema, about other objects and with other arguments if they are given."""
    text = (ROOT / "events" / "batch" / f"schema-{schema}.json").read_text()
    event: dict[str, Any] = json.loads(text.replace("models", store.url.removeprefix("s3://")))
    if keys:
        task = event["tasks"][0]
        event["tasks"] = [task | {"taskId": key, "s3Key": quote_plus(key, "/")} for key in keys]
    if arguments:
        event["job"]["userArguments"] |= arguments
    return event


@pytest.mark.parametrize("schema", ["1.0", "2.0"])
def test_batch_operations_scores_an_object_as_the_command_does(
    schema: str, function: LambdaRuntime, store: EmbeddedStore, tmp_path: Path
) -> None:
    open_store(store.url).replace(KEY, bucket_files(1, 0)["000.csv"])
    event = invocation(schema, store)
    reply = function.invoke(event)
    (result,) = reply.pop("results")
    assert reply == {
        "invocationSchemaVersion": schema,
        "invocationId": event["invocationId"],
        "treatMissingKeysAs": "PermanentFailure",
    }
    assert (result["taskId"], result["resultCode"]) == (event["tasks"][0]["taskId"], "Succeeded")
    output = f"{store.url}/{'objects' if schema == '1.0' else 'scored-2.0'}/{KEY}"
    sums = json.loads(result["resultString"])
    assert sums.items() >= {"rows": 10, "written": 9, "failed": 1, "missing": 0, "output": output}.items()
    options: dict[str, Any] = {} if schema == "1.0" else {"keep": ("id",), "format": "jsonl"}
    scored(ask(f"{store.url}/{KEY.replace('[', '[[]')}", tmp_path / "out", **options))
    found = {name: open_store(output).read(name) for name in results(tmp_path / "out")}
    assert found == results(tmp_path / "out")
    assert function.invoke(event)["results"] == [result]  # a task that is tried again


def test_batch_operations_gets_the_code_of_each_object(function: LambdaRuntime, store: EmbeddedStore) -> None:
    put(store, "mixed", 1, 1)
    event = invocation("2.0", store, "mixed/000.csv", "mixed/cut-0.jsonl.gz", "mixed/none.csv", "mixed")
    found = function.invoke(event)["results"]
    assert [(each["taskId"], each["resultCode"]) for each in found] == [
        ("mixed/000.csv", "Succeeded"),
        *((key, "PermanentFailure") for key in ("mixed/cut-0.jsonl.gz", "mixed/none.csv", "mixed")),
    ]
    assert found[1]["resultString"].startswith("FormatError: ")
    for arguments, message in (
        ({"kep": "id"}, "unknown user argument kep"),
        ({"header": "no"}, "the user argument header is 'no'"),
        ({"output": ""}, "no output; expected"),
        ({"format": "xml"}, "format is 'xml'"),
        ({"format": "csv"}, "has results of another job"),
    ):
        (result,) = function.invoke(invocation("2.0", store, "mixed/000.csv", **arguments))["results"]
        assert (result["resultCode"], message in result["resultString"]) == ("PermanentFailure", True), result
    with pytest.raises(FunctionFailed, match="found invocationSchemaVersion '3.0', expected 1.0 or 2.0"):
        function.invoke(invocation("1.0", store) | {"invocationSchemaVersion": "3.0"})


def test_batch_operations_scores_the_newest_version_alone(function: LambdaRuntime, store: EmbeddedStore) -> None:
    client = boto3.client("s3")
    bucket, content = store.url.removeprefix("s3://"), bucket_files(1, 0)["000.csv"]
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    versions = [client.put_object(Bucket=bucket, Key="v.csv", Body=content)["VersionId"] for _ in range(2)]
    client.close()
    codes = []
    for version in versions:
        event = invocation("2.0", store, "v.csv")
        event["tasks"][0]["s3VersionId"] = version
        codes += [each["resultCode"] for each in function.invoke(event)["results"]]
    assert codes == ["PermanentFailure", "Succeeded"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ClientError({"ResponseMetadata": {"HTTPStatusCode": 503}}, "GetObject"), "TemporaryFailure"),  # type: ignore[typeddict-item]
        (ClientError({"ResponseMetadata": {"HTTPStatusCode": 403}}, "GetObject"), "PermanentFailure"),  # type: ignore[typeddict-item]
        (EndpointConnectionError(endpoint_url="http://s3"), "TemporaryFailure"),
        (NotReady("the model is not loaded yet"), "TemporaryFailure"),
    ],
)
def test_what_may_pass_is_tried_again(error: Exception, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Tasks):
        def __init__(self) -> None:
            pass

        def plan(self, event: Any) -> Any:
            raise error

    monkeypatch.setattr(batch_operations, "_check_version", lambda *_: None)
    event = json.loads((ROOT / "events" / "batch" / "schema-2.0.json").read_text())
    (result,) = Invocations(Failing(), "").answer(event)["results"]
    assert result["resultCode"] == code
    assert result["resultString"].startswith(type(error).__name__)

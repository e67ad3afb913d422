"""The function for whole buckets in AWS's runtime, with a real S3 of moto: its plan, its shards, its report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batch_runs import ask, bucket_files, scored
from harness import Pinned, batch_in_lambda, sample, stored
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

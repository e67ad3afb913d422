"""S3 Batch Operations: an invocation scores objects, each as a job of its own, and answers with a result for each.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html, schemas 1.0 and 2.0. A task that is
tried again, or one of an object that is scored already, goes on with the shards that have no result yet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from glob import escape
from typing import Any
from urllib.parse import unquote_plus

from botocore.exceptions import ClientError

from batch_objects import S3Folder, client
from batch_tasks import SHARDS, Tasks
from pilotlight.errors import FormatError
from pilotlight.files.sources import BatchUsageError, FileChanged

SCHEMAS = ("1.0", "2.0")

_ARGUMENTS = ("output", "format", "keep", "header")

# What the completion report has of a task, in characters.
_MOST = 1000


def is_invocation(event: Any) -> bool:  # noqa: ANN401 - whatever comes
    """Return whether S3 Batch Operations sent an event."""
    return isinstance(event, dict) and "invocationSchemaVersion" in event


class Invocations:
    """Answers invocations. `output` is the URL of results where an invocation names none, or ""."""

    def __init__(self, tasks: Tasks, output: str) -> None:
        self._tasks = tasks
        self._output = output

    def answer(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Score the objects of an invocation. Raise ValueError for another schema."""
        schema = event["invocationSchemaVersion"]
        if schema not in SCHEMAS:
            raise ValueError(f"found invocationSchemaVersion {schema!r}, expected {' or '.join(SCHEMAS)}")
        arguments = event["job"].get("userArguments") or {}
        return {
            "invocationSchemaVersion": schema,
            "treatMissingKeysAs": "PermanentFailure",
            "invocationId": event["invocationId"],
            "results": [self._result(task, arguments) for task in event["tasks"]],
        }

    def _result(self, task: Mapping[str, Any], arguments: Mapping[str, str]) -> dict[str, str]:
        code = "Succeeded"
        try:
            found = json.dumps(self._score(task, arguments))
        except Exception as error:  # noqa: BLE001 - whatever fails one object, the others of the job go on
            code = "PermanentFailure" if _is_permanent(error) else "TemporaryFailure"
            found = f"{type(error).__name__}: {error}"
        return {"taskId": task["taskId"], "resultCode": code, "resultString": found[:_MOST]}

    def _score(self, task: Mapping[str, Any], arguments: Mapping[str, str]) -> dict[str, Any]:
        """Score an object and return its sums."""
        bucket = task.get("s3Bucket") or task["s3BucketArn"].rpartition(":")[2]
        key = unquote_plus(task["s3Key"])
        _check_version(bucket, key, task.get("s3VersionId"))
        job = _job(arguments, self._output)
        output = f"{job['output'].rstrip('/')}/{key}"
        plan = self._tasks.plan({"job": {**job, "input": f"s3://{bucket}/{escape(key)}", "output": output}})
        common = {name: plan[name] for name in ("input", "output", "settings")}
        for line in S3Folder(output).read(SHARDS).splitlines():
            self._tasks.shard({**common, "shard": json.loads(line)})
        return self._tasks.report({"output": output})


def _job(arguments: Mapping[str, str], output: str) -> dict[str, Any]:
    """Return what a job asks for: the arguments are all text. Raise BatchUsageError."""
    unknown = next((name for name in arguments if name not in _ARGUMENTS), None)
    if unknown is not None:
        raise BatchUsageError(f"unknown user argument {unknown}; expected {', '.join(_ARGUMENTS)}")
    header = arguments.get("header", "true")
    if header not in ("true", "false"):
        raise BatchUsageError(f"the user argument header is {header!r}; expected true or false")
    job: dict[str, Any] = {"output": arguments.get("output", output), "header": header == "true"}
    if not job["output"]:
        raise BatchUsageError("no output; expected the user argument output (schema 2.0), or PILOTLIGHT_BATCH_OUTPUT")
    if "keep" in arguments:
        job["keep"] = arguments["keep"].split(",")
    if "format" in arguments:
        job["format"] = arguments["format"]
    return job


def _check_version(bucket: str, key: str, version: str | None) -> None:
    """Raise FileChanged unless a version is the object's newest one, which is read."""
    newest = client().head_object(Bucket=bucket, Key=key).get("VersionId")
    if version and newest and version != newest:
        raise FileChanged(f"s3://{bucket}/{key} (version {version} is asked for, {newest} is there)")


def _is_permanent(error: Exception) -> bool:
    """Return whether an object fails again: it, or what is asked for, is wrong, or S3 refuses it."""
    if isinstance(error, ClientError):
        return error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403, 404, 405)
    return isinstance(error, BatchUsageError | FileChanged | FormatError)

"""The three tasks of a job: plan it, score one of its shards, report. Between them everything is in S3.

So no task meets the 256 KB of a state's output, and a job that is started again goes on with the shards that have no
summary yet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from batch_objects import S3Folder, open_input
from pilotlight.dataplane import DataPlane
from pilotlight.files.folder import Output
from pilotlight.files.layout import JOB, count, describe_job, result_format
from pilotlight.files.mapping import Opened, map_shard
from pilotlight.files.planning import SHARD_BYTES, make_plan
from pilotlight.files.shards import RESULT_FORMATS, Job, Shard
from pilotlight.files.sources import BatchUsageError

# One shard a line: what is to be scored, and at the end what has no result.
SHARDS, MISSING = "_shards.jsonl", "_missing.jsonl"

_OPTIONS = {"format": str, "keep": list, "header": bool, "shard_bytes": int}


class Tasks:
    """The tasks for one model."""

    def __init__(self, plane: DataPlane, lock: bytes) -> None:
        """`lock` is the content of the model's lock."""
        self._plane = plane
        self._lock = lock
        pa.set_cpu_count(1)  # as many functions run as there are shards
        pa.set_io_thread_count(1)

    def do(self, event: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever comes
        """Do the task that an event names. Raise ValueError for another event."""
        tasks = {"plan": self.plan, "shard": self.shard, "report": self.report}
        name = event.get("task") if isinstance(event, dict) else None
        if name not in tasks:
            raise ValueError(f"found the task {name!r}, expected one of {', '.join(tasks)}")
        return tasks[name](event)

    def plan(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """List the objects, divide them into shards, and write those that have no result yet.

        Raise BatchUsageError, or FormatError for an object that does not suit the model.
        """
        asked = _asked(event.get("job"))
        place, folder = open_input(asked["input"]), S3Folder(asked["output"])
        output = Output(folder)
        if place.contains(asked["output"]):
            raise BatchUsageError(f"{output.url} is in {asked['input']}: the next run would read its own results")
        sources = place.sources()
        format_ = result_format(asked.get("format", ""), output.url, sources)
        job = Job(format_, tuple(asked.get("keep", ())), header=asked.get("header", True))
        every = asked.get("shard_bytes", SHARD_BYTES)
        plan = make_plan(place, sources, job, self._plane.model.signature, every)
        shards = [_fields(planned.shard) for planned in plan.shards]
        begun = {"job": describe_job(self._plane.model, self._lock, sources, plan), "shards": shards}
        if output.begin(begun) is not None and output.document(JOB) is None:
            raise BatchUsageError(f"{output.url} has all results of this job already, from another runner")
        done = {summary.index for summary in output.done(format_)}
        left = [shard for shard in shards if shard["index"] not in done]
        folder.write(SHARDS, _lines(left))
        return {
            "input": asked["input"],
            "output": output.url,
            "bucket": folder.bucket,
            "shards": folder.key(SHARDS),
            "count": len(left),
            "settings": _fields(plan.job),
        }

    def shard(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Score one shard, write its results, its failures and its summary, and return the summary.

        Raise FileChanged if the object is not as it was planned, and what `map_shard` raises.
        """
        job = Job(**{**event["settings"], "keep": tuple(event["settings"]["keep"])})
        shard = Shard(**event["shard"])
        with TemporaryDirectory() as name, open_input(event["input"]).open(shard.file, shard.state) as source:
            opened = Opened(source, Path(name) / "result", Path(name) / "failures")
            summary = map_shard(self._plane, shard, job, opened)
            return Output(S3Folder(event["output"])).commit(summary, job.format, opened.result, opened.failures)

    def report(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Add up what is there, join the failures of rows, and return the sums.

        The manifest is written if no shard is missing; the missing ones are listed else.
        """
        folder = S3Folder(event["output"])
        output = Output(folder)
        begun = output.document(JOB)
        job, format_ = begun["job"], begun["job"]["settings"]["format"]
        summaries = output.done(format_)
        with TemporaryDirectory() as name:
            output.join_failures(summaries, Path(name) / "failures")
        counts = count(summaries, format_)
        done = {summary.index for summary in summaries}
        missing = [shard for shard in begun["shards"] if shard["index"] not in done]
        if missing:
            folder.write(MISSING, _lines(missing))
        else:
            folder.delete(MISSING)
            output.write_manifest(job, summaries)
        sums = {name: counts[name] for name in ("rows", "written", "failed")}
        return sums | {"shards": len(begun["shards"]), "done": len(done), "missing": len(missing), "output": output.url}


def _asked(job: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever comes
    """Return what a job asks for. Raise BatchUsageError."""
    if not isinstance(job, dict) or not all(isinstance(job.get(name), str) for name in ("input", "output")):
        raise BatchUsageError(f'found {json.dumps(job)[:200]}; expected {{"input": "s3://...", "output": "s3://..."}}')
    for name in job.keys() - {"input", "output"}:
        if name not in _OPTIONS:
            raise BatchUsageError(f"unknown field {name}; expected input, output, {', '.join(_OPTIONS)}")
        if not isinstance(job[name], _OPTIONS[name]):
            raise BatchUsageError(f"{name} is {job[name]!r}; expected a JSON {_OPTIONS[name].__name__}")
    if job.get("format", "parquet") not in RESULT_FORMATS:
        raise BatchUsageError(f"format is {job['format']!r}; expected {', '.join(RESULT_FORMATS)}")
    if job.get("shard_bytes", 1) < 1:
        raise BatchUsageError(f"shard_bytes is {job['shard_bytes']}; expected 1 or more")
    return dict(job)


def _fields(item: Shard | Job) -> dict[str, Any]:
    return {name: getattr(item, name) for name in type(item).__slots__}


def _lines(shards: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(shard) + "\n" for shard in shards).encode()

"""A task of a job: plans the same shards as every other, scores its own, and ends the job if it is the last.

What came of a shard is in the output, its summary last. So a task that starts again goes on after its last shard.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from batch_settings import Asked
from batch_stores import open_input, open_output
from pilotlight.dataplane import DataPlane
from pilotlight.errors import PilotlightError
from pilotlight.files.folder import Output
from pilotlight.files.layout import MANIFEST, describe_job, result_format
from pilotlight.files.mapping import Opened, map_shard
from pilotlight.files.planning import Plan, make_plan
from pilotlight.files.shards import Job, Shard
from pilotlight.files.sources import BatchUsageError, Place

Warn = Callable[[str], None]


class ShardsFailed(PilotlightError):
    """Some of a task's shards could not be scored."""


class Task:
    """One task of `count`, for one model. `lock` is the content of the model's lock."""

    def __init__(self, plane: DataPlane, lock: bytes, asked: Asked, index: int, count: int) -> None:
        self._plane = plane
        self._lock = lock
        self._asked = asked
        self._index = index
        self._count = count
        self._place: Place = open_input(asked.input)
        self._output = Output(open_output(asked.output))

    def run(self, warn: Warn) -> None:
        """Score what is this task's and not done yet. `warn` gets a line for each shard that fails.

        Raise BatchUsageError or FormatError for a job that cannot be, and ShardsFailed.
        """
        asked, place = self._asked, self._place
        if place.contains(asked.output):
            raise BatchUsageError(f"{self._output.url} is in {asked.input}: the next run would read its own results")
        sources = place.sources()
        job = Job(result_format(asked.format, asked.output, sources), asked.keep, header=asked.header)
        plan = make_plan(place, sources, job, self._plane.model.signature, asked.shard_bytes)
        identity = describe_job(self._plane.model, self._lock, sources, plan)
        shards = [{name: getattr(each.shard, name) for name in Shard.__slots__} for each in plan.shards]
        if self._output.begin({"job": identity, "shards": shards}) is None:
            try:
                self._score(plan, warn)
                if not self._end(plan, identity):
                    return
            except FileNotFoundError:  # another task has ended the job meanwhile, and removed its summaries
                if self._output.document(MANIFEST) is None:
                    raise
        self._output.tidy()

    def _score(self, plan: Plan, warn: Warn) -> None:
        done = {summary.index for summary in self._output.done(plan.job.format)}
        failed = []
        for planned in plan.shards[self._index :: self._count]:
            if planned.shard.index in done:
                continue
            try:
                self._score_shard(planned.shard, plan.job)
            except (PilotlightError, pa.ArrowException) as error:  # of this shard alone; the others can be scored
                failed.append(planned.shard.index)
                warn(f"shard {planned.shard.index}, {planned.shard.file}: {type(error).__name__}: {error}")
        if failed:
            raise ShardsFailed(f"{len(failed)} shard(s) could not be scored; the lines above say why")

    def _score_shard(self, shard: Shard, job: Job) -> None:
        with TemporaryDirectory() as name, self._place.open(shard.file, shard.state) as source:
            opened = Opened(source, Path(name) / "result", Path(name) / "failures")
            summary = map_shard(self._plane, shard, job, opened)
            self._output.commit(summary, job.format, opened.result, opened.failures)

    def _end(self, plan: Plan, identity: dict[str, Any]) -> bool:
        """Write the manifest if all shards are done, and return whether they are. Two tasks may write the same one."""
        summaries = self._output.done(plan.job.format)
        if len(summaries) < len(plan.shards):
            return False
        with TemporaryDirectory() as name:
            self._output.join_failures(summaries, Path(name) / "failures")
        self._output.write_manifest(identity, summaries)
        return True

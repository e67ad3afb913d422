"""`--plan`: what a job would do, how long it would take here, and what the same work costs in a cloud.

Prices in dollars of us-east-1, from https://aws.amazon.com/lambda/pricing/, and of Cloud Run jobs in the first tier of
regions, from https://cloud.google.com/run/pricing; without requests, storage and free tiers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pilotlight.files.planning import Planned, make_plan
from pilotlight_cli.batching.run import Prepared, set_up
from pilotlight_cli.batching.workers import Scored, scoring

# Bytes of the first file that are scored for a trial; a compressed file and a row group are not divided.
_TRIAL = 1 << 20

# Seconds until a process is ready.
_START = 1.0

# Per second with one whole processor: Lambda grants that at 1,769 MB, and a job may have 512 MiB with it.
LAMBDA = 0.0000166667 * 1769 / 1024
CLOUD_RUN = 0.000018 + 0.000002 / 2


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job comes to. `rows` are estimated unless all files say how many they have."""

    files: int
    size: int
    shards: int
    rows: int
    is_exact: bool
    workers: int
    processor_seconds: float

    @property
    def seconds(self) -> float:
        """How long it takes here, with all processes."""
        return _START + self.processor_seconds / self.workers

    @property
    def on_lambda(self) -> float:
        """The price of its processor time on AWS Lambda."""
        return self.processor_seconds * LAMBDA

    @property
    def on_cloud_run(self) -> float:
        """The price of its processor time in Cloud Run jobs."""
        return self.processor_seconds * CLOUD_RUN


def estimate(prepared: Prepared) -> Estimate:
    """Score the first rows of the first file, and nothing into the output. Raise what a run raises."""
    plan = prepared.plan
    size = sum(planned.size for planned in plan.shards)
    rows, seconds = 0.0, 0.0
    if plan.shards:
        trial = _trial(prepared)
        done = _scored(prepared, trial)
        rows = done.summary.rows * size / trial.size
        seconds = done.summary.seconds * size / trial.size
    return Estimate(
        files=len(prepared.sources),
        size=size,
        shards=len(plan.shards),
        rows=round(rows) if plan.rows is None else plan.rows,
        is_exact=plan.rows is not None,
        workers=prepared.workers,
        processor_seconds=seconds,
    )


def _trial(prepared: Prepared) -> Planned:
    first = prepared.plan.shards[0].shard.file
    sources = [source for source in prepared.sources if source.name == first]
    signature = prepared.lock.model.signature
    return make_plan(prepared.place, sources, prepared.plan.job, signature, _TRIAL).shards[0]


def _scored(prepared: Prepared, trial: Planned) -> Scored:
    """Score the trial twice: the first time libraries are imported and tables are filled."""
    with TemporaryDirectory(prefix="pilotlight-batch-") as name:
        setup = set_up(prepared, Path(name))
        shards = [trial.shard, replace(trial.shard, index=1)]
        last: list[Scored] = []
        with scoring(setup, shards, 1) as events:
            while len(last) < len(shards):
                event = events.get()
                if isinstance(event, Exception):
                    raise event
                if isinstance(event, Scored):
                    last.append(event)
    return last[-1]

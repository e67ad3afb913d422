"""A job from its files to its manifest."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from pilotlight.files.layout import count, describe_job, result_format
from pilotlight.files.planning import SHARD_BYTES, Plan, make_plan
from pilotlight.files.shards import Job, Summary
from pilotlight.files.sources import BatchUsageError, Place, Source
from pilotlight.model.lock import Lock, load_lock
from pilotlight_cli.batching import BatchFailed
from pilotlight_cli.batching.output import SIGN_OF_LIFE, Output, output_store
from pilotlight_cli.batching.serving import fetch
from pilotlight_cli.batching.sources import open_place
from pilotlight_cli.batching.workers import Scored, Setup, scoring
from pilotlight_cli.hostenv import host_packages
from pilotlight_cli.pinning.pin import REQUIREMENTS, check_description, check_requirements
from pilotlight_cli.registry.json_document import decode_text
from pilotlight_cli.staging.sources import beside
from pilotlight_cli.stores import open_store


class Watch(Protocol):
    """Sees how a job proceeds."""

    def advance(self, rows: int, size: int) -> None:
        """See some more rows, and some more bytes of files that are done."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for. `format` is that of the results, or "" for that of the first file or of the output's name."""

    input: str
    output: str
    lock: Path
    store: str
    format: str = ""
    keep: tuple[str, ...] = ()
    header: bool = True
    workers: int = 0
    shard_bytes: int = SHARD_BYTES


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job that can run: what is pinned, the files, and their shards."""

    asked: Asked
    lock: Lock
    place: Place
    sources: tuple[Source, ...]
    plan: Plan

    @property
    def workers(self) -> int:
        """The number of processes: one for each processor, and no more than shards."""
        return min(self.asked.workers or processors(), max(len(self.plan.shards), 1))

    @property
    def identity(self) -> dict[str, Any]:
        """What makes the results what they are. A run goes on only where all of this is the same."""
        lock = self.asked.lock.read_bytes()
        return describe_job(self.lock.model, lock, self.sources, self.plan)


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare(asked: Asked) -> Prepared:
    """List the files and divide them. Raise BatchUsageError, FormatError or LockMismatch."""
    pinned = load_lock(asked.lock)
    check_description(pinned.model)
    place = open_place(asked.input)
    if place.contains(asked.output):
        raise BatchUsageError(f"{asked.output} is in {asked.input}: the next run would read its own results")
    sources = place.sources()
    job = Job(result_format(asked.format, asked.output, sources), asked.keep, header=asked.header)
    plan = make_plan(place, sources, job, pinned.model.signature, asked.shard_bytes)
    return Prepared(asked, pinned, place, tuple(sources), plan)


def run(prepared: Prepared, watching: Callable[[int], AbstractContextManager[Watch]]) -> dict[str, Any]:
    """Score what is not committed yet, and return the manifest. `watching` gets the bytes of all files.

    Raise BatchFailed if the output is another process's or has results of another job, or if the work fails.
    """
    began = time.monotonic()
    output = Output(output_store(prepared.asked.output), prepared.plan.job.format)
    identity = prepared.identity
    finished = output.manifest()
    if finished is not None:
        output.check_same(finished, identity)
        output.tidy()
        return finished
    output.claim(identity)
    try:
        with TemporaryDirectory(prefix="pilotlight-batch-") as name:
            folder = Path(name)
            summaries = output.committed()
            with watching(sum(planned.size for planned in prepared.plan.shards)) as watch:
                _score(prepared, output, summaries, watch, folder)
            parts = [summaries[index] for index in sorted(summaries)]
            counts = count(parts, prepared.plan.job.format)
            manifest = identity | counts | {"seconds": round(time.monotonic() - began, 3)}
            output.finish(parts, manifest, folder)
    finally:
        output.release()
    return manifest


def _score(prepared: Prepared, output: Output, summaries: dict[int, Summary], watch: Watch, folder: Path) -> None:
    """Score the shards that have no summary yet, and commit each as it is done."""
    sizes = {planned.shard.index: planned.size for planned in prepared.plan.shards}
    watch.advance(0, sum(sizes[index] for index in summaries))
    shards = [planned.shard for planned in prepared.plan.shards if planned.shard.index not in summaries]
    if not shards:
        return
    setup = set_up(prepared, folder)
    alive = time.monotonic()
    with scoring(setup, shards, prepared.workers) as events:
        while len(summaries) < len(sizes):
            with suppress(queue.Empty):
                event = events.get(timeout=SIGN_OF_LIFE)
                if isinstance(event, BatchFailed):
                    raise event
                if isinstance(event, Scored):
                    output.commit(event.summary, event.result, event.failures)
                    event.result.unlink()
                    event.failures.unlink()
                    summaries[event.summary.index] = event.summary
                    watch.advance(0, sizes[event.summary.index])
                else:
                    watch.advance(event, 0)
            if time.monotonic() - alive > SIGN_OF_LIFE:
                output.live()
                alive = time.monotonic()


def set_up(prepared: Prepared, folder: Path) -> Setup:
    """Install the libraries that the lock pins, fetch the model, and return what a worker needs."""
    asked, model = prepared.asked, prepared.lock.model
    requirements = decode_text(beside(asked.lock, REQUIREMENTS), REQUIREMENTS)
    check_requirements(prepared.lock, requirements)
    packages = host_packages(requirements)
    store = fetch(model, open_store(asked.store), folder)
    return Setup(asked.lock.resolve(), packages, store, asked.input, prepared.plan.job, folder)

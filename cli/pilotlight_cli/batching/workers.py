"""The processes that score shards, and what they say."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pilotlight.files.shards import Job, Shard, Summary
from pilotlight_cli.batching import BatchFailed

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker needs: the lock, the folder with its libraries, a store with its model, a folder for its files."""

    lock: Path
    packages: Path
    store: str
    input: str
    job: Job
    folder: Path


@dataclass(frozen=True, slots=True)
class Scored:
    """A shard that is done, with its files."""

    summary: Summary
    result: Path
    failures: Path


Event: TypeAlias = "int | Scored | BatchFailed"
"""Rows that are done, a shard that is done, or why it cannot be done."""


@contextmanager
def scoring(setup: Setup, shards: Sequence[Shard], workers: int) -> Iterator[queue.Queue[Event]]:
    """Score shards in processes; give the queue of what happens. The processes end with the body."""
    waiting: queue.Queue[Shard] = queue.Queue()
    for shard in shards:
        waiting.put(shard)
    events: queue.Queue[Event] = queue.Queue()
    processes = [_start(setup) for _ in range(min(workers, len(shards)))]
    threads = [
        threading.Thread(target=_serve, args=(process, setup, waiting, events), daemon=True) for process in processes
    ]
    try:
        for thread in threads:
            thread.start()
        yield events
    finally:
        for process in processes:
            process.kill()
        for process, thread in zip(processes, threads, strict=True):
            process.wait()
            thread.join()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(BrokenPipeError):  # of what it did not read any more
                        stream.close()


def _start(setup: Setup) -> subprocess.Popen[str]:
    path = os.pathsep.join(filter(None, (str(setup.packages), os.environ.get("PYTHONPATH", ""))))
    command = [sys.executable, "-m", "pilotlight_cli.batching.worker"]
    environ = {**os.environ, **_ONE_THREAD, "PYTHONPATH": path}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ)


def _serve(
    process: subprocess.Popen[str], setup: Setup, waiting: queue.Queue[Shard], events: queue.Queue[Event]
) -> None:
    """Give a process one shard after the other, and pass on what it says."""
    job = {name: getattr(setup.job, name) for name in Job.__slots__}
    try:
        _send(
            process,
            {
                "lock": str(setup.lock),
                "store": setup.store,
                "input": setup.input,
                "folder": str(setup.folder),
                "job": job,
            },
        )
        _until(process, "ready", events, "the start")
        while True:
            try:
                shard = waiting.get_nowait()
            except queue.Empty:
                return
            _send(process, {name: getattr(shard, name) for name in Shard.__slots__})
            summary = Summary(**_until(process, "done", events, shard.file))
            folder = setup.folder
            events.put(Scored(summary, folder / f"{shard.index}.result", folder / f"{shard.index}.failures"))
    except BatchFailed as error:
        events.put(error)


def _send(process: subprocess.Popen[str], document: Mapping[str, Any]) -> None:
    if process.stdin is not None:
        try:
            process.stdin.write(json.dumps(document) + "\n")
            process.stdin.flush()
        except OSError:
            pass  # it ended, and its output says why


def _until(process: subprocess.Popen[str], name: str, events: queue.Queue[Event], doing: str) -> Any:  # noqa: ANN401 - as JSON has it
    """Read what a process says until it says `name`, and return that. Raise BatchFailed."""
    for line in process.stdout or ():
        document = json.loads(line)
        if "error" in document:
            raise BatchFailed(document["error"])
        if name in document:
            return document[name]
        events.put(int(document["rows"]))
    code = process.wait()
    ended = f"was killed by signal {-code}; did it run out of memory?" if code < 0 else f"ended with exit code {code}"
    raise BatchFailed(f"{doing}: the process {ended}")

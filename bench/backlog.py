"""How soon a cold function scores messages that wait: `python bench/backlog.py`.

10,000 messages of SQS wait for the function for records, in AWS's own runtime client and emulator on this machine, with
the model in an emulated S3 and the results in an emulated stream. Each round starts an environment that gets a test
event first, which is a cold start alone, and one that gets the first thousand messages, and then the others. What
counts is the time on the wall until those are answered, whose results are written by then.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import boto3

from pilotlight_cli.local.function import Function, passed_on
from pilotlight_cli.local.lambda_runtime import LambdaRuntime, lambda_runtime
from pilotlight_cli.local.server import prepare
from pilotlight_cli.local.stores import acting_in, embedded_store
from pilotlight_cli.registry.availability import ensure_published
from pilotlight_cli.stores import open_store
from race import RaceError
from records import message, texts
from sample import LOCK

_HANDLER = "records_handler.lambda_handler"


@dataclass(frozen=True, slots=True)
class Waited:
    """Seconds: a cold start alone, a cold start until the first batch is answered, and each later batch."""

    start: float
    first: float
    later: tuple[float, ...]

    @property
    def batches(self) -> float:
        """What the first batch took over a cold start, in later batches."""
        return (self.first - self.start) / median(self.later)


def measured(messages: int, batch: int, rounds: int) -> list[Waited]:
    """Return what each round came to."""
    events = list(_events(messages, batch))
    found = []
    for _ in range(rounds):
        with _function() as function:  # with an empty stream: the emulator slows down with what it keeps
            found.append(_waited(function, events))
    return found


def _waited(function: Function, events: Sequence[Mapping[str, Any]]) -> Waited:
    with lambda_runtime(function, _HANDLER) as cold:
        start = _seconds(cold, {})
    with lambda_runtime(function, _HANDLER) as cold:
        first, *later = (_seconds(cold, event) for event in events)
    return Waited(start, first, tuple(later))


def _seconds(runtime: LambdaRuntime, event: Mapping[str, Any]) -> float:
    began = time.monotonic()
    reply = runtime.invoke(event)
    took = time.monotonic() - began
    if reply.get("batchItemFailures") or (not event and reply["status"] != "ready"):
        raise RaceError(f"the function answers {str(reply)[:200]}")
    return took


def _events(messages: int, batch: int) -> Iterator[dict[str, Any]]:
    rows = texts()
    for start in range(0, messages, batch):
        numbers = range(start, min(start + batch, messages))
        yield {"Records": [message(number, rows[number % len(rows)]) for number in numbers]}


@contextmanager
def _function() -> Iterator[Function]:
    """Yield the function for records with its store and an empty stream."""
    with embedded_store("aws") as store, TemporaryDirectory(prefix="pilotlight-bench-") as folder:
        endpoint = store.environ["AWS_ENDPOINT_URL_S3"]
        with acting_in({**store.environ, "AWS_ENDPOINT_URL": endpoint}):
            ensure_published(LOCK, open_store(store.url))
            kinesis = boto3.client("kinesis", region_name="us-east-1")
        stream = f"results-{token_hex(4)}"  # moto keeps those of all its servers in one place
        kinesis.create_stream(StreamName=stream, ShardCount=1)
        environ = {
            **passed_on(os.environ),
            **store.environ,
            "AWS_ENDPOINT_URL": endpoint,
            "PILOTLIGHT_STORE": store.url,
            "PILOTLIGHT_RESULTS": f"arn:aws:kinesis:us-east-1:123456789012:stream/{stream}",
            "TMPDIR": folder,
        }
        try:
            yield prepare("aws", LOCK, Path(folder) / "function", environ, "records")
        finally:
            kinesis.delete_stream(StreamName=stream)
            kinesis.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench/backlog.py")
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    found = measured(given.messages, given.batch, given.rounds)
    for waited in found:
        print(
            f"cold start {waited.start * 1000:.0f} ms, first {given.batch} results after {waited.first * 1000:.0f} ms: "
            f"{waited.batches:.1f} of a later batch ({median(waited.later) * 1000:.0f} ms) more; all "
            f"{given.messages} after {waited.first + sum(waited.later):.1f} s"
        )
    print(f"median: {median(each.batches for each in found):.1f} of a later batch after a cold start")


if __name__ == "__main__":
    main()

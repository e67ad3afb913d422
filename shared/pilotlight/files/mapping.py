"""The map function: the rows of one shard through the model, into a file of results and one of failures.

It knows neither stores nor processes. A command on one machine, a task of a workflow or of a job, and a worker of a
data platform call it with files that they have opened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

import pyarrow as pa

from pilotlight.codec.batches import sliced
from pilotlight.codec.encode import to_json
from pilotlight.dataplane import DataPlane
from pilotlight.errors import NotReady, PredictionTimeout, RequestError
from pilotlight.files.chunks import Chunk
from pilotlight.files.decode import Rows, decode
from pilotlight.files.reading import read
from pilotlight.files.results import output_columns, result_schema, writing
from pilotlight.files.shards import Failure, Job, Shard, Summary
from pilotlight.frozen import dataclass
from pilotlight.model.tensor import Tensor

# Seconds that one run may take: no caller waits for it, and only a run that never ends has to.
LONGEST_RUN = 3600.0

Progress: TypeAlias = Callable[[int], None]
"""Gets the number of rows that are done since its last call."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A shard's file, opened at its beginning, and where its results and its failures go."""

    source: BinaryIO
    result: Path
    failures: Path


def map_shard(plane: DataPlane, shard: Shard, job: Job, opened: Opened, progress: Progress = lambda _: None) -> Summary:
    """Score the rows of a shard. The same shard, job and model make the same bytes.

    A row that cannot be read, or that the model refuses, is a line of JSON in the failures. Raise FormatError for a
    file that does not suit the model, and what the model raises if it fails for all rows of a run.
    """
    began = time.monotonic()
    signature = plane.model.signature
    reading = read(shard, opened.source, job, signature)
    schema = result_schema(signature, reading.kept, job.format)
    written = failed = 0
    with writing(opened.result, job.format, schema) as out, opened.failures.open("wb") as refused:
        for chunk in reading.chunks:
            batches, failures = score(plane, chunk, schema, shard.file)
            for batch in batches:
                out.write(batch)
                written += batch.num_rows
            refused.write(b"".join(map(_line, failures)))
            failed += len(failures)
            progress(chunk.rows + len(chunk.unreadable))
    return Summary(shard.index, written + failed, written, failed, round(time.monotonic() - began, 3))


def _line(failure: Failure) -> bytes:
    return (
        to_json({"file": failure.file, "line": failure.line, "column": failure.column, "reason": failure.reason})
        + b"\n"
    )


def score(plane: DataPlane, chunk: Chunk, schema: pa.Schema, file: str) -> tuple[list[pa.RecordBatch], list[Failure]]:
    """Return the results of a chunk, in the order of its rows, and its failures, in the order of their lines."""
    signature = plane.model.signature
    rows = decode(chunk, signature, file)
    failures = [*rows.failures, *(Failure(file, each.line, "", each.reason) for each in chunk.unreadable)]
    batches = []
    for start, stop, found in _runs(plane, rows):
        if isinstance(found, Exception):
            failures.append(Failure(file, chunk.line(rows.rows[start]), "", _reason(found)))
            continue
        columns = [*chunk.keep(rows.rows[start:stop]), *output_columns(signature, found, stop - start)]
        batches.append(pa.RecordBatch.from_arrays(columns, schema=schema))
    return batches, sorted(failures, key=lambda failure: failure.line)


Found: TypeAlias = "tuple[int, int, tuple[Tensor, ...] | Exception]"
"""The outputs of rows, by their first and last; or why the model failed for the one row."""


def _runs(plane: DataPlane, rows: Rows) -> list[Found]:
    count = len(rows.rows)
    step = count if plane.model.signature.batch == -1 else 1
    found = [each for row in range(0, count, max(step, 1)) for each in _run(plane, rows.inputs, row, row + step)]
    broken = [error for _, _, error in found if isinstance(error, Exception) and not isinstance(error, RequestError)]
    if count > 1 and len(broken) == count:
        raise broken[0]  # of the model or this machine, not of the rows
    return found


def _run(plane: DataPlane, inputs: Sequence[Tensor], start: int, stop: int) -> Iterator[Found]:
    """Run the model on some rows; if it fails, on their halves, so that a row that it refuses fails alone."""
    deadline = time.monotonic() + LONGEST_RUN
    try:
        yield start, stop, plane.run(sliced(inputs, start, stop), stop - start, deadline)
    except (NotReady, PredictionTimeout, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a library raises for one row, the others have to be scored
        if stop - start == 1:
            yield start, stop, error
            return
        half = (start + stop) // 2
        yield from _run(plane, inputs, start, half)
        yield from _run(plane, inputs, half, stop)


def _reason(error: Exception) -> str:
    if isinstance(error, RequestError):
        return error.message
    return f"the row could not be scored: {type(error).__name__}: {error}"

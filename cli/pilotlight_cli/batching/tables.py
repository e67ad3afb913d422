"""Arrow tables through the pinned model, in a worker of somebody's engine: Beam, Spark, Dask or Ray.

The libraries of the model have to be those that the lock pins: install its requirements.lock on the workers, and
`pilotlight[batch]` beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import mkdtemp

import pyarrow as pa

from pilotlight.boot import Platform, boot
from pilotlight.files.columns import Columns, check_types, find_columns
from pilotlight.files.mapping import score
from pilotlight.files.reading import ROWS, table_chunk
from pilotlight.files.results import result_schema
from pilotlight.model.lock import load_lock
from pilotlight_cli.registry.publish import download
from pilotlight_cli.stores import open_store

# Why a row has no result; null for a row that has one.
FAILURE = "failure"

# Seconds to load the model, which is on this disk already.
_START = 600.0


class TableScorer:
    """The model of a lock, fetched from its store and verified once, for as many tables as a worker gets."""

    def __init__(self, lock: Path, store: str, keep: Sequence[str] = ()) -> None:
        """`keep` names the columns that the results get from the tables. Raise PilotlightError."""
        self._keep = tuple(keep)
        folder = Path(mkdtemp(prefix="pilotlight-"))
        model = load_lock(lock).model
        files = folder / model.name / str(model.version)
        files.mkdir(parents=True)
        source = open_store(store)
        for file in model.files:
            download(source, model.key(file.name), file, files, lambda _: None)
        environ = {
            "PILOTLIGHT_STORE": folder.as_uri(),
            "PILOTLIGHT_LOCK": str(lock.resolve()),
            "PILOTLIGHT_THREADS": "1",  # an engine runs a worker for each processor
            "TMPDIR": str(folder),
        }
        platform = Platform(lock.resolve().parent, {}, lambda *_: lambda _: None, _START, time.monotonic())
        self._plane = boot(platform, environ)[0].plane

    def schema(self, table: pa.Schema) -> pa.Schema:
        """Return the columns of the results for tables with these columns. Raise FormatError if they do not suit."""
        kept = [table.field(name) for name in self._columns(table).keep]
        results = result_schema(self._plane.model.signature, kept, "parquet")
        return results.append(pa.field(FAILURE, pa.string()))

    def score(self, table: pa.Table | pa.RecordBatch) -> pa.Table:
        """Return a row for each row, in their order: kept columns, results, and the failure if there is no result."""
        schema = self.schema(table.schema)
        batches = table.to_batches(max_chunksize=ROWS) if isinstance(table, pa.Table) else [table]
        return pa.Table.from_batches([self._scored(batch, schema) for batch in batches if batch.num_rows], schema)

    def _columns(self, table: pa.Schema) -> Columns:
        signature = self._plane.model.signature
        columns = find_columns(signature, table.names, self._keep, "")
        check_types(signature, columns, table)
        return columns

    def _scored(self, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
        chunk = table_chunk(batch, self._columns(batch.schema), self._plane.model.signature, 0)
        results = pa.schema(list(schema)[:-1])
        parts, failures = score(self._plane, chunk, results, "")
        reasons = {each.line: f"{each.column}: {each.reason}".removeprefix(": ") for each in failures}
        found = pa.Table.from_batches(parts, results)
        places = iter(range(found.num_rows))
        order = pa.array([None if row in reasons else next(places) for row in range(batch.num_rows)], pa.int64())
        kept = len(self._keep)
        columns = [*(batch.column(name) for name in self._keep), *(each.take(order) for each in found.columns[kept:])]
        columns.append(pa.array([reasons.get(row) for row in range(batch.num_rows)], pa.string()))
        arrays = [each.combine_chunks() if isinstance(each, pa.ChunkedArray) else each for each in columns]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


def map_in_arrow(
    lock: Path, store: str, keep: Sequence[str] = ()
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return a function for Spark's `mapInArrow`. It loads the model once in each task."""

    def score_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        scorer = TableScorer(lock, store, keep)
        for batch in batches:
            yield from scorer.score(batch).to_batches()

    return score_batches

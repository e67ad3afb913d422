"""Arrow tables through the pinned model, in a worker of somebody's engine: Beam, Spark, Dask or Ray.

The libraries of the model have to be those that the lock pins: install its requirements.lock on the workers, and
`pilotlight[batch]` beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import mkdtemp

import pyarrow as pa

from pilotlight.boot import open_store as open_source
from pilotlight.files.columns import Columns, check_types, find_columns
from pilotlight.files.mapping import score
from pilotlight.files.reading import ROWS, table_chunk
from pilotlight.files.results import result_schema
from pilotlight.library import open_plane
from pilotlight.model.lock import load_lock
from pilotlight_cli.batching.serving import fetch
from pilotlight_cli.stores import open_store

# Why a row has no result; null for a row that has one.
FAILURE = "failure"


class TableScorer:
    """The model of a lock, fetched from its store and verified once, for as many tables as a worker gets."""

    def __init__(self, lock: Path, store: str, keep: Sequence[str] = ()) -> None:
        """`keep` names the columns that the results get from the tables. Raise PilotlightError."""
        self._keep = tuple(keep)
        folder = Path(mkdtemp(prefix="pilotlight-"))
        url = fetch(load_lock(lock).model, open_store(store), folder)
        self._plane = open_plane(lock.resolve(), open_source(url, {}), folder)

    def schema(self, table: pa.Schema) -> pa.Schema:
        """Return the columns of the results for tables with these columns. Raise FormatError if they do not suit."""
        return self._schema(table, self._columns(table))

    def score(self, table: pa.Table | pa.RecordBatch) -> pa.Table:
        """Return a row for each row, in their order: kept columns, results, and the failure if there is no result."""
        columns = self._columns(table.schema)
        schema = self._schema(table.schema, columns)
        batches = table.to_batches(max_chunksize=ROWS) if isinstance(table, pa.Table) else [table]
        scored = [self._scored(batch, columns, schema) for batch in batches if batch.num_rows]
        return pa.Table.from_batches(scored, schema)

    def _columns(self, table: pa.Schema) -> Columns:
        signature = self._plane.model.signature
        columns = find_columns(signature, table.names, self._keep, "")
        check_types(signature, columns, table)
        return columns

    def _schema(self, table: pa.Schema, columns: Columns) -> pa.Schema:
        kept = [table.field(name) for name in columns.keep]
        results = result_schema(self._plane.model.signature, kept, "parquet")
        return results.append(pa.field(FAILURE, pa.string()))

    def _scored(self, batch: pa.RecordBatch, columns: Columns, schema: pa.Schema) -> pa.RecordBatch:
        chunk = table_chunk(batch, columns, self._plane.model.signature, 0)
        results = pa.schema(list(schema)[:-1])
        parts, failures = score(self._plane, chunk, results, "")
        reasons = {each.line: f"{each.column}: {each.reason}".removeprefix(": ") for each in failures}
        found = pa.Table.from_batches(parts, results)
        places = iter(range(found.num_rows))
        order = pa.array([None if row in reasons else next(places) for row in range(batch.num_rows)], pa.int64())
        kept = len(self._keep)
        filled = [*(batch.column(name) for name in self._keep), *(each.take(order) for each in found.columns[kept:])]
        filled.append(pa.array([reasons.get(row) for row in range(batch.num_rows)], pa.string()))
        arrays = [each.combine_chunks() if isinstance(each, pa.ChunkedArray) else each for each in filled]
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

"""The columns of two sets of files, by the contract of the pinned model: counted chunk by chunk, then judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pilotlight.drift.bins import Bins
from pilotlight.drift.verdict import LEVELS, judge
from pilotlight.errors import FormatError, InvalidRequest
from pilotlight.files.chunks import Chunk
from pilotlight.files.columns import input_names
from pilotlight.files.planning import SHARD_BYTES, kept_types, make_plan
from pilotlight.files.reading import named, read
from pilotlight.files.results import output_fields
from pilotlight.files.shards import Job, Shard
from pilotlight.frozen import replace
from pilotlight.model.lock import load_lock
from pilotlight.model.signature import Signature
from pilotlight_cli.batching.sources import open_place
from pilotlight_cli.drifting.choosing import choose
from pilotlight_cli.drifting.counts import Sample, Values, count
from pilotlight_cli.drifting.report import Report


def compare(reference: str, current: str, lock: Path, step: Callable[[str], None]) -> Report:
    """Compare the features, and the results of `pilotlight batch` where both sides have their columns.

    Raise BatchUsageError for no files, FormatError for a file that does not suit the model.
    """
    signature = load_lock(lock).model.signature
    if not signature.takes_features:
        raise FormatError("the model takes tensors, and drift is told of named features", "", lock.name)
    step(f"reading {reference}")
    sides = [_Side(text, signature) for text in (reference, current)]
    names = input_names(signature)
    results = [field for field in _results(signature) if all(side.has_results for side in sides)]
    samples = [Sample() for _ in (*names, *results)]
    for columns in sides[0].columns(results):
        for sample, column in zip(samples, columns, strict=True):
            sample.add(column.to_pylist())
    labels = (*names, *(field.name for field in results))
    bins = [choose(name, sample.values) for name, sample in zip(labels, samples, strict=True)]
    step(f"counting {reference}")
    before = sides[0].count(results, bins)
    step(f"counting {current}")
    after = sides[1].count(results, bins)
    findings = [
        judge(each, one.tolist(), other.tolist(), len(bins))
        for each, one, other in zip(bins, before, after, strict=True)
    ]
    findings.sort(key=lambda found: (LEVELS.index(found.level), found.psi), reverse=True)
    return Report(tuple(findings), (sides[0].rows, sides[1].rows), (sides[0].refused, sides[1].refused))


def _results(signature: Signature) -> list[pa.Field]:
    """Return the columns of a result that have one value a row."""
    return [field for field in output_fields(signature) if not pa.types.is_nested(field.type)]


class _Side:
    """Files with rows, which are read as often as needed. `rows` and `refused` are those of the last time."""

    def __init__(self, text: str, signature: Signature) -> None:
        self._place = open_place(text)
        self._signature = signature
        sources = self._place.sources()
        plan = make_plan(self._place, sources, Job("parquet"), signature, SHARD_BYTES)
        self._shards = [planned.shard for planned in plan.shards]
        self._job = Job("parquet", tuple(field.name for field in _results(signature)))
        try:
            self._job = replace(self._job, types=kept_types(self._place, sources, self._job))
            self.has_results = all(self._shows_results(shard) for shard in self._shards)
        except FormatError:  # about the results: the rows themselves suit the model
            self.has_results = False
        if not self.has_results:
            self._job = plan.job
        self.rows = self.refused = 0

    def _shows_results(self, shard: Shard) -> bool:
        """Whether the first rows of a shard have results. In JSON Lines a column that is not there is empty."""
        with self._place.open(shard.file, shard.state) as source:
            chunk = next(read(shard, source, self._job, self._signature).chunks, None)
            return not (chunk and chunk.rows) or all(
                len(each) > each.null_count for each in chunk.keep(range(chunk.rows))
            )

    def columns(self, results: Sequence[pa.Field]) -> Iterator[list[pa.Array]]:
        """Yield the features and the results of some rows after the others. Raise FormatError."""
        self.rows = self.refused = 0
        for shard in self._shards:
            with self._place.open(shard.file, shard.state) as source:
                for chunk in read(shard, source, self._job, self._signature).chunks:
                    features, rows = self._features(chunk)
                    self.rows += chunk.rows + len(chunk.unreadable)
                    self.refused += chunk.rows - len(rows) + len(chunk.unreadable)
                    if rows:
                        kept = chunk.keep(rows) if results else []
                        with named(shard):
                            yield [*features, *(_typed(*pair) for pair in zip(kept, results, strict=True))]

    def count(self, results: Sequence[pa.Field], bins: Sequence[Bins]) -> list[Values]:
        """Return the counts of each column."""
        totals = [np.zeros(each.size, np.int64) for each in bins]
        for columns in self.columns(results):
            for index, (each, column) in enumerate(zip(bins, columns, strict=True)):
                totals[index] += count(each, column)
        return totals

    def _features(self, chunk: Chunk) -> tuple[list[pa.Array], list[int]]:
        """Return the features of the rows that the model would take, and the numbers of these rows."""
        if chunk.typed is not None:
            return [pa.array(column) for column in chunk.typed], list(range(chunk.rows))
        rows, found = [], []
        for row in range(chunk.rows):
            try:
                values = [value for tensor in chunk.check(row) for value in tensor.values()]
            except InvalidRequest:
                continue
            rows.append(row)
            found.append(values)
        return [pa.array(column) for column in zip(*found, strict=True)], rows


def _typed(column: pa.Array, field: pa.Field) -> pa.Array:
    """Return a column of results in its type, which CSV does not have."""
    return column if column.type == field.type else column.cast(field.type)

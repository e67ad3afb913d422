"""The shards of a job: parts of files of about the same size, the same ones for the same files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

import pyarrow as pa

from pilotlight.errors import FormatError
from pilotlight.files import arrays, csv_rows, json_rows, reading
from pilotlight.files.columns import write_types
from pilotlight.files.records import blocks, boundaries
from pilotlight.files.results import result_schema
from pilotlight.files.shards import Job, Shard, format_of
from pilotlight.files.sources import Place, Source
from pilotlight.frozen import dataclass, replace
from pilotlight.model.signature import Signature

# Bytes of a file in a shard: a second or two of work, which is what a killed run may lose in each process.
SHARD_BYTES = 32 << 20

# Bytes of JSON Lines by which the types of kept columns are told.
_INFERRED = 1 << 20


@dataclass(frozen=True, slots=True)
class Planned:
    """A shard, and its part of its file in bytes."""

    shard: Shard
    size: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The shards of a job, and the number of rows where the files say it."""

    job: Job
    shards: tuple[Planned, ...]
    rows: int | None


def make_plan(place: Place, sources: Sequence[Source], job: Job, signature: Signature, every: int) -> Plan:
    """Divide files into shards. Raise FormatError for a file that does not suit the model or the others."""
    job = replace(job, types=kept_types(place, sources, job))
    found: list[Planned] = []
    total: int | None = 0
    kept: Sequence[pa.Field] | None = None
    for source in sources:
        format_, compression = format_of(source.name)
        whole = Planned(Shard(0, source.name, format_, compression, state=source.state), source.size)
        with reading.named(whole.shard), place.open(source.name, source.state) as file:
            fields = reading.read(whole.shard, file, job, signature).kept
            result_schema(signature, fields, job.format)
            if list(kept or fields) != list(fields):
                raise FormatError(f"kept columns have other types or names than in {sources[0].name}", "")
            kept = fields
        # Opened once more: a stream that unpacks a file closes it in the end.
        with reading.named(whole.shard), place.open(source.name, source.state) as file:
            parts, rows = _divided(file, whole, job, signature, every)
        found += [
            replace(part, shard=replace(part.shard, index=len(found) + index)) for index, part in enumerate(parts)
        ]
        total = None if total is None or rows is None else total + rows
    return Plan(job, tuple(found), total)


def _divided(
    source: BinaryIO, whole: Planned, job: Job, signature: Signature, every: int
) -> tuple[list[Planned], int | None]:
    """Return the shards of a file, and its rows if it says how many."""
    shard = whole.shard
    if shard.format in ("parquet", "npy"):
        return _by_rows(whole, source, every)
    if shard.format == "csv":
        csv_rows.check_header(reading.unpacked(source, shard.compression), job, signature)
    if not whole.size:
        return [], 0
    if shard.compression or whole.size <= every:
        return [whole], None
    source.seek(0)
    starts = list(boundaries(source, quotes=shard.format == "csv", every=every))
    ends = [*(start for start, _ in starts[1:]), whole.size]
    return [
        Planned(replace(shard, start=start, stop=-1 if end == whole.size else end, line=line), end - start)
        for (start, line), end in zip(starts, ends, strict=True)
    ], None


def _by_rows(whole: Planned, source: BinaryIO, every: int) -> tuple[list[Planned], int]:
    """Divide a file that knows its rows: by whole row groups, or by rows."""
    shard, size = whole.shard, whole.size
    if shard.format == "parquet":
        metadata = reading.open_parquet(source).metadata
        counts = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
    else:
        header = arrays.read_header(reading.unpacked(source, shard.compression))
        step = max(1, every // max(header.row_size, 1)) if not shard.compression else max(header.rows, 1)
        counts = [min(step, header.rows - start) for start in range(0, header.rows, step)]
    rows = sum(counts)
    shards: list[Planned] = []
    start = line = 0
    pending = 0
    for index, count in enumerate(counts):
        pending += count
        share = size * (line + pending) // rows - size * line // rows if rows else 0
        if share >= every or index == len(counts) - 1 or shard.format == "npy":
            first, stop = (start, index + 1) if shard.format == "parquet" else (line, line + pending)
            if pending:
                shards.append(Planned(replace(shard, start=first, stop=stop, line=line + 1), share))
            start, line, pending = index + 1, line + pending, 0
    return shards, rows


def kept_types(place: Place, sources: Sequence[Source], job: Job) -> str:
    """Return the types of kept columns of JSON Lines, by the first lines of the first such file."""
    first = next((source for source in sources if format_of(source.name)[0] == "jsonl"), None)
    if first is None or not job.keep:
        return ""
    shard = Shard(0, first.name, *format_of(first.name))
    with reading.named(shard), place.open(first.name, first.state) as source:
        head = next(blocks(reading.unpacked(source, shard.compression), quotes=False, size=_INFERRED), None)
        return write_types(json_rows.infer_types(head.content if head else b"", job.keep))

"""The rows of a shard, in chunks of a few megabytes, whatever the file's size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO

import pyarrow as pa
from pyarrow import parquet

from pilotlight.errors import FormatError
from pilotlight.files import arrays, csv_rows, json_rows
from pilotlight.files.arrays import Array
from pilotlight.files.chunks import Chunk, check_values
from pilotlight.files.columns import Columns, check_types, find_columns, input_names, read_types
from pilotlight.files.shards import Job, Shard
from pilotlight.frozen import dataclass
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import Tensor

# Rows of Parquet and .npy in a chunk, where a row is small, and the bytes of one.
ROWS = 10_000
_BYTES = 4 << 20

# Bytes of a column of Parquet that are read at once.
_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class Reading:
    """The kept columns of a shard, and its rows."""

    kept: Sequence[pa.Field]
    chunks: Iterator[Chunk]


def read(shard: Shard, source: BinaryIO, job: Job, signature: Signature) -> Reading:
    """Return the rows of a shard. `source` is its file, opened at its beginning.

    This and the rows raise FormatError if the file does not suit the model or cannot be read on.
    """
    if signature.batch is None:
        raise FormatError("the model has no batch dimension: its inputs are no rows", "", shard.file)
    with named(shard):
        if shard.format == "parquet":
            file = open_parquet(source)
            columns = parquet_columns(file, job, signature)
            kept = [file.schema_arrow.field(name) for name in job.keep]
            return Reading(kept, _guarded(shard, _parquet(shard, file, columns, signature)))
        stream = unpacked(source, shard.compression)
        if shard.format == "npy":
            return Reading([], _guarded(shard, _arrays(shard, stream, job, signature)))
        if shard.format == "csv":
            kept = [pa.field(name, pa.string()) for name in job.keep]
            return Reading(kept, _guarded(shard, csv_rows.read(shard, stream, job, signature)))
        return Reading(list(read_types(job.types)), _guarded(shard, json_rows.read(shard, stream, job, signature)))


@contextmanager
def named(shard: Shard) -> Iterator[None]:
    """Name the file in an error."""
    try:
        yield
    except FormatError as error:
        raise error.within(shard.file) from None
    except (pa.ArrowException, OSError) as error:
        raise FormatError(f"cannot be read as {shard.format}: {error}", "", shard.file) from error


def _guarded(shard: Shard, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    with named(shard):
        yield from chunks


def unpacked(source: BinaryIO, compression: str) -> BinaryIO:
    """Return the bytes of a file that may be compressed."""
    stream: BinaryIO = pa.CompressedInputStream(source, compression) if compression else source
    return stream


def open_parquet(source: BinaryIO) -> parquet.ParquetFile:
    """Open a file that is read one row group at a time: what pyarrow buffers ahead by itself has no bound.

    A file of this machine, pyarrow's own, is read a megabyte of a column at a time. Of any other, such as an object in
    a bucket, a row group's columns are read whole and in their order, so that its requests can be few.
    """
    return parquet.ParquetFile(
        source, pre_buffer=False, buffer_size=_BUFFER if isinstance(source, pa.NativeFile) else 0
    )


def parquet_columns(file: parquet.ParquetFile, job: Job, signature: Signature) -> Columns:
    """Return the columns of a file. Raise FormatError if they do not suit the model."""
    schema = file.schema_arrow
    columns = find_columns(signature, schema.names, job.keep, "")
    check_types(signature, columns, schema)
    return columns


def _rows_of(size: int) -> int:
    """Return how many rows of that many bytes make a chunk."""
    return max(1, min(ROWS, _BYTES // max(size, 1)))


def _parquet(shard: Shard, file: parquet.ParquetFile, columns: Columns, signature: Signature) -> Iterator[Chunk]:
    groups = range(shard.start, file.num_row_groups if shard.stop < 0 else shard.stop)
    found = [file.metadata.row_group(group) for group in groups]
    size = sum(group.total_byte_size for group in found) // max(sum(group.num_rows for group in found), 1)
    line = shard.line
    for batch in file.iter_batches(_rows_of(size), row_groups=list(groups), columns=columns.names, use_threads=False):
        if batch.num_rows:
            yield table_chunk(batch, columns, signature, line)
            line += batch.num_rows


def table_chunk(batch: pa.RecordBatch, columns: Columns, signature: Signature, line: int) -> Chunk:
    """Return the rows of a table, the first of which is `line`."""
    inputs = [arrays.plain(batch.column(name)) for name in columns.inputs]
    check = partial(_check, signature, columns.inputs, inputs)
    return Chunk(batch.num_rows, inputs, check, partial(arrays.kept, batch, columns.keep), line.__add__)


def _check(signature: Signature, names: Sequence[str], columns: Sequence[pa.Array], row: int) -> tuple[Tensor, ...]:
    return check_values(signature, names, [arrays.python_value(column[row].as_py()) for column in columns])


def _arrays(shard: Shard, source: BinaryIO, job: Job, signature: Signature) -> Iterator[Chunk]:
    """Yield the rows of a `.npy` file: the values of the features in their order, or the model's one tensor."""
    if job.keep:
        raise FormatError("a .npy file has no named columns to keep", "")
    header = arrays.read_header(source)
    arrays.check_header(header, signature)
    start, stop = shard.start, header.rows if shard.stop < 0 else shard.stop
    if start:
        source.seek(start * header.row_size, 1)
    names = input_names(signature)
    line = shard.line
    while start < stop:
        values = arrays.read_rows(source, header, min(_rows_of(header.row_size), stop - start))
        typed = [values] if signature.matrix or not signature.takes_features else list(values.T)
        check = partial(_check_array, signature, names, values)
        yield Chunk(len(values), typed, check, lambda _: [], line.__add__)
        start += len(values)
        line += len(values)


def _check_array(signature: Signature, names: Sequence[str], values: Array, row: int) -> tuple[Tensor, ...]:
    found = values[row].tolist()
    return check_values(signature, names, found if signature.takes_features else [found])

"""The rows of a CSV file, through pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from io import BytesIO
from typing import BinaryIO, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from pilotlight.errors import FormatError
from pilotlight.files import arrays
from pilotlight.files.chunks import Chunk, Unreadable, check_cells, decode_cell, unreadable
from pilotlight.files.columns import Columns, find_columns, input_names, is_text, text_types
from pilotlight.files.records import Block, blocks, count_lines, records
from pilotlight.files.shards import Job, Shard
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import Tensor

_Parsed: TypeAlias = "tuple[pa.RecordBatch, list[csv.InvalidRow]]"

_HEADER = 1 << 16  # bytes in which the names of the columns are looked for
_PARSING = csv.ParseOptions(newlines_in_values=True)
_TRUE, _FALSE = ["true", "True", "TRUE"], ["false", "False", "FALSE"]


def read(shard: Shard, source: BinaryIO, job: Job, signature: Signature) -> Iterator[Chunk]:
    """Yield the rows of a shard, without the line of column names."""
    if not signature.takes_features:
        raise FormatError("this model takes tensors, which CSV has no form for; use Parquet, JSON Lines or .npy", "")
    if not shard.start:
        found = blocks(source, quotes=True, stop=shard.stop)
        first = next(found, None)
        if first is None:
            return
        names, columns = _find_header(first, job, signature)
        yield from _chunks(_without_header(first) if job.header else first, names, columns, signature)
    else:
        header = next(blocks(source, quotes=True, size=_HEADER))
        names, columns = _find_header(header, job, signature)
        source.seek(shard.start)
        found = blocks(source, quotes=True, start=shard.start, stop=shard.stop, line=shard.line)
    for block in found:
        yield from _chunks(block, names, columns, signature)


def check_header(source: BinaryIO, job: Job, signature: Signature) -> None:
    """Raise FormatError if a file, opened at its beginning, has other columns than the model and the job need."""
    first = next(blocks(source, quotes=True, size=_HEADER), None)
    if first is not None:
        _find_header(first, job, signature)


def _find_header(block: Block, job: Job, signature: Signature) -> tuple[list[str], Columns]:
    """Return the names of the file's columns, and which of them are needed. Raise FormatError."""
    if job.header:
        names = _column_names(block)
        return names, find_columns(signature, names, job.keep, "line 1")
    if job.keep:
        raise FormatError("a file without column names has none to keep", "")
    names = list(input_names(signature))
    return names, find_columns(signature, names, (), "")


def _column_names(block: Block) -> list[str]:
    record = next((record for _, record in records(block, quotes=True)), b"").rstrip(b"\r\n")
    try:
        names: list[str] = csv.read_csv(BytesIO(record + b"\n"), parse_options=_PARSING).column_names
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise FormatError(f"line {block.line}: expected the names of the columns: {error}", "") from None
    return names


def _without_header(block: Block) -> Block:
    """Return the block after its first record, and the empty lines before it."""
    header = next(records(block, quotes=True))
    end = block.content.index(header[1]) + len(header[1])
    return Block(block.content[end:], block.line + count_lines(block.content[:end]), block.torn)


def _chunks(block: Block, names: list[str], columns: Columns, signature: Signature) -> Iterator[Chunk]:
    """Yield the rows of a block, if it has any."""
    if block.torn:
        yield unreadable(block.line, "a quote is not closed up to the end of the file")
    elif block.content.strip(b"\r\n"):
        yield _Rows(block, names, columns, signature).chunk()


class _Rows:
    """The rows of a block: parsed with their types where that is possible, and as bytes once one is to be checked."""

    def __init__(self, block: Block, names: list[str], columns: Columns, signature: Signature) -> None:
        self._block = block
        self._names = names
        self._columns = columns
        self._signature = signature

    def chunk(self) -> Chunk:
        typed = self._typed()
        table, invalid = typed or self._cells
        return Chunk(
            table.num_rows,
            self._inputs(table) if typed else None,
            self._check,
            partial(arrays.kept, table, self._columns.keep) if typed else self._keep,
            lambda row: self._lines[0][row],
            tuple(Unreadable(self._lines[1][row.number - 1], _count_text(row)) for row in invalid),
        )

    def _typed(self) -> _Parsed | None:
        """Parse with types; None if a cell has none of its type, or one that pyarrow alone takes for a number."""
        content = self._block.content
        if b"0x" in content or b"0X" in content:  # pyarrow reads whole numbers in this form too
            return None
        types = dict.fromkeys(self._columns.keep, pa.string()) | text_types(self._signature, self._columns)
        try:
            table, invalid = self._parse(types)
        except pa.ArrowInvalid:
            return None
        if any(tensor.missing for tensor in self._signature.inputs) and any(map(arrays.has_nan, table.columns)):
            return None
        return table, invalid

    def _inputs(self, table: pa.RecordBatch) -> list[pa.Array]:
        """Return the features; where a string may be missing, an empty one is."""
        found = [table.column(name) for name in self._columns.inputs]
        if not any(tensor.missing for tensor in self._signature.inputs):
            return found
        return [
            pc.replace_with_mask(each, pc.equal(each, ""), pa.scalar(None, each.type)) if is_text(each.type) else each
            for each in found
        ]

    @cached_property
    def _cells(self) -> _Parsed:
        return self._parse(dict.fromkeys(self._columns.names, pa.binary()))

    @cached_property
    def _lines(self) -> tuple[list[int], list[int]]:
        """The lines of the rows, and those of all records."""
        every = [line for line, _ in records(self._block, quotes=True)]
        invalid = {row.number - 1 for row in self._cells[1]}
        return [line for index, line in enumerate(every) if index not in invalid], every

    def _parse(self, types: Mapping[str, pa.DataType]) -> _Parsed:
        invalid: list[csv.InvalidRow] = []

        def skip(row: csv.InvalidRow) -> str:
            invalid.append(row)
            return "skip"

        table = csv.read_csv(
            pa.BufferReader(self._block.content),
            read_options=csv.ReadOptions(
                column_names=self._names, use_threads=False, block_size=len(self._block.content) + 1
            ),
            parse_options=csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
            convert_options=csv.ConvertOptions(
                column_types=types,
                include_columns=self._columns.names,
                null_values=[""],
                true_values=_TRUE,
                false_values=_FALSE,
            ),
        )
        return table.combine_chunks().to_batches()[0] if table.num_rows else _no_rows(table.schema), invalid

    def _check(self, row: int) -> tuple[Tensor, ...]:
        table = self._cells[0]
        for name in self._columns.keep:
            decode_cell(table.column(name)[row].as_py(), name)
        cells = [table.column(name)[row].as_py() for name in self._columns.inputs]
        return check_cells(self._signature, self._columns.inputs, cells)

    def _keep(self, rows: Sequence[int]) -> list[pa.Array]:
        return [column.cast(pa.string()) for column in arrays.kept(self._cells[0], self._columns.keep, rows)]


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def _count_text(row: csv.InvalidRow) -> str:
    return f"expected {row.expected_columns} cells, found {row.actual_columns}"

"""The rows of a JSON Lines file, through pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, BinaryIO

import pyarrow as pa
from pyarrow import json

from pilotlight.codec.body import read_json
from pilotlight.errors import InvalidRequest
from pilotlight.files import arrays
from pilotlight.files.chunks import Chunk, check_document
from pilotlight.files.columns import Columns, input_names, is_text, read_types, text_types
from pilotlight.files.records import Block, blocks, records
from pilotlight.files.shards import Job, Shard
from pilotlight.model.json_document import describe
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import Tensor


def read(shard: Shard, source: BinaryIO, job: Job, signature: Signature) -> Iterator[Chunk]:
    """Yield the rows of a shard."""
    kept = read_types(job.types)
    columns = Columns(input_names(signature), job.keep)
    if shard.start:
        source.seek(shard.start)
    for block in blocks(source, quotes=False, start=shard.start, stop=shard.stop, line=shard.line):
        lines = list(records(block, quotes=False))
        if lines:
            yield _chunk(block, lines, columns, kept, signature)


def infer_types(content: bytes, keep: Sequence[str]) -> pa.Schema:
    """Return the types of kept columns by the first lines of a file: a date stays text, and so does an unknown one.

    Raise pa.ArrowInvalid if the lines cannot be read.
    """
    if not keep:
        return pa.schema([])
    found = json.read_json(pa.BufferReader(content), _reading(content)).schema if content.strip() else pa.schema([])
    return pa.schema([(name, _kept_type(found, name)) for name in keep])


def _kept_type(schema: pa.Schema, name: str) -> pa.DataType:
    found = schema.field(name).type if name in schema.names else pa.null()
    return pa.string() if pa.types.is_null(found) or pa.types.is_temporal(found) else found


def _reading(content: bytes) -> json.ReadOptions:
    return json.ReadOptions(use_threads=False, block_size=len(content) + 1)


def _chunk(
    block: Block, lines: Sequence[tuple[int, bytes]], columns: Columns, kept: pa.Schema, signature: Signature
) -> Chunk:
    rows = _Rows([line for _, line in lines], kept, signature)
    typed = _typed(block.content, len(lines), columns, kept, signature)
    return Chunk(
        len(lines),
        None if typed is None else [typed.column(name) for name in columns.inputs],
        rows.check,
        rows.keep if typed is None else partial(arrays.kept, typed, columns.keep),
        lambda row: lines[row][0],
    )


def _typed(content: bytes, rows: int, columns: Columns, kept: pa.Schema, signature: Signature) -> pa.RecordBatch | None:
    """Parse lines with their types; None if one has another, or if a line is not one object."""
    types = {field.name: field.type for field in kept} | text_types(signature, columns)
    parsing = json.ParseOptions(explicit_schema=pa.schema(list(types.items())), unexpected_field_behavior="ignore")
    try:
        table = json.read_json(pa.BufferReader(content), _reading(content), parsing)
        if table.num_rows != rows:
            return None
        batch = table.combine_chunks().to_batches()[0]
        for column in batch.columns:
            if is_text(column.type):
                column.validate(full=True)  # the parser takes any bytes
            elif arrays.has_nan(column):
                return None
    except pa.ArrowInvalid:
        return None
    return batch


class _Rows:
    """Lines, each read by itself as it is checked."""

    def __init__(self, lines: Sequence[bytes], kept: pa.Schema, signature: Signature) -> None:
        self._lines = lines
        self._kept = kept
        self._signature = signature
        self._values: dict[int, list[Any]] = {}

    def check(self, row: int) -> tuple[Tensor, ...]:
        """Return the inputs of a line. Raise InvalidRequest."""
        document = read_json(self._lines[row])
        inputs = check_document(self._signature, document)
        if self._kept.names:
            values = document if isinstance(document, dict) else {}
            self._values[row] = [_value(values.get(field.name), field) for field in self._kept]
        return inputs

    def keep(self, rows: Sequence[int]) -> list[pa.Array]:
        """Return the kept columns of lines that were checked."""
        return [
            pa.array([self._values[row][index] for row in rows], field.type) for index, field in enumerate(self._kept)
        ]


def _value(value: object, field: pa.Field) -> object:
    """Return a kept value. Raise InvalidRequest if it does not have its column's type."""
    try:
        return pa.scalar(value, field.type).as_py()
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        found = f"expected {field.type}, as in the first lines, found {describe(value)}"
        raise InvalidRequest(found, field.name) from None

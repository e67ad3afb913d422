"""The model's outputs as columns, and the files of results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from pilotlight.codec.encode import to_json
from pilotlight.errors import FormatError
from pilotlight.model.json_document import first_duplicate
from pilotlight.model.signature import Output, Signature
from pilotlight.model.tensor import BOOL, BYTES, Datatype, Tensor

# Rows of a row group of Parquet.
_GROUP = 131_072


def output_fields(signature: Signature) -> list[pa.Field]:
    """Return the columns of a result.

    `prediction` is the label, or the only output of a model without labels. `probability_LABEL` is a column for each
    label. Every other output has its own name; where it is more than one number a row, it is a list.
    """
    fields = []
    if signature.is_classifier and signature.output("label") is None:
        fields.append(pa.field("prediction", pa.array(signature.labels).type))
    for output in signature.outputs:
        if output.role == "probabilities":
            fields += [pa.field(f"probability_{label}", _type(output.datatype)) for label in signature.labels]
        else:
            fields.append(pa.field(_name(output, signature), _list_type(output)))
    return fields


def _name(output: Output, signature: Signature) -> str:
    alone = len(signature.outputs) == 1
    return "prediction" if output.role == "label" or alone else output.name


def _type(datatype: Datatype) -> pa.DataType:
    if datatype is BYTES:
        return pa.string()
    if datatype is BOOL:
        return pa.bool_()
    return pa.float32() if datatype.is_float and datatype.size == 2 else pa.from_numpy_dtype(datatype.numpy)


def _list_type(output: Output) -> pa.DataType:
    type_ = _type(output.datatype)
    for _ in _dimensions(output):
        type_ = pa.list_(type_)
    return type_


def _dimensions(output: Output) -> tuple[int, ...]:
    """Return the shape of an output for one row; a column of single numbers is no list."""
    return () if output.shape[1:] == (1,) else output.shape[1:]


def output_columns(signature: Signature, outputs: Sequence[Tensor], rows: int) -> list[pa.Array]:
    """Return the columns of `output_fields` for the outputs of so many rows."""
    columns = []
    found = dict(zip(signature.outputs, outputs, strict=True))
    probabilities = signature.output("probabilities")
    if probabilities and signature.output("label") is None:
        best = _values(found[probabilities]).reshape(rows, -1).argmax(axis=1)
        columns.append(pa.array(signature.labels).take(pa.array(best)))
    for output, tensor in found.items():
        if output.role == "probabilities":
            matrix = _values(tensor).reshape(rows, -1)
            columns += [pa.array(np.ascontiguousarray(column)) for column in matrix.T]
        else:
            columns.append(_column(output, tensor))
    return columns


def _column(output: Output, tensor: Tensor) -> pa.Array:
    column = pa.array(tensor.data if isinstance(tensor.data, list) else _values(tensor))
    lengths = tensor.shape[1:] if _dimensions(output) else ()
    for length in reversed(lengths):
        ends = np.arange(0, len(column) + 1, length, dtype=np.int32)
        column = pa.ListArray.from_arrays(pa.array(ends), column)
    return column


def _values(tensor: Tensor) -> np.ndarray[Any, Any]:
    datatype = tensor.datatype
    if datatype is BOOL:
        return np.frombuffer(tensor.data, np.uint8).astype(bool)  # type: ignore[arg-type]
    if not datatype.numpy:
        return np.array(tensor.values(), np.float32)
    found: np.ndarray[Any, Any] = np.frombuffer(tensor.data, datatype.numpy)  # type: ignore[arg-type]
    return found.astype(np.float32) if datatype.is_float and datatype.size == 2 else found


def result_schema(signature: Signature, kept: Sequence[pa.Field], format_: str) -> pa.Schema:
    """Return the columns of a result file, the kept ones first. Raise FormatError for what it cannot have."""
    fields = [*kept, *output_fields(signature)]
    names = [field.name for field in fields]
    doubled = first_duplicate(names)
    if doubled is not None:
        raise FormatError(f"the result would have two columns {doubled!r}; leave it out of --keep", "")
    nested = next((field.name for field in fields if format_ == "csv" and pa.types.is_nested(field.type)), None)
    if nested is not None:
        raise FormatError(f"the column {nested!r} is a list, which CSV has no form for; use parquet or jsonl", "")
    return pa.schema(fields)


class Writer(Protocol):
    """Writes rows to a file."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Write rows."""
        ...


@contextmanager
def writing(path: Path, format_: str, schema: pa.Schema) -> Iterator[Writer]:
    """Give a writer of a result file, which is whole at the end."""
    if format_ == "parquet":
        with parquet.ParquetWriter(path, schema) as file:
            groups = _Groups(file)
            yield groups
            groups.flush()
    elif format_ == "csv":
        with csv.CSVWriter(path, schema) as lines:
            yield lines
    else:
        with path.open("wb") as out:
            yield _Lines(out.write)


class _Groups:
    """Collects rows until they make a row group."""

    def __init__(self, file: parquet.ParquetWriter) -> None:
        self._file = file
        self._batches: list[pa.RecordBatch] = []
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._batches.append(batch)
        self._rows += batch.num_rows
        if self._rows >= _GROUP:
            self.flush()

    def flush(self) -> None:
        if self._batches:
            self._file.write_table(pa.Table.from_batches(self._batches))
            self._batches, self._rows = [], 0


class _Lines:
    """Writes a JSON object for each row, as the function would."""

    def __init__(self, write: Any) -> None:  # noqa: ANN401 - a file's
        self._write = write

    def write(self, batch: pa.RecordBatch) -> None:
        names = batch.schema.names
        columns = [_json_values(column) for column in batch.columns]
        self._write(b"".join(to_json(dict(zip(names, row, strict=True))) + b"\n" for row in zip(*columns, strict=True)))


def _json_values(column: pa.Array) -> list[Any]:
    return [_json_value(value) for value in column.to_pylist()]


def _json_value(value: Any) -> Any:  # noqa: ANN401 - a value of any type
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, list):
        return [_json_value(item) for item in value]
    return value if value is None or isinstance(value, (str, int)) else str(value)

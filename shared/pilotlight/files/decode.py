"""From a chunk of rows to the model's inputs: at once where all values are usual, else row by row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pilotlight.codec.batches import joined
from pilotlight.errors import InvalidRequest
from pilotlight.files.arrays import Array
from pilotlight.files.chunks import Chunk, Column
from pilotlight.files.columns import is_text
from pilotlight.files.shards import Failure
from pilotlight.frozen import dataclass
from pilotlight.model.signature import Input, Signature
from pilotlight.model.tensor import BOOL, BYTES, Datatype, Tensor


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a chunk that the model can take, as its inputs, and why it cannot take the others."""

    inputs: tuple[Tensor, ...]
    rows: Sequence[int]
    failures: Sequence[Failure]


def decode(chunk: Chunk, signature: Signature, file: str) -> Rows:
    """Return the inputs of a chunk. The codec has the last word on each row that is not usual."""
    if not chunk.rows:
        return Rows((), [], [])
    found = _usual(chunk.typed, signature) if chunk.typed is not None else None
    if found is None:
        return _each(chunk, file, range(chunk.rows), None)
    inputs, bad = found
    if not bad.any():
        return Rows(inputs, range(chunk.rows), [])
    return _each(chunk, file, np.flatnonzero(bad).tolist(), inputs)


def _each(chunk: Chunk, file: str, doubtful: Iterable[int], inputs: tuple[Tensor, ...] | None) -> Rows:
    """Check the doubtful rows one by one; `inputs` are those of all rows as far as they are usual, or None."""
    failures: dict[int, Failure] = {}
    checked: dict[int, tuple[Tensor, ...]] = {}
    for row in doubtful:
        try:
            checked[row] = chunk.check(row)
        except InvalidRequest as error:
            failures[row] = Failure(file, chunk.line(row), error.path or "", error.message)
    good = [row for row in range(chunk.rows) if row not in failures]
    if not good:
        return Rows((), [], list(failures.values()))
    if inputs is not None and not checked:
        return Rows(tuple(_taken(tensor, good) for tensor in inputs), good, list(failures.values()))
    parts = [checked[row] if row in checked else chunk.check(row) for row in good]
    return Rows(joined(parts), good, list(failures.values()))


def _taken(tensor: Tensor, rows: Sequence[int]) -> Tensor:
    shape = (len(rows), *tensor.shape[1:])
    if isinstance(tensor.data, list):
        width = prod(tensor.shape[1:])
        return Tensor(tensor.datatype, shape, [v for row in rows for v in tensor.data[row * width : (row + 1) * width]])
    values = np.frombuffer(tensor.data, tensor.datatype.numpy).reshape(tensor.shape)
    return _tensor(values[rows], tensor.datatype, shape)


def _usual(columns: Sequence[Column], signature: Signature) -> tuple[tuple[Tensor, ...], Array] | None:
    """Return the inputs and which rows are doubtful; None if a column has values of another type."""
    rows = len(columns[0])
    bad = np.zeros(rows, dtype=bool)
    matrix = signature.matrix
    if matrix is not None:
        whole = _matrix(columns, matrix, bad)
        return None if whole is None else ((whole,), bad)
    tensors = []
    for tensor, column in zip(signature.inputs, columns, strict=True):
        found = _feature(column, tensor, bad) if signature.takes_features else _nested(column, tensor, signature)
        if found is None:
            return None
        tensors.append(found)
    return tuple(tensors), bad


def _matrix(columns: Sequence[Column], matrix: Input, bad: Array) -> Tensor | None:
    datatype = matrix.datatype
    shape = (len(bad), matrix.shape[1])
    if datatype is BYTES:
        strings = [_strings(column, matrix, bad) for column in columns]
        rows = zip(*(each for each in strings if each is not None), strict=True)
        return Tensor(BYTES, shape, [value for row in rows for value in row]) if None not in strings else None
    if not datatype.numpy:
        return None
    if len(columns) == 1 and isinstance(columns[0], np.ndarray):
        found = _numbers(columns[0], datatype)
        if found is None:
            return None
        values = np.ascontiguousarray(found)
    else:
        values = np.empty(shape, datatype.numpy)
        for index, column in enumerate(columns):
            found = _numbers(column, datatype)
            if found is None:
                return None
            values[:, index] = found
            if not datatype.is_float:
                bad |= _nulls(column)
    _mark(values, matrix, bad)
    return _tensor(values, datatype, shape)


def _feature(column: Column, tensor: Input, bad: Array) -> Tensor | None:
    shape = (len(bad), *tensor.shape[1:])
    if tensor.datatype is BYTES:
        strings = _strings(column, tensor, bad)
        return None if strings is None else Tensor(BYTES, shape, strings)
    values = _numbers(column, tensor.datatype) if tensor.datatype.numpy else None
    if values is None:
        return None
    if not tensor.datatype.is_float:
        bad |= _nulls(column)
    _mark(values.reshape(len(bad), 1), tensor, bad)
    return _tensor(values, tensor.datatype, shape)


def _strings(column: Column, tensor: Input, bad: Array) -> list[Any] | None:
    if isinstance(column, np.ndarray):
        return column.tolist() if column.dtype.kind == "U" else None
    if not is_text(column.type):
        return None
    if not tensor.missing:
        bad |= _nulls(column)
    return column.to_pylist()  # type: ignore[no-any-return]


def _nulls(column: Column) -> Array | bool:
    if isinstance(column, np.ndarray) or not column.null_count:
        return False
    return np.asarray(column.is_null().to_numpy(zero_copy_only=False))


def _numbers(column: Column, datatype: Datatype) -> Array | None:
    """Return a column as numpy's, with a NaN for a missing float; None if its values are of another kind."""
    if not isinstance(column, np.ndarray):
        if column.null_count and not datatype.is_float and not pa.types.is_null(column.type):
            column = column.fill_null(False if pa.types.is_boolean(column.type) else 0)
        column = column.to_numpy(zero_copy_only=False)
    found: Array = column
    if datatype.is_float:
        if found.dtype.kind not in "fiu":
            return None
        if found.dtype.kind != "f" and datatype.size < 8:
            found = found.astype(np.float64)  # a number is rounded from a double
        with np.errstate(over="ignore"):
            return found.astype(datatype.numpy, copy=False)
    if datatype is BOOL:
        return found if found.dtype.kind == "b" else None
    if found.dtype.kind not in "iu" or int(found.min()) < datatype.low or int(found.max()) > datatype.high:
        return None
    return found.astype(datatype.numpy, copy=False)


def _mark(values: Array, tensor: Input, bad: Array) -> None:
    """Mark the rows with an infinite float, or with a NaN where none may be missing."""
    if not tensor.datatype.is_float or (tensor.role != "features"):
        return
    finite = np.isfinite(values)
    if not finite.all():
        bad |= (np.isinf(values) if tensor.missing else ~finite).any(axis=1)


def _nested(column: Column, tensor: Input, signature: Signature) -> Tensor | None:
    """Return a plain tensor from lists of lists that are all of one shape; None if they are not."""
    rows = len(column)
    if not tensor.datatype.numpy or tensor.datatype is BYTES or signature.batch is None:
        return None
    found = (column, list(column.shape[1:])) if isinstance(column, np.ndarray) else _flattened(column)
    if found is None:
        return None
    column, lengths = found
    values = _numbers(column, tensor.datatype) if len(column) else None
    expected = tensor.shape[1:]
    if values is None or values.size != rows * prod(lengths) or len(lengths) != len(expected):
        return None
    if any(want not in (-1, length) for want, length in zip(expected, lengths, strict=True)):
        return None
    if tensor.datatype.is_float and not np.isfinite(values).all():
        return None
    return _tensor(np.ascontiguousarray(values), tensor.datatype, (rows, *lengths))


def _flattened(column: pa.Array) -> tuple[pa.Array, list[int]] | None:
    """Return the values of lists, and how long the lists of each level are; None if they differ in that."""
    lengths = []
    while pa.types.is_nested(column.type):
        found = pc.min_max(pc.list_value_length(column)).as_py()
        if column.null_count or found["min"] != found["max"]:
            return None
        lengths.append(found["min"])
        column = column.flatten()
    return column, lengths


def _tensor(values: Array, datatype: Datatype, shape: tuple[int, ...]) -> Tensor:
    return Tensor(datatype, shape, np.ascontiguousarray(values).data.cast("B"))

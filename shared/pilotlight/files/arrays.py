"""Columns of pyarrow and arrays of numpy: from files, to Python values, and the header of a `.npy` file."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pilotlight.errors import FormatError
from pilotlight.frozen import dataclass
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import BOOL, BYTES

Array: TypeAlias = "np.ndarray[Any, Any]"


def plain(column: pa.Array) -> pa.Array:
    """Return a column without its encoding: categories as their values, decimals as doubles."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column


def python_value(value: object) -> object:
    """Return a value of pyarrow as the codec knows it."""
    if isinstance(value, list):
        return [python_value(item) for item in value]
    return float(value) if isinstance(value, (Decimal, np.floating)) else value


def has_nan(column: pa.Array) -> bool:
    """Return whether text made a NaN, which is no number in it; a missing one is null."""
    return bool(pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py())


def kept(table: pa.RecordBatch, names: Sequence[str], rows: Sequence[int]) -> list[pa.Array]:
    """Return some rows of some columns."""
    everything = len(rows) == table.num_rows
    return [table.column(name) if everything else table.column(name).take(pa.array(rows)) for name in names]


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a `.npy` file: the number of its rows, and the shape and the type of one."""

    rows: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def row_size(self) -> int:
        """The size of a row in bytes."""
        return int(np.prod(self.shape, dtype=int)) * self.dtype.itemsize


def read_header(source: BinaryIO) -> Header:
    """Read the header, up to the first row. Raise FormatError for another file, or one without rows of numbers."""
    try:
        version = np.lib.format.read_magic(source)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read(source)
    except ValueError as error:
        raise FormatError(f"cannot be read as npy: {error}", "") from None
    if is_fortran and len(shape) > 1:
        raise FormatError("the array is stored by columns; save it with numpy.ascontiguousarray", "")
    if dtype.hasobject or not shape:
        raise FormatError(f"found an array of {dtype} of shape {list(shape)}, expected rows of numbers", "")
    return Header(shape[0], tuple(shape[1:]), dtype)


def check_header(header: Header, signature: Signature) -> None:
    """Raise FormatError if the rows of a file are not those of a model."""
    if len(signature.inputs) > 1 and not signature.takes_features:
        names = ", ".join(tensor.name for tensor in signature.inputs)
        raise FormatError(f"the model takes several tensors ({names}), and a .npy file has one", "")
    first = signature.inputs[0]
    expected = (signature.width,) if signature.takes_features else first.shape[0 if signature.batch is None else 1 :]
    fits = len(expected) == len(header.shape) and all(
        want in (-1, found) for want, found in zip(expected, header.shape, strict=True)
    )
    if not fits:
        raise FormatError(f"a row has the shape {list(header.shape)}, expected {list(expected)}", "")
    kinds = {
        "b" if tensor.datatype is BOOL else "U" if tensor.datatype is BYTES else "fiu" for tensor in signature.inputs
    }
    if any(header.dtype.kind not in each for each in kinds):
        raise FormatError(f"found an array of {header.dtype}, expected {first.datatype.name}", "")


def read_rows(source: BinaryIO, header: Header, count: int) -> Array:
    """Read the next rows. Raise FormatError if the file ends before."""
    content = source.read(count * header.row_size)
    if len(content) < count * header.row_size:
        raise FormatError(f"the file ends in the middle; its header says {header.rows} rows", "")
    return np.frombuffer(content, header.dtype).reshape(count, *header.shape)

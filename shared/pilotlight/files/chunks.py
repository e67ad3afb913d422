"""Rows that were read together: as typed columns where every value has its column's type, and one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from pilotlight.codec.csv import cell_readers
from pilotlight.codec.decode import read_instance
from pilotlight.codec.tables import read_table
from pilotlight.errors import InvalidRequest
from pilotlight.frozen import dataclass
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import BYTES, Tensor

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Column: TypeAlias = "pa.Array | np.ndarray[Any, Any]"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that is no row."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of a file.

    `typed` has a column for each feature or input of the model; None if a value does not have its column's type.
    `check` returns the inputs of a row by the rules of the codec, which have the last word, or raises InvalidRequest
    with the column as its path. `keep` returns the kept columns of some rows. `line` is the line of a row.
    """

    rows: int
    typed: Sequence[Column] | None
    check: Callable[[int], tuple[Tensor, ...]]
    keep: Callable[[Sequence[int]], list[pa.Array]]
    line: Callable[[int], int]
    unreadable: Sequence[Unreadable] = ()


def unreadable(line: int, reason: str) -> Chunk:
    """Return a chunk of one record that is no row."""
    return Chunk(0, None, _no_row, lambda _: [], _no_row, (Unreadable(line, reason),))


def _no_row(row: int) -> Any:  # noqa: ANN401 - it never returns
    raise IndexError(row)


def check_values(signature: Signature, names: Sequence[str], values: Sequence[object]) -> tuple[Tensor, ...]:
    """Return the inputs of a row of Python values, of which None and NaN are missing ones. Raise InvalidRequest."""
    if not signature.takes_features:
        instance = values[0] if len(values) == 1 else dict(zip(names, values, strict=True))
        return read_instance(signature, instance, "$")
    cells = [None if value != value else value for value in values]  # noqa: PLR0124 - NaN alone differs from itself
    return _check_row(signature, names, cells)


def check_cells(signature: Signature, names: Sequence[str], cells: Sequence[bytes]) -> tuple[Tensor, ...]:
    """Return the inputs of a row of CSV. Raise InvalidRequest. Spaces around a number count no more than to pyarrow."""
    order = range(len(names))
    values = []
    for index, (read, cell) in enumerate(zip(cell_readers(signature, order), cells, strict=True)):
        text = decode_cell(cell, names[index])
        is_text = (signature.matrix or signature.inputs[index]).datatype is BYTES
        values.append(read(text if is_text else text.strip(" \t")))
    return _check_row(signature, names, values)


def decode_cell(cell: bytes, name: str) -> str:
    """Return a cell's text. Raise InvalidRequest."""
    try:
        return cell.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"not UTF-8: {error.reason} at byte {error.start} of the cell", name) from None


def _check_row(signature: Signature, names: Sequence[str], values: Sequence[object]) -> tuple[Tensor, ...]:
    return read_table(signature, range(len(names)), [values], lambda _, column: names[column])


def check_document(signature: Signature, document: object) -> tuple[Tensor, ...]:
    """Return the inputs of a line of JSON: an instance as /predict takes it, which may have other fields too."""
    names = set(signature.feature_names or [tensor.name for tensor in signature.inputs])
    if isinstance(document, dict) and (signature.takes_features or len(signature.inputs) > 1):
        document = {name: value for name, value in document.items() if name in names}
    elif isinstance(document, dict) and document.keys() >= names:
        document = document[next(iter(names))]
    return read_instance(signature, document, "$")

"""CSV with a line of column names (RFC 4180); each cell has its column's datatype."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import StringIO

from pilotlight.codec.tables import column_order, read_table
from pilotlight.errors import InvalidRequest, UnsupportedMediaType
from pilotlight.model.json_document import describe
from pilotlight.model.signature import Input, Signature
from pilotlight.model.tensor import BOOL, BYTES, Datatype, Tensor, pack_floats

# JSON's numbers, and what data frames also write: a plus, a point at either end.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_PLAIN = "0123456789+-.eE,\r\n"
_PLAIN_BYTES = b"0123456789+-.eE,"
_MINUS_ZERO = re.compile(rb"(?:^|,)-0(?:,|$)")
_BOOLEANS = {"true": True, "false": False, "True": True, "False": False, "TRUE": True, "FALSE": False}


def read(signature: Signature, headers: Mapping[str, str], body: bytes) -> tuple[Tensor, ...]:
    """Return the model's inputs. A message names line and column, as a CSV body has no JSON path."""
    _check_parameters(headers["content-type"])
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    plain = _read_plain(signature, text)
    if plain is not None:
        return (plain,)
    columns, rows, lines = split(text)
    order = column_order(signature, columns, None)
    readers = cell_readers(signature, order)
    cells = [[reader(cell) for reader, cell in zip(readers, row, strict=True)] for row in rows]

    def place(row: int, column: int) -> str:
        return f"line {lines[row]}, column {describe(columns[column])}"

    try:
        return read_table(signature, order, cells, place)
    except InvalidRequest as error:
        raise InvalidRequest(f"{error.path}: {error.message}") from None


def _read_plain(signature: Signature, text: str) -> Tensor | None:
    """Read a matrix of plain numbers without a list of its cells; None for all else, which is looked at cell by cell.

    Among these characters `float` reads exactly what `_NUMBER` admits.
    """
    matrix = signature.matrix
    head, _, body = text.partition("\n")
    head = head.removesuffix("\r")
    if matrix is None or not head or '"' in head or "\r" in head or body.strip(_PLAIN):
        return None

    def numbers(line: str) -> Iterable[float]:
        cells = line.split(",")
        if len(cells) != len(order):
            raise ValueError("a cell too many or too few")
        return map(float, cells if is_ordered else map(cells.__getitem__, order))

    try:
        order = column_order(signature, head.split(","), None)
        is_ordered = order == sorted(order)
        packed = pack_floats(matrix.datatype, len(order), map(numbers, filter(None, body.splitlines())))
    except (InvalidRequest, ValueError):
        return None  # the closer look names the first fault
    width = len(order)
    return Tensor(matrix.datatype, (len(packed) // (width * matrix.datatype.size), width), packed) if packed else None


def read_line(signature: Signature, text: str) -> tuple[Tensor, ...]:
    """Return the inputs of one instance: a line without column names, with a cell for each feature in their order."""
    names = signature.feature_names
    order = column_order(signature, names, None)
    try:
        lines = [cells for cells in csv.reader(StringIO(text, newline=""), strict=True) if cells]
    except csv.Error as error:
        raise InvalidRequest(f"the line is not valid CSV: {error}") from None
    if len(lines) != 1:
        raise InvalidRequest(f"expected one line of CSV, found {len(lines)}")
    if len(lines[0]) != len(names):
        raise InvalidRequest(f"expected {len(names)} cells, found {len(lines[0])}")
    cells = [reader(cell) for reader, cell in zip(cell_readers(signature, order), lines[0], strict=True)]
    return read_table(signature, order, [cells], lambda _, column: f"column {describe(names[column])}")


def to_array(signature: Signature, line: bytes) -> bytes | None:
    """Return a line of plain floats as a JSON array, which parses five times as fast; None for all else.

    Of these characters JSON's numbers are a part of what `_NUMBER` admits, and the same but for an integer's -0.
    """
    matrix = signature.matrix
    line = line.removesuffix(b"\n").removesuffix(b"\r")
    if matrix is None or not matrix.datatype.is_float or line.translate(None, _PLAIN_BYTES):
        return None
    if b"-0" in line and _MINUS_ZERO.search(line):
        return None
    return b"[" + line + b"]"


def _check_parameters(content_type: str) -> None:
    for parameter in content_type.split(";")[1:]:
        name, _, value = (part.strip().lower() for part in parameter.partition("="))
        expected = {"charset": "utf-8", "header": "present"}.get(name)
        if expected is not None and value.strip('"') != expected:
            raise UnsupportedMediaType(f"found {name} {describe(value)} for text/csv, expected {expected}")


def split(text: str) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the names, the rows, and the line at which each row ends; skip empty lines. Raise InvalidRequest."""
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    columns: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if not row:
                continue
            if not columns:
                columns = row
            elif len(row) != len(columns):
                raise InvalidRequest(f"line {reader.line_num}: expected {len(columns)} cells, found {len(row)}")
            else:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise InvalidRequest(f"line {reader.line_num}: the body is not valid CSV: {error}") from None
    if not rows:
        raise InvalidRequest("expected a line of column names and at least one line of values")
    return columns, rows, lines


def cell_readers(signature: Signature, order: Sequence[int]) -> list[Callable[[str], object]]:
    """Return each column's conversion from a cell to a value."""
    if signature.matrix:
        return [_reader_of(signature.matrix)] * len(order)
    readers: list[Callable[[str], object]] = [str] * len(order)
    for tensor, column in zip(signature.inputs, order, strict=True):
        readers[column] = _reader_of(tensor)
    return readers


def _reader_of(tensor: Input) -> Callable[[str], object]:
    """Return the conversion from an input's cell to a value; where values may be missing, an empty cell is one."""
    read = _reader(tensor.datatype)
    return (lambda cell: read(cell) if cell else None) if tensor.missing else read


def _reader(datatype: Datatype) -> Callable[[str], object]:
    """Return the conversion from a cell to a value. An invalid cell stays a string, which `pack` refuses."""
    if datatype is BYTES:
        return str
    if datatype is BOOL:
        return lambda cell: _BOOLEANS.get(cell, cell)
    if datatype.is_float:
        return _number
    return lambda cell: int(cell) if _WHOLE.fullmatch(cell) else _number(cell)


def _number(cell: str) -> object:
    return float(cell) if _NUMBER.fullmatch(cell) else cell

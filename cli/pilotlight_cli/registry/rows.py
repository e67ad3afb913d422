"""Rows for a model from a file: CSV with a line of column names, a JSON array of instances, or a JSON record a line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from math import prod
from pathlib import Path

from pilotlight.codec import csv as csv_codec
from pilotlight.codec.decode import read_instance, read_instances
from pilotlight.errors import FormatError, InvalidRequest
from pilotlight.model.golden import Values
from pilotlight.model.json_document import Node, child, describe, first_duplicate, read_json
from pilotlight.model.signature import Output, Signature
from pilotlight.model.tensor import BOOL, BYTES, Datatype, Strings, Tensor, pack
from pilotlight_cli.registry.json_document import decode_text

_BOOLEANS = {"true": True, "false": False, "True": True, "False": False, "TRUE": True, "FALSE": False}


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a file.

    `batches` are inputs in the signature's order: one batch if the model accepts any size, else a batch a row.
    `others` are the columns that are no features, by name, as texts: what a file expects of outputs.
    """

    batches: tuple[tuple[Tensor, ...], ...]
    others: Mapping[str, tuple[str, ...]]


def read_rows(path: Path, signature: Signature) -> tuple[Tensor, ...]:
    """Return the rows in a file as one batch of the model's inputs. Raise FormatError.

    The signature must accept batches of any size. Columns of the model's outputs are left out.
    """
    try:
        rows = parse_rows(decode_text(path.read_bytes(), str(path)), signature)
        expected_outputs(rows.others, signature.outputs)
    except FormatError as error:
        raise error.within(str(path)) from None
    if len(rows.batches) != 1:
        raise FormatError(
            f"found {len(rows.batches)} rows, expected one: the model accepts one at a time", "", str(path)
        )
    return rows.batches[0]


def parse_rows(text: str, signature: Signature) -> Rows:
    """Read a text: JSON if it begins like an object or an array, otherwise CSV. Raise FormatError with the place."""
    text = text.removeprefix("\ufeff")
    try:
        if not _is_json_text(text):
            return _from_csv(text, signature)
        instances, places = _instances(text)
        kept, others = _without_others(instances, places, signature)
        return Rows(_batches(kept, places, signature), others)
    except InvalidRequest as error:
        raise FormatError(error.message, error.path or "") from None


def expected_outputs(others: Mapping[str, Sequence[str]], outputs: Sequence[Output]) -> tuple[Values, ...]:
    """Return the outputs that columns of a file expect, a value a row. Raise FormatError for any other column."""
    by_name = {output.name: output for output in outputs if output.shape in ((-1,), (-1, 1), (1,), (1, 1))}
    unknown = next((name for name in others if name not in by_name), None)
    if unknown is not None:
        known = f" or the output {' or '.join(map(describe, by_name))}" if by_name else ""
        raise FormatError(f"unknown column {describe(unknown)}, expected the model's features{known}", "")
    return tuple(_typed(cells, by_name[name]) for name, cells in others.items())


def column_types(text: str) -> dict[str | int, set[type]]:
    """Return the types of the values in each column of a text, without those that are missing.

    Columns go by name, and those of lists by position. It is empty for a text that is no table; `parse_rows` says what
    is wrong with it.
    """
    found: dict[str | int, set[type]] = {}
    try:
        rows = _records(text, _cell)
    except (FormatError, InvalidRequest):
        return {}
    for row in rows:
        columns = row if isinstance(row, dict) else dict(enumerate(row)) if isinstance(row, list) else {}
        for name, value in columns.items():
            found.setdefault(name, set()).update([] if value in (None, "") else [type(value)])
    return found


def read_records(path: Path) -> list[object]:
    """Return the rows of a file as they are, without a signature. Raise FormatError with the file's name.

    CSV has a text for each column's name; JSON has objects, lists or single values.
    """
    try:
        return _records(decode_text(path.read_bytes(), str(path)), str)
    except FormatError as error:
        raise error.within(str(path)) from None
    except InvalidRequest as error:
        raise FormatError(error.message, error.path or "", str(path)) from None


def _records(text: str, cell: Callable[[str], object]) -> list[object]:
    text = text.removeprefix("\ufeff")
    if _is_json_text(text):
        return _instances(text)[0]
    names, lines, _ = csv_codec.split(text)
    twice = first_duplicate(names)
    if twice is not None:
        raise FormatError(f"duplicate column {describe(twice)}", "")
    return [dict(zip(names, map(cell, line), strict=True)) for line in lines]


def _cell(text: str) -> object:
    """Return the value that a cell has by its text."""
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    try:
        return float(text)
    except ValueError:
        return text


def take(batch: Sequence[Tensor], start: int, stop: int) -> tuple[Tensor, ...]:
    """Return some rows of a batch."""
    return tuple(
        Tensor(tensor.datatype, (stop - start, *tensor.shape[1:]), _slice(tensor, start, stop)) for tensor in batch
    )


def _slice(tensor: Tensor, start: int, stop: int) -> bytes | Strings:
    width = prod(tensor.shape[1:])
    if isinstance(tensor.data, list):
        return tensor.data[start * width : stop * width]
    size = width * tensor.datatype.size
    return bytes(memoryview(tensor.data).cast("B")[start * size : stop * size])


def _from_csv(text: str, signature: Signature) -> Rows:
    features, others = _split_columns(text, signature)
    inputs = csv_codec.read(_of_any_batch(signature), {"content-type": "text/csv"}, features.encode())
    return Rows(_split_rows(inputs, signature), others)


def _split_columns(text: str, signature: Signature) -> tuple[str, dict[str, tuple[str, ...]]]:
    """Return the text with the features alone, each row on its line, and the other columns."""
    try:
        table = list(csv.reader(StringIO(text, newline=""), strict=True))
    except csv.Error:
        return text, {}  # the codec has the message
    rows = [row for row in table if row]
    names = rows[0] if rows else []
    others = [index for index, name in enumerate(names) if name not in signature.feature_names]
    if len(others) in (0, len(names)) or not signature.takes_features or any(len(row) != len(names) for row in rows):
        return text, {}
    if len({names[index] for index in others}) != len(others):
        raise FormatError(f"duplicate column among {', '.join(describe(names[index]) for index in others)}", "")
    out = StringIO()
    writer = csv.writer(out)
    for row in table:
        writer.writerow([cell for index, cell in enumerate(row) if index not in others])
    return out.getvalue(), {names[index]: tuple(row[index] for row in rows[1:]) for index in others}


def _instances(text: str) -> tuple[list[object], list[str]]:
    """Return the instances of a JSON text with the place of each."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(lines) > 1 and all(line.strip()[-1] in "}]" for _, line in lines) and _is_json(lines[0][1]):
        return [_read_line(number, line) for number, line in lines], [f"line {number}" for number, _ in lines]
    document, path = read_json(text.encode()), "$"
    if isinstance(document, dict) and "instances" in document:
        document, path = Node(document).fields("instances")["instances"].value, "$.instances"
    elif isinstance(document, dict):
        document = [document]  # the only line
    instances = list(Node(document, path).items(lambda item: item.value, at_least=1))
    return instances, [f"{path}[{index}]" for index in range(len(instances))]


def _is_json_text(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[")


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _read_line(number: int, line: str) -> object:
    try:
        return read_json(line.encode())
    except FormatError as error:
        raise FormatError(error.message, f"line {number}") from None


def _without_others(
    instances: Sequence[object], places: Sequence[str], signature: Signature
) -> tuple[list[object], dict[str, tuple[str, ...]]]:
    """Return records with the features alone, and the other fields, which every record must have."""
    first = instances[0]
    if not isinstance(first, dict) or not signature.takes_features:
        return list(instances), {}
    names = [name for name in first if name not in signature.feature_names]
    others: dict[str, list[str]] = {name: [] for name in names}
    kept: list[object] = []
    for instance, place in zip(instances, places, strict=True):
        if not isinstance(instance, dict):
            kept.append(instance)  # the codec takes a list
            missing = names[:1]
        else:
            kept.append({name: value for name, value in instance.items() if name not in others})
            missing = [name for name in names if name not in instance]
        if missing:
            raise FormatError(f"the field {describe(missing[0])} is missing, which {places[0]} has", place)
        for name in names:
            others[name].append(_text(instance[name], child(place, name)))  # type: ignore[index]
    return kept, {name: tuple(texts) for name, texts in others.items()}


def _text(value: object, path: str) -> str:
    if value is None or isinstance(value, (dict, list)):
        raise FormatError(f"expected a string, a number or a boolean, found {describe(value)}", path)
    return value if isinstance(value, str) else json.dumps(value)


def _batches(
    instances: Sequence[object], places: Sequence[str], signature: Signature
) -> tuple[tuple[Tensor, ...], ...]:
    if signature.batch is None:
        return tuple(
            read_instance(signature, instance, place) for instance, place in zip(instances, places, strict=True)
        )
    try:
        inputs = read_instances(_of_any_batch(signature), list(instances), "$")
    except InvalidRequest:
        for instance, place in zip(instances, places, strict=True):
            read_instance(signature, instance, place)  # raises the error with the place
        raise
    return _split_rows(inputs, signature)


def _split_rows(inputs: Sequence[Tensor], signature: Signature) -> tuple[tuple[Tensor, ...], ...]:
    if signature.batch == -1:
        return (tuple(inputs),)
    return tuple(take(inputs, row, row + 1) for row in range(inputs[0].shape[0]))


def _of_any_batch(signature: Signature) -> Signature:
    if signature.batch != 1:
        return signature
    return replace(
        signature, inputs=tuple(replace(tensor, shape=(-1, *tensor.shape[1:])) for tensor in signature.inputs)
    )


def _typed(cells: Sequence[str], output: Output) -> Values:
    """Return a column's texts as the output's values. Raise FormatError for a cell of another datatype."""
    values = [_value(cell, output.datatype) for cell in cells]
    try:
        tensor = Tensor(output.datatype, (len(cells),), pack(output.datatype, values, lambda row: f"row {row + 1}"))
    except InvalidRequest as error:
        raise FormatError(f"column {describe(output.name)}: {error.message}", error.path or "") from None
    return Values(output.name, output.datatype, (len(cells), *output.shape[1:]), tuple(tensor.values()))


def _value(cell: str, datatype: Datatype) -> object:
    """Convert a cell. One of another datatype stays a string, which `pack` refuses."""
    if datatype is BYTES:
        return cell
    if datatype is BOOL:
        return _BOOLEANS.get(cell, cell)
    try:
        return float(cell) if datatype.is_float else int(cell)
    except ValueError:
        return cell

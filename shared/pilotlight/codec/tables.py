"""Features as a table: named columns in any order, by column or by row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from pilotlight.codec.decode import check_names, pack_nested, read_instances
from pilotlight.errors import InvalidRequest
from pilotlight.model.json_document import child, describe
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import Tensor, pack

Rows: TypeAlias = Sequence[Sequence[Any]]
Place: TypeAlias = Callable[[int, int], str]
"""The path of a cell, by its row and column."""


def read_table(signature: Signature, order: Sequence[int], rows: Rows, place: Place) -> tuple[Tensor, ...]:
    """Return the inputs of a model of features. `order` has the column in `rows` of each feature."""
    width = len(order)
    matrix = signature.matrix
    if matrix is not None:
        cells = [row[column] for row in rows for column in order]

        def cell(index: int) -> str:
            return place(index // width, order[index % width])

        data = pack(matrix.datatype, cells, cell, missing=matrix.missing)
        return (Tensor(matrix.datatype, (len(rows), width), data),)
    tensors = []
    for tensor, column in zip(signature.inputs, order, strict=True):
        cells = [row[column] for row in rows]
        data = pack(
            tensor.datatype,
            cells,
            lambda row, column=column: place(row, column),  # type: ignore[misc]
            missing=tensor.missing,
        )
        tensors.append(Tensor(tensor.datatype, (len(rows), *tensor.shape[1:]), data))
    return tuple(tensors)


def column_order(signature: Signature, columns: Sequence[object], path: str | None) -> list[int]:
    """Return the position of each feature's column. Raise InvalidRequest for a missing or an unknown column."""
    if not signature.takes_features:
        raise InvalidRequest("this model has no named columns; send instances or inputs", path)
    names = signature.feature_names
    places: dict[object, int] = {}
    known = set(names)
    for index, name in enumerate(columns):
        if not isinstance(name, str):
            raise InvalidRequest(f"expected a column name, found {describe(name)}", path)
        if name in places:
            raise InvalidRequest(f"duplicate column {describe(name)}", path)
        if name not in known:
            raise InvalidRequest(f"unknown column {describe(name)}", path)
        places[name] = index
    missing = next((name for name in names if name not in places), None)
    if missing is not None:
        raise InvalidRequest(f"the column {describe(missing)} is missing", path)
    return [places[name] for name in names]


def read_inputs(signature: Signature, value: object, path: str) -> tuple[Tensor, ...]:
    """Read the field `inputs` of V1 and MLflow: the model's tensors with their batch dimension, or features by column.

    A single tensor may come without its name; several are an object by name.
    """
    if signature.takes_features:
        return _read_features(signature, value, path)
    names = [tensor.name for tensor in signature.inputs]
    if len(names) == 1 and not (isinstance(value, dict) and list(value) == names):
        value = {names[0]: value}
    if not isinstance(value, dict):
        raise InvalidRequest(f"expected an object with the inputs {', '.join(names)}, found {describe(value)}", path)
    check_names(names, value, "input", path)
    tensors = [pack_nested(one, one.shape, value[one.name], child(path, one.name)) for one in signature.inputs]
    if signature.batch is not None and len({tensor.shape[0] for tensor in tensors}) > 1:
        lengths = ", ".join(
            f"{one.name} {tensor.shape[0]}" for one, tensor in zip(signature.inputs, tensors, strict=True)
        )
        raise InvalidRequest(f"expected the same number of instances in each input, found {lengths}", path)
    return tuple(tensors)


def _read_features(signature: Signature, value: object, path: str) -> tuple[Tensor, ...]:
    matrix = signature.matrix
    if not isinstance(value, dict):
        return read_instances(signature, value, path)
    if matrix and list(value) == [matrix.name] and matrix.name not in signature.feature_names:
        return read_instances(signature, value[matrix.name], child(path, matrix.name))
    names = list(value)
    order = column_order(signature, names, path)
    columns = [_column(value[name], child(path, name)) for name in names]
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        odd = next(index for index, length in enumerate(lengths) if length != lengths[0])
        problem = f"expected {lengths[0]} values, as in {describe(names[0])}, found {lengths[odd]}"
        raise InvalidRequest(problem, child(path, names[odd]))
    if not lengths[0]:
        raise InvalidRequest("expected at least one instance, found empty columns", path)
    return read_table(
        signature, order, list(zip(*columns, strict=True)), lambda row, column: f"{child(path, names[column])}[{row}]"
    )


def _column(value: object, path: str) -> list[object]:
    """Return a column's values, each given by itself or as a row of one."""
    if not isinstance(value, list):
        raise InvalidRequest(f"expected an array of values, found {describe(value)}", path)
    return [item[0] if isinstance(item, list) and len(item) == 1 else item for item in value]

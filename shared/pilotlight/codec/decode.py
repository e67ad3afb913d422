"""From JSON values to tensors. Nothing is cast silently; an error names the place, what was expected and found.

Valid values are processed together, in a few steps of C; invalid ones are visited one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from math import prod
from operator import itemgetter
from typing import Any

from pilotlight.errors import InvalidRequest
from pilotlight.model.json_document import child, describe
from pilotlight.model.signature import Input, Signature
from pilotlight.model.tensor import Buffer, Strings, Tensor, pack, pack_rows

# The path of the i-th instance.
Row = Callable[[int], str]


def read_instances(signature: Signature, instances: object, path: str, within: str = "") -> tuple[Tensor, ...]:
    """Return the model's inputs for a batch: a list of instances. Raise InvalidRequest.

    An instance of a feature model is a list in the order of the features or an object by their names. Of a model of
    plain tensors it is the input without its batch dimension, nested; with several inputs, an object by their names.
    In the document it is `within` an item of the list.
    """
    if not isinstance(instances, list):
        raise InvalidRequest(f"expected an array of instances, found {describe(instances)}", path)
    if not instances:
        raise InvalidRequest("expected at least one instance, found an empty array", path)
    if signature.batch is None:
        raise InvalidRequest("this model has no batch dimension; send one instance to /predict", path)
    if signature.batch == 1 and len(instances) != 1:
        raise InvalidRequest(f"this model accepts one instance at a time, found {len(instances)}", path)
    return _read_rows(signature, instances, lambda index: f"{path}[{index}]{within}")


def read_instance(signature: Signature, instance: object, path: str) -> tuple[Tensor, ...]:
    """Return the model's inputs for one instance, as a batch of one if the model has a batch dimension."""
    if signature.batch is None:
        return tuple(
            pack_nested(tensor, tensor.shape, value, place)
            for tensor, value, place in _by_input(signature, instance, path)
        )
    return _read_rows(signature, [instance], lambda _: path)


def _read_rows(signature: Signature, instances: list[Any], row: Row) -> tuple[Tensor, ...]:
    if signature.takes_features:
        return _read_features(signature, instances, row)
    if len(signature.inputs) == 1:
        return (_stack(signature.inputs[0], instances, row),)
    items = [_by_input(signature, item, row(index)) for index, item in enumerate(instances)]
    return tuple(
        _stack(column[0][0], [item for _, item, _ in column], lambda index, column=column: column[index][2])  # type: ignore[misc]
        for column in zip(*items, strict=True)
    )


def _by_input(signature: Signature, value: object, path: str) -> list[tuple[Input, object, str]]:
    """Pair each input with its value and place; a single input's value has no name."""
    if len(signature.inputs) == 1:
        return [(signature.inputs[0], value, path)]
    names = [tensor.name for tensor in signature.inputs]
    if not isinstance(value, dict):
        raise InvalidRequest(f"expected an object with the inputs {', '.join(names)}, found {describe(value)}", path)
    check_names(names, value, "input", path)
    return [(tensor, value[tensor.name], child(path, tensor.name)) for tensor in signature.inputs]


def check_names(expected: Sequence[str], found: dict[str, object], noun: str, path: str) -> None:
    """Raise InvalidRequest for the first unknown or missing name of an object."""
    known = set(expected)  # a model may have thousands of names
    if found.keys() == known:
        return
    unknown = next((name for name in found if name not in known), None)
    if unknown is not None:
        raise InvalidRequest(f"unknown {noun} {describe(unknown)}", path)
    missing = next(name for name in expected if name not in found)
    raise InvalidRequest(f"the {noun} {describe(missing)} is missing", path)


def _read_features(signature: Signature, instances: list[Any], row: Row) -> tuple[Tensor, ...]:
    matrix, width = signature.matrix, signature.width
    packed = pack_rows(matrix.datatype, width, instances) if matrix else None
    if matrix and packed is not None:
        return (Tensor(matrix.datatype, (len(instances), width), packed),)
    rows = instances if _are_all(list, width, instances) else _rows(signature, instances, row)

    def place(index: int, column: int) -> str:
        instance = instances[index]
        if isinstance(instance, dict):
            return child(row(index), signature.feature_names[column])
        return f"{row(index)}[{column}]" if isinstance(instance, list) else row(index)

    if matrix:
        values = list(chain.from_iterable(rows))
        data = pack(matrix.datatype, values, lambda index: place(*divmod(index, width)), missing=matrix.missing)
        return (Tensor(matrix.datatype, (len(rows), width), data),)
    return tuple(
        Tensor(
            tensor.datatype,
            (len(rows), *tensor.shape[1:]),
            pack(
                tensor.datatype,
                list(column),
                lambda index, number=number: place(index, number),  # type: ignore[misc]
                missing=tensor.missing,
            ),
        )
        for number, (tensor, column) in enumerate(zip(signature.inputs, zip(*rows, strict=True), strict=True))
    )


def _rows(signature: Signature, instances: list[Any], row: Row) -> Sequence[Sequence[object]]:
    """Return the values of each instance, in the order of the features; not all instances are lists."""
    names = signature.feature_names
    if len(names) > 1 and _are_all(dict, len(names), instances):
        with suppress(KeyError):  # the loop names the missing one
            return list(map(itemgetter(*names), instances))
    if signature.is_text:
        missing = signature.inputs[0].missing
        instances = [[item] if isinstance(item, str) or (item is None and missing) else item for item in instances]
    return [_feature_row(names, instance, row(index)) for index, instance in enumerate(instances)]


def _are_all(kind: type, length: int, items: list[Any]) -> bool:
    return set(map(type, items)) == {kind} and set(map(len, items)) == {length}


def _feature_row(names: tuple[str, ...], instance: object, path: str) -> list[object]:
    if isinstance(instance, list):
        if len(instance) != len(names):
            raise InvalidRequest(f"expected {len(names)} features, found {len(instance)}", path)
        return instance
    if isinstance(instance, dict):
        check_names(names, instance, "feature", path)
        return [instance[name] for name in names]
    features = f"{len(names)} features" if len(names) > 1 else f"the feature {describe(names[0])}"
    raise InvalidRequest(f"expected {features} as an array or as an object by name, found {describe(instance)}", path)


def _stack(tensor: Input, items: list[Any], row: Row) -> Tensor:
    """Stack nested values, all of one shape, into a batch."""
    shape, data = _pack_items(tensor, tensor.shape[1:], items, row)
    return Tensor(tensor.datatype, (len(items), *shape), data)


def pack_nested(tensor: Input, shape: Sequence[int], value: object, path: str) -> Tensor:
    """Make an input's tensor from nested arrays of a shape in which -1 means any length."""
    dimensions, data = _pack_items(tensor, shape, [value], lambda _: path)
    return Tensor(tensor.datatype, tuple(dimensions), data)


def _pack_items(
    tensor: Input, shape: Sequence[int], items: list[Any], row: Row
) -> tuple[Sequence[int], Buffer | Strings]:
    """Pack items that are all nested in one shape; return the lengths found and the packed values."""
    dimensions, flat = _unnest(shape, items) or _flatten_each(shape, items, row)
    size = prod(dimensions) or 1

    def place(index: int) -> str:
        item, offset = divmod(index, size)
        return f"{row(item)}{_subscripts(offset, dimensions)}"

    try:
        return dimensions, pack(tensor.datatype, flat, place, missing=tensor.missing)
    except InvalidRequest:
        _flatten_each(shape, items, row)  # an array instead of a value is the better error
        raise


def _unnest(shape: Sequence[int], items: list[Any]) -> tuple[list[int], list[object]] | None:
    """Flatten items that are all nested alike; return the lengths and the values, which are not checked yet.

    None if they are not nested as the shape says, or if an array is empty and hides the lengths below it.
    """
    dimensions: list[int] = []
    for expected in shape:
        length = len(items[0]) if type(items[0]) is list else 0
        if length == 0 or expected not in (-1, length) or not _are_all(list, length, items):
            return None
        dimensions.append(length)
        items = list(chain.from_iterable(items))
    return dimensions, items


def _flatten_each(shape: Sequence[int], items: list[Any], row: Row) -> tuple[list[int], list[object]]:
    """Flatten as `_unnest` does, value by value. Raise InvalidRequest for an item that does not have the shape."""
    flat: list[object] = []
    dimensions: list[int] | None = None
    for index, item in enumerate(items):
        dimensions = _flatten(item, dimensions or list(shape), flat, row(index))
    return dimensions or [], flat


def _flatten(value: object, shape: list[int], flat: list[object], path: str) -> list[int]:
    """Append the values of nested arrays to `flat`; return the shape found."""
    if not shape:
        if isinstance(value, (list, dict)):
            raise InvalidRequest(f"expected a value, found {describe(value)}", path)
        flat.append(value)
        return []
    if not isinstance(value, list):
        raise InvalidRequest(f"expected an array of shape {_show(shape)}, found {describe(value)}", path)
    if shape[0] not in (-1, len(value)):
        raise InvalidRequest(f"expected {shape[0]} items, found {len(value)}", path)
    if len(shape) == 1:
        for index, item in enumerate(value):
            if isinstance(item, (list, dict)):
                raise InvalidRequest(f"expected a value, found {describe(item)}", f"{path}[{index}]")
        flat.extend(value)
        return [len(value)]
    inner = shape[1:]
    for index, item in enumerate(value):
        inner = _flatten(item, inner, flat, f"{path}[{index}]")
    return [len(value), *(max(length, 0) for length in inner)]


def _show(shape: Sequence[int]) -> str:
    return "[" + ", ".join("any" if length == -1 else str(length) for length in shape) + "]"


def _subscripts(index: int, shape: Sequence[int]) -> str:
    text = ""
    for length in reversed(shape):
        index, position = divmod(index, length)
        text = f"[{position}]{text}"
    return text

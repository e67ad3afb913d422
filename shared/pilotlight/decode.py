"""From JSON values to tensors. Nothing is cast silently; a refusal names the place, what was found, what was due."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Sequence
from math import inf, prod

from pilotlight.errors import InvalidRequest
from pilotlight.reader import child, describe
from pilotlight.signature import Input, Signature
from pilotlight.tensor import BOOL, BYTES, Buffer, Datatype, Tensor

Place = Callable[[int], str]


def read_instances(signature: Signature, instances: object, path: str) -> tuple[Tensor, ...]:
    """The model's inputs for a batch: a list with one instance each.

    An instance of a feature model is a list in the order of the features or an object by their names. Of a model of
    plain tensors it is the input without its batch dimension, nested; with several inputs, an object by their names.
    """
    if not isinstance(instances, list):
        raise InvalidRequest(f"expected an array of instances, found {describe(instances)}", path)
    if not instances:
        raise InvalidRequest("expected at least one instance, found an empty array", path)
    if signature.batch is None:
        raise InvalidRequest("this model has no batch dimension; send one instance to /predict", path)
    if signature.batch == 1 and len(instances) != 1:
        raise InvalidRequest(f"this model takes one instance at a time, found {len(instances)}", path)
    return _read_rows(signature, instances, [f"{path}[{index}]" for index in range(len(instances))])


def read_instance(signature: Signature, instance: object, path: str) -> tuple[Tensor, ...]:
    """The model's inputs for one instance; where the model has a batch dimension, a batch of one."""
    if signature.batch is None:
        return tuple(
            pack_nested(tensor.datatype, tensor.shape, value, place)
            for tensor, value, place in _by_input(signature, instance, path)
        )
    return _read_rows(signature, [instance], [path])


def _read_rows(signature: Signature, instances: list[object], places: list[str]) -> tuple[Tensor, ...]:
    if signature.takes_features:
        return _read_features(signature, instances, places)
    if len(signature.inputs) == 1:
        return (_stack(signature.inputs[0], instances, places),)
    columns = list(
        zip(*(_by_input(signature, item, place) for item, place in zip(instances, places, strict=True)), strict=True)
    )
    return tuple(_stack(column[0][0], [item[1] for item in column], [item[2] for item in column]) for column in columns)


def _by_input(signature: Signature, value: object, path: str) -> list[tuple[Input, object, str]]:
    """Each input with its value and place; a single input's value stands for itself."""
    if len(signature.inputs) == 1:
        return [(signature.inputs[0], value, path)]
    names = [tensor.name for tensor in signature.inputs]
    if not isinstance(value, dict):
        raise InvalidRequest(f"expected an object with the inputs {', '.join(names)}, found {describe(value)}", path)
    _check_names(names, value, "input", path)
    return [(tensor, value[tensor.name], child(path, tensor.name)) for tensor in signature.inputs]


def _check_names(expected: Sequence[str], found: dict[str, object], noun: str, path: str) -> None:
    if found.keys() == set(expected):
        return
    for name in found:
        if name not in expected:
            raise InvalidRequest(f"unknown {noun} {describe(name)}", path)
    missing = next(name for name in expected if name not in found)
    raise InvalidRequest(f"the {noun} {describe(missing)} is missing", path)


def _read_features(signature: Signature, instances: list[object], places: list[str]) -> tuple[Tensor, ...]:
    names = signature.feature_names
    by_name: set[int] = set()
    rows = [
        _feature_row(names, instance, place, by_name, index)
        for index, (instance, place) in enumerate(zip(instances, places, strict=True))
    ]

    def place(row: int, column: int) -> str:
        return child(places[row], names[column]) if row in by_name else f"{places[row]}[{column}]"

    width = len(names)
    if len(signature.inputs) == 1 and signature.inputs[0].feature_names:
        tensor = signature.inputs[0]
        flat = [value for row in rows for value in row]
        data = pack(tensor.datatype, flat, lambda index: place(*divmod(index, width)))
        return (Tensor(tensor.datatype, (len(rows), width), data),)
    return tuple(
        Tensor(
            tensor.datatype,
            (len(rows), *tensor.shape[1:]),
            pack(tensor.datatype, [row[column] for row in rows], lambda row, column=column: place(row, column)),  # type: ignore[misc]
        )
        for column, tensor in enumerate(signature.inputs)
    )


def _feature_row(names: tuple[str, ...], instance: object, path: str, by_name: set[int], index: int) -> list[object]:
    if isinstance(instance, list):
        if len(instance) != len(names):
            raise InvalidRequest(f"expected {len(names)} features, found {len(instance)}", path)
        return instance
    if isinstance(instance, dict):
        _check_names(names, instance, "feature", path)
        by_name.add(index)
        return [instance[name] for name in names]
    raise InvalidRequest(
        f"expected {len(names)} features as an array or as an object by name, found {describe(instance)}", path
    )


def _stack(tensor: Input, items: Sequence[object], places: Sequence[str]) -> Tensor:
    """A batch of nested values, all of one shape."""
    flat: list[object] = []
    starts: list[int] = []
    shape: list[int] | None = None
    for item, path in zip(items, places, strict=True):
        starts.append(len(flat))
        dimensions = _flatten(item, shape or list(tensor.shape[1:]), flat, path)
        shape = dimensions
    shape = shape or []
    size = prod(shape) or 1

    def place(index: int) -> str:
        row, offset = divmod(index, size)
        return f"{places[row]}{_subscripts(offset, shape)}"

    return Tensor(tensor.datatype, (len(items), *shape), pack(tensor.datatype, flat, place))


def pack_nested(datatype: Datatype, shape: Sequence[int], value: object, path: str) -> Tensor:
    """A tensor from nested arrays of a shape in which -1 stands for any length."""
    flat: list[object] = []
    dimensions = _flatten(value, list(shape), flat, path)
    data = pack(datatype, flat, lambda index: f"{path}{_subscripts(index, dimensions)}")
    return Tensor(datatype, tuple(dimensions), data)


def _flatten(value: object, shape: list[int], flat: list[object], path: str) -> list[int]:
    """Append the values of nested arrays to `flat`; the shape that they turned out to have."""
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


def pack(datatype: Datatype, values: list[object], place: Place) -> Buffer | list[str]:
    """The buffer that holds `values`, each exactly as `datatype` holds it or refused; `place` names the i-th's place.

    Numbers for floats are rounded to nearest, ties to even, from the double that JSON numbers are read as.
    """
    kinds = set(map(type, values))
    if datatype is BYTES:
        return _pack_strings(values, kinds, place)
    if datatype is BOOL:
        if not kinds <= {bool}:
            raise _refusal(values, place, "true or false", lambda value: isinstance(value, bool))
        return bytes(values)  # type: ignore[arg-type]
    if datatype.is_float:
        return _pack_floats(datatype, values, kinds, place)
    if not kinds <= {int} or (values and not datatype.low <= min(values) <= max(values) <= datatype.high):  # type: ignore[type-var, operator]
        expected = f"a whole number from {datatype.low} to {datatype.high} ({datatype.name})"
        raise _refusal(
            values, place, expected, lambda value: type(value) is int and datatype.low <= value <= datatype.high
        )
    return array(datatype.typecode, values)  # type: ignore[type-var, return-value]


def _pack_strings(values: list[object], kinds: set[type], place: Place) -> list[str]:
    if not kinds <= {str}:
        raise _refusal(values, place, "a string", lambda value: isinstance(value, str))
    try:
        "".join(values).encode("utf-8")  # type: ignore[arg-type]
    except UnicodeEncodeError:
        raise _refusal(values, place, "a string of whole Unicode characters", _is_unicode) from None
    return values  # type: ignore[return-value]


def _is_unicode(value: object) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in str(value))


def _pack_floats(datatype: Datatype, values: list[object], kinds: set[type], place: Place) -> Buffer:
    if not kinds <= {float, int}:
        raise _refusal(values, place, f"a number ({datatype.name})", lambda value: type(value) in (float, int))
    packed = _floats(datatype, values)
    if packed is None:
        expected = f"a number that {datatype.name} holds"
        raise _refusal(values, place, expected, lambda value: _floats(datatype, [value]) is not None)
    return packed


def _floats(datatype: Datatype, values: list[object]) -> Buffer | None:
    """The rounded numbers, or None where one of them overflows."""
    try:
        if datatype.typecode == "e":  # `array` has no half floats
            return struct.pack(f"{len(values)}e", *values)
        packed: array[float] = array(datatype.typecode, values)  # type: ignore[arg-type]
    except (OverflowError, struct.error):
        return None
    return None if inf in packed or -inf in packed else packed


def _refusal(values: list[object], place: Place, expected: str, good: Callable[[object], bool]) -> InvalidRequest:
    """The error for the first value that is not good."""
    index = next(index for index, value in enumerate(values) if not good(value))
    return InvalidRequest(f"expected {expected}, found {describe(values[index])}", place(index))

"""The inputs of a V2 request: tensors in JSON or as bytes, in any order, or a matrix of features by column."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import prod
from typing import Any

from pilotlight.codec.decode import pack_nested
from pilotlight.errors import InvalidRequest
from pilotlight.frozen import replace
from pilotlight.model.json_document import describe
from pilotlight.model.signature import Input, Signature
from pilotlight.model.tensor import Datatype, Tensor, pack
from pilotlight.protocols.v2.binary import Data
from pilotlight.protocols.v2.fields import by_name, parameters

# The limit of the product of the lengths beside a 0. No data limits the shape of an empty tensor, and libraries
# multiply lengths in 64 bits or less. The body limits other shapes to far less.
_MAX_PRODUCT = 2**31 - 1


def read_inputs(signature: Signature, entries: object, data: Data) -> tuple[Tensor, ...]:
    """Return the model's inputs, in the order of its signature. Raise InvalidRequest."""
    named = by_name(entries, "$.inputs", ("name", "shape", "datatype"), ("parameters", "data"))
    expected = _expected(signature, named)
    for name, (_, path) in named.items():
        if name not in expected:
            known = ", ".join(describe(name) for name in list(expected)[:10])
            raise InvalidRequest(f"unknown input {describe(name)}, expected {known}", f"{path}.name")
    missing = next((name for name in expected if name not in named), None)
    if missing is not None:
        raise InvalidRequest(f"the input {describe(missing)} is missing", "$.inputs")
    tensors = {name: _read_input(expected[name], entry, data, path) for name, (entry, path) in named.items()}
    data.check_end()
    if not signature.takes_features:
        return tuple(tensors[tensor.name] for tensor in signature.inputs)
    _check_rows(tensors, {name: path for name, (_, path) in named.items()})
    if signature.inputs[0].name in tensors and signature.inputs[0].feature_names:
        return (tensors[signature.inputs[0].name],)
    if signature.inputs[0].feature_names:
        return (_side_by_side(signature.inputs[0], tensors),)
    return tuple(
        replace(tensors[tensor.name], shape=(tensors[tensor.name].shape[0], *tensor.shape[1:]))
        for tensor in signature.inputs
    )


def _expected(signature: Signature, named: Collection[str]) -> dict[str, Input]:
    """Return the possible inputs of a request: the signature's, or a column for each feature of a matrix."""
    matrix = signature.inputs[0]
    if not matrix.feature_names or matrix.name in named or not set(named) & set(matrix.feature_names):
        return {tensor.name: tensor for tensor in signature.inputs}
    return {name: Input(name, matrix.datatype, (matrix.shape[0], 1), "features") for name in matrix.feature_names}


def _read_input(tensor: Input, entry: Mapping[str, Any], data: Data, path: str) -> Tensor:
    datatype = entry["datatype"]
    if datatype != tensor.datatype.name:
        known = f"expected {describe(tensor.datatype.name)} for {describe(tensor.name)}"
        raise InvalidRequest(f"{known}, found {describe(datatype)}", f"{path}.datatype")
    shape = _read_shape(tensor, entry["shape"], f"{path}.shape")
    given = parameters(entry, path)
    if "shared_memory_region" in given:
        raise InvalidRequest("shared memory is not supported", f"{path}.parameters.shared_memory_region")
    if "binary_data_size" in given:
        if entry.get("data") is not None:  # KServe's client sends null for an empty tensor
            raise InvalidRequest("found both data and binary_data_size, expected one of them", path)
        return data.read(tensor.datatype, shape, given["binary_data_size"], path)
    if "data" not in entry:
        raise InvalidRequest('the field "data" is missing', path)
    if tensor.datatype.is_binary_only:
        raise InvalidRequest(f"{tensor.datatype.name} has no JSON form; send it as binary data", f"{path}.data")
    return _read_data(tensor.datatype, shape, entry["data"], f"{path}.data")


def _read_shape(tensor: Input, value: object, path: str) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise InvalidRequest(f"expected an array of lengths, found {describe(value)}", path)
    for index, length in enumerate(value):
        if type(length) is not int or length < 0:
            raise InvalidRequest(f"expected a whole number of at least 0, found {describe(length)}", f"{path}[{index}]")
    is_column = tensor.role == "features" and not tensor.feature_names
    expected = [tensor.shape, tensor.shape[:1]] if is_column else [tensor.shape]
    if is_column and len(tensor.shape) == 1:
        expected.append((*tensor.shape, 1))
    if not any(_fits(shape, value) for shape in expected):
        shown = " or ".join(str([("any" if length == -1 else length) for length in shape]) for shape in expected)
        raise InvalidRequest(f"expected the shape {shown.replace(chr(39), '')}, found {_show(value)}", path)
    if 0 in value and prod(filter(None, value)) > _MAX_PRODUCT:
        raise InvalidRequest(
            f"expected lengths whose product is at most {_MAX_PRODUCT} without zeros, found {_show(value)}", path
        )
    return tuple(value)


def _fits(expected: tuple[int, ...], found: list[int]) -> bool:
    return len(expected) == len(found) and all(a in (-1, b) for a, b in zip(expected, found, strict=True))


def _show(lengths: list[int]) -> str:
    return str(lengths) if len(lengths) <= 8 else f"{len(lengths)} dimensions"


def _read_data(datatype: Datatype, shape: tuple[int, ...], value: object, path: str) -> Tensor:
    """Make a tensor from nested arrays of its shape, or from one flat array in row-major order."""
    if not isinstance(value, list):
        raise InvalidRequest(f"expected an array of values, found {describe(value)}", path)
    if len(shape) > 1 and value and isinstance(value[0], list):
        return pack_nested(datatype, shape, value, path)
    if len(value) != prod(shape):
        raise InvalidRequest(
            f"expected {prod(shape)} values for the shape {_show(list(shape))}, found {len(value)}", path
        )
    return Tensor(datatype, shape, pack(datatype, value, lambda index: f"{path}[{index}]"))


def _check_rows(tensors: Mapping[str, Tensor], paths: Mapping[str, str]) -> None:
    first = next(iter(tensors))
    rows = tensors[first].shape[0]
    if rows == 0:
        raise InvalidRequest("expected at least one row, found none", f"{paths[first]}.shape")
    for name, tensor in tensors.items():
        if tensor.shape[0] != rows:
            problem = f"expected {rows} rows, as in {describe(first)}, found {tensor.shape[0]}"
            raise InvalidRequest(problem, f"{paths[name]}.shape")


def _side_by_side(matrix: Input, columns: Mapping[str, Tensor]) -> Tensor:
    """Join columns to a matrix of the same datatype."""
    width = len(matrix.feature_names)
    rows = columns[matrix.feature_names[0]].shape[0]
    if matrix.datatype.size == 0:
        by_row = zip(*(columns[name].values() for name in matrix.feature_names), strict=True)
        return Tensor(matrix.datatype, (rows, width), [text for row in by_row for text in row])
    # Only the size of the numbers matters here.
    code = {1: "B", 2: "H", 4: "I", 8: "Q"}[matrix.datatype.size]
    content = bytearray(rows * width * matrix.datatype.size)
    cells = memoryview(content).cast(code)  # type: ignore[call-overload]
    for index, name in enumerate(matrix.feature_names):
        cells[index::width] = memoryview(columns[name].data).cast("B").cast(code)  # type: ignore[arg-type, call-overload]
    return Tensor(matrix.datatype, (rows, width), content)

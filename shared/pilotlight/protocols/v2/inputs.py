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
from pilotlight.model.tensor import DATATYPES, Datatype, Place, Tensor, pack
from pilotlight.protocols.v2.binary import BY_REFERENCE, BYTE_FORMS, Data
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
    if signature.matrix:
        name = signature.matrix.name
        return (tensors[name] if name in expected else _side_by_side(signature, tensors),)
    return tuple(
        replace(tensors[tensor.name], shape=(tensors[tensor.name].shape[0], *tensor.shape[1:]))
        for tensor in signature.inputs
    )


def _expected(signature: Signature, named: Collection[str]) -> dict[str, Input]:
    """Return the possible inputs of a request: the signature's, or a column for each feature of a matrix."""
    matrix = signature.matrix
    if matrix is None or matrix.name in named or not set(named) & set(signature.feature_names):
        return {tensor.name: tensor for tensor in signature.inputs}
    column = replace(matrix, shape=(matrix.shape[0], 1), feature_names=())
    return {name: replace(column, name=name) for name in signature.feature_names}


def _read_input(tensor: Input, entry: Mapping[str, Any], data: Data, path: str) -> Tensor:
    sent = _read_datatype(tensor, entry["datatype"], f"{path}.datatype")
    shape = _read_shape(tensor, entry["shape"], f"{path}.shape")
    given = parameters(entry, path)
    if "shared_memory_region" in given:
        raise InvalidRequest("shared memory is not supported", f"{path}.parameters.shared_memory_region")
    forms = [name for name in BYTE_FORMS if name in given]
    if forms and entry.get("data") is not None:  # KServe's client sends null for an empty tensor
        forms.insert(0, "data")
    if len(forms) > 1:
        raise InvalidRequest(f"found both {' and '.join(forms)}, expected one of them", path)
    if BY_REFERENCE in given:
        if sent is not tensor.datatype:  # what is large is not converted
            raise InvalidRequest(f"expected {tensor.datatype.name} by reference, found {sent.name}", f"{path}.datatype")
        return data.fetch(sent, shape, given[BY_REFERENCE], path)
    if forms:
        read = data.read(sent, shape, given["binary_data_size"], path)
        return _exact(read, tensor.datatype, lambda _: path)
    if "data" not in entry:
        raise InvalidRequest('the field "data" is missing', path)
    if sent.is_binary_only:
        raise InvalidRequest(f"{sent.name} has no JSON form; send it as binary data", f"{path}.data")
    read = _read_data(replace(tensor, datatype=sent), shape, entry["data"], f"{path}.data")
    is_flat = len(entry["data"]) == read.count
    return _exact(read, tensor.datatype, lambda index: f"{path}.data[{index}]" if is_flat else f"{path}.data")


def _read_datatype(tensor: Input, name: object, path: str) -> Datatype:
    """Return the datatype of the values that a request has: the input's, or for a number another one of numbers."""
    if name == tensor.datatype.name:
        return tensor.datatype
    sent = DATATYPES.get(name) if isinstance(name, str) else None
    if sent and _is_number(sent) and _is_number(tensor.datatype):
        return sent
    known = f"expected {describe(tensor.datatype.name)} for {describe(tensor.name)}"
    raise InvalidRequest(f"{known}, found {describe(name)}", path)


def _is_number(datatype: Datatype) -> bool:
    return datatype.is_float or datatype.is_integer


def _exact(tensor: Tensor, datatype: Datatype, place: Place) -> Tensor:
    """Return a tensor in the input's datatype. Raise InvalidRequest for a value that it does not hold exactly."""
    if tensor.datatype is datatype:
        return tensor
    from pilotlight.codec.exact import convert  # noqa: PLC0415 - most clients send the input's own datatype

    return convert(tensor, datatype, place)


def _read_shape(tensor: Input, value: object, path: str) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise InvalidRequest(f"expected an array of lengths, found {describe(value)}", path)
    for index, length in enumerate(value):
        if type(length) is not int or length < 0:
            raise InvalidRequest(f"expected a whole number of at least 0, found {describe(length)}", f"{path}[{index}]")
    is_column = tensor.role == "features" and not tensor.feature_names and tensor.shape[1:] in ((), (1,))
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


def _read_data(tensor: Input, shape: tuple[int, ...], value: object, path: str) -> Tensor:
    """Make a tensor from nested arrays of its shape, or from one flat array in row-major order."""
    if not isinstance(value, list):
        raise InvalidRequest(f"expected an array of values, found {describe(value)}", path)
    if len(shape) > 1 and value and isinstance(value[0], list):
        return pack_nested(tensor, shape, value, path)
    if len(value) != prod(shape):
        raise InvalidRequest(
            f"expected {prod(shape)} values for the shape {_show(list(shape))}, found {len(value)}", path
        )
    data = pack(tensor.datatype, value, lambda index: f"{path}[{index}]", missing=tensor.missing)
    return Tensor(tensor.datatype, shape, data)


def _check_rows(tensors: Mapping[str, Tensor], paths: Mapping[str, str]) -> None:
    first = next(iter(tensors))
    rows = tensors[first].shape[0]
    if rows == 0:
        raise InvalidRequest("expected at least one row, found none", f"{paths[first]}.shape")
    for name, tensor in tensors.items():
        if tensor.shape[0] != rows:
            problem = f"expected {rows} rows, as in {describe(first)}, found {tensor.shape[0]}"
            raise InvalidRequest(problem, f"{paths[name]}.shape")


def _side_by_side(signature: Signature, columns: Mapping[str, Tensor]) -> Tensor:
    """Join columns to a matrix of the same datatype."""
    datatype, width = signature.inputs[0].datatype, signature.width
    ordered = [columns[name] for name in signature.feature_names]
    rows = ordered[0].shape[0]
    if datatype.size == 0:
        by_row = zip(*(column.values() for column in ordered), strict=True)
        return Tensor(datatype, (rows, width), [text for row in by_row for text in row])
    # Only the size of the numbers matters here.
    code = {1: "B", 2: "H", 4: "I", 8: "Q"}[datatype.size]
    content = bytearray(rows * width * datatype.size)
    cells = memoryview(content).cast(code)  # type: ignore[call-overload]
    for index, column in enumerate(ordered):
        cells[index::width] = memoryview(column.data).cast("B").cast(code)  # type: ignore[arg-type, call-overload]
    return Tensor(datatype, (rows, width), content)

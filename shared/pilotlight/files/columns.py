"""The columns of a file: which are the features, which are kept, and whether their types suit the model."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence

import pyarrow as pa

from pilotlight.errors import FormatError
from pilotlight.frozen import dataclass
from pilotlight.model.json_document import describe, first_duplicate
from pilotlight.model.signature import Input, Signature
from pilotlight.model.tensor import BOOL, BYTES, DATATYPES, Datatype

_ARROW = {
    "BOOL": pa.bool_(),
    "BYTES": pa.string(),
    "FP16": pa.float64(),
    "BF16": pa.float64(),
    "FP32": pa.float64(),
    "FP64": pa.float64(),
}


@dataclass(frozen=True, slots=True)
class Columns:
    """The file's names of the model's features or inputs, in the model's order, and of the kept columns."""

    inputs: tuple[str, ...]
    keep: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """All of them, each once."""
        return list(dict.fromkeys((*self.inputs, *self.keep)))


def input_names(signature: Signature) -> tuple[str, ...]:
    """Return the names of the columns that a model takes: its features, or its inputs if they are plain tensors."""
    return signature.feature_names or tuple(tensor.name for tensor in signature.inputs)


def find_columns(signature: Signature, names: Sequence[str], keep: Sequence[str], place: str) -> Columns:
    """Return the columns of a file with these names. Raise FormatError for `place`.

    A model whose features have no names takes the columns in their order, if the file has none of f0, f1 and so on.
    """
    doubled = first_duplicate(names)
    if doubled is not None:
        raise FormatError(f"duplicate column {describe(doubled)}", place)
    wanted = input_names(signature)
    others = tuple(name for name in names if name not in keep)
    matrix = signature.matrix
    if matrix and not matrix.feature_names and not set(wanted) & set(names) and len(others) == len(wanted):
        wanted = others
    known = set(names)
    missing = next((name for name in (*wanted, *keep) if name not in known), None)
    if missing is not None:
        raise FormatError(f"the column {describe(missing)} is missing; found {_listed(names)}", place)
    return Columns(wanted, tuple(keep))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(describe, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def arrow_type(datatype: Datatype) -> pa.DataType:
    """Return the type as which a value of text is read: a double for a float, which is rounded once to its own."""
    return _ARROW.get(datatype.name) or pa.from_numpy_dtype(datatype.numpy)


def text_types(signature: Signature, columns: Columns) -> dict[str, pa.DataType]:
    """Return the type as which each feature of text is read; an input of a plain tensor is a list of lists."""
    if signature.matrix:
        return dict.fromkeys(columns.inputs, arrow_type(signature.matrix.datatype))
    return {name: _nested(tensor, signature) for name, tensor in zip(columns.inputs, signature.inputs, strict=True)}


def _nested(tensor: Input, signature: Signature) -> pa.DataType:
    type_ = arrow_type(tensor.datatype)
    if signature.takes_features:
        return type_
    for _ in tensor.shape if signature.batch is None else tensor.shape[1:]:
        type_ = pa.list_(type_)
    return type_


def check_types(signature: Signature, columns: Columns, schema: pa.Schema) -> None:
    """Raise FormatError for a column whose type no value of the model's datatype can have."""
    matrix = signature.matrix
    for index, name in enumerate(columns.inputs):
        datatype = matrix.datatype if matrix else signature.inputs[index].datatype
        found = schema.field(name).type
        if not _suits(_innermost(found), datatype):
            raise FormatError(f"the column {describe(name)} has the type {found}, expected {_expected(datatype)}", "")


def _innermost(type_: pa.DataType) -> pa.DataType:
    while pa.types.is_nested(type_) or pa.types.is_dictionary(type_):
        if not hasattr(type_, "value_type"):  # a struct
            break
        type_ = type_.value_type
    return type_


def _suits(type_: pa.DataType, datatype: Datatype) -> bool:
    if pa.types.is_null(type_):
        return True
    if datatype is BYTES:
        return is_text(type_)
    if datatype is BOOL:
        return bool(pa.types.is_boolean(type_))
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_))


def is_text(type_: pa.DataType) -> bool:
    """Return whether values of a type are strings."""
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def _expected(datatype: Datatype) -> str:
    kind = "strings" if datatype is BYTES else "booleans" if datatype is BOOL else "numbers"
    return f"{kind} for {DATATYPES[datatype.name].name}"


def write_types(schema: pa.Schema) -> str:
    """Return the types of columns as text."""
    return b64encode(schema.serialize().to_pybytes()).decode()


def read_types(text: str) -> pa.Schema:
    """Return the types that `write_types` wrote; none for an empty text."""
    return pa.ipc.read_schema(pa.py_buffer(b64decode(text))) if text else pa.schema([])

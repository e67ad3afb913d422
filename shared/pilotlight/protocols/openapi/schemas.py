"""JSON Schemas (2020-12, as in OpenAPI 3.1) of a model's inputs and outputs, from its signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isinf
from sys import float_info
from typing import Any, TypeAlias

from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BOOL, BYTES, Datatype

Schema: TypeAlias = dict[str, Any]


def request_value(datatype: Datatype) -> Schema:
    """Return the schema of a value in a request."""
    if datatype in (BYTES, BOOL):
        return {"type": datatype.kind}
    if datatype.is_integer:
        return {"type": "integer", "minimum": datatype.low, "maximum": datatype.high}
    bound = datatype.overflow
    if isinf(bound):  # no double, as which JSON's numbers are read, overflows an FP64; JSON itself has larger ones
        return {"type": "number", "minimum": -float_info.max, "maximum": float_info.max}
    return {"type": "number", "exclusiveMinimum": -bound, "exclusiveMaximum": bound}


def response_value(datatype: Datatype) -> Schema:
    """Return the schema of a value in a response: a float that JSON cannot encode is null."""
    return {"type": ["number", "null"]} if datatype.is_float else request_value(datatype)


def nested(shape: Sequence[int], item: Schema) -> Schema:
    """Nest an item in arrays of a shape in which -1 is any length; for shape (), return the item itself."""
    schema = item
    for length in reversed(shape):
        bounds = {} if length == -1 else {"minItems": length, "maxItems": length}
        schema = {"type": "array", "items": schema, **bounds}
    return schema


def record(properties: Mapping[str, Schema], optional: Sequence[str] = ()) -> Schema:
    """Return an object with these fields and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def instance(signature: Signature) -> Schema:
    """Return the schema of one instance in `/predict`."""
    if signature.takes_features:
        columns = feature_schemas(signature)
        return {"oneOf": [row(list(columns.values())), record(columns)]}
    skipped = 0 if signature.batch is None else 1
    inputs = {
        tensor.name: nested(tensor.shape[skipped:], request_value(tensor.datatype)) for tensor in signature.inputs
    }
    return record(inputs) if len(inputs) > 1 else next(iter(inputs.values()))


def feature_schemas(signature: Signature) -> dict[str, Schema]:
    """Return the schema of each feature's value, by its name."""
    datatypes = {tensor.name: tensor.datatype for tensor in signature.inputs}
    return {name: request_value(datatypes.get(name, signature.inputs[0].datatype)) for name in signature.feature_names}


def row(columns: Sequence[Schema]) -> Schema:
    """Return an array with a value for each of these."""
    size = {"minItems": len(columns), "maxItems": len(columns)}
    if all(column == columns[0] for column in columns):
        return {"type": "array", "items": columns[0], **size}
    return {"type": "array", "prefixItems": list(columns), **size}


def prediction(signature: Signature) -> Schema:
    """Return the schema of the prediction in a response of `/predict`."""
    label = signature.output("label")
    if label is not None:
        return {"enum": list(signature.labels)} if signature.labels else response_value(label.datatype)
    if signature.output("probabilities") is not None:
        return {"enum": [*signature.labels, None]}
    first = signature.outputs[0]
    shape = first.shape if signature.batch is None else first.shape[1:]
    is_number = signature.batch is not None and len(first.shape) == 2 and first.shape[1] == 1
    return response_value(first.datatype) if is_number else nested(shape, response_value(first.datatype))


def probabilities(signature: Signature) -> Schema | None:
    """Return an array with a probability for each label; None for a model without probabilities."""
    if signature.output("probabilities") is None:
        return None
    return nested((len(signature.labels),), {"type": ["number", "null"]})


def tensor_form(tensor: Input | Output) -> dict[str, Schema]:
    """Return the schemas of the fields that identify a tensor of V2: its name, datatype and shape."""
    least = 1 if tensor.role == "features" else 0
    lengths = [{"type": "integer", "minimum": least} if length == -1 else {"const": length} for length in tensor.shape]
    return {
        "name": {"const": tensor.name},
        "datatype": {"const": tensor.datatype.name},
        "shape": {"type": "array", "prefixItems": lengths, "minItems": len(lengths), "maxItems": len(lengths)},
    }

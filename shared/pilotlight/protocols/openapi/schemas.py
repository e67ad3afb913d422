"""JSON Schemas (2020-12, as in OpenAPI 3.1) of a model's inputs and outputs, from its signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isinf
from sys import float_info
from typing import Any, TypeAlias

from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BOOL, BYTES, Datatype

Schema: TypeAlias = dict[str, Any]

# A document names and describes each of so many features, in ten places: about 2 kB for each.
MOST_DESCRIBED = 200


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


def input_value(tensor: Input) -> Schema:
    """Return the schema of an input's value in a request."""
    schema = request_value(tensor.datatype)
    return schema | {"type": [schema["type"], "null"]} if tensor.missing else schema


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
        text = [input_value(signature.inputs[0])] if signature.is_text else []
        return {"oneOf": [row(signature), by_name(signature), *text]}
    skipped = 0 if signature.batch is None else 1
    inputs = {tensor.name: nested(tensor.shape[skipped:], input_value(tensor)) for tensor in signature.inputs}
    return record(inputs) if len(inputs) > 1 else next(iter(inputs.values()))


def arguments(signature: Signature) -> Schema:
    """Return an array with an argument for each feature, as BigQuery encodes them: exact numbers are texts."""
    number = {"type": "string", "pattern": r"^-?[0-9]{1,15}$"}
    kinds = [{"anyOf": [input_value(tensor), number]} for tensor in signature.inputs]
    size = {"minItems": signature.width, "maxItems": signature.width}
    if signature.matrix or is_wide(signature):
        return {"type": "array", "items": _any_of(kinds) if signature.matrix else {}, **size}
    return {"type": "array", "prefixItems": kinds, **size}


def is_wide(signature: Signature) -> bool:
    """Whether the features are too many to describe each of them in each form of a request."""
    return signature.width > MOST_DESCRIBED


def row(signature: Signature) -> Schema:
    """Return an array with a value for each feature."""
    kinds = _kinds(signature)
    size = {"minItems": signature.width, "maxItems": signature.width}
    if len(kinds) > 1 and not is_wide(signature):
        return {"type": "array", "prefixItems": [input_value(tensor) for tensor in signature.inputs], **size}
    return {"type": "array", "items": _any_of(kinds), **size}


def by_name(signature: Signature) -> Schema:
    """Return an object with a value for each feature. Of a wide model it does not list their names."""
    if is_wide(signature):
        size = {"minProperties": signature.width, "maxProperties": signature.width}
        return {"type": "object", "additionalProperties": _any_of(_kinds(signature)), **size}
    if signature.matrix:
        return record(dict.fromkeys(signature.feature_names, input_value(signature.matrix)))
    return record({tensor.name: input_value(tensor) for tensor in signature.inputs})


def _kinds(signature: Signature) -> list[Schema]:
    """Return the different schemas of features."""
    kinds: list[Schema] = []
    for tensor in signature.inputs:
        schema = input_value(tensor)
        if schema not in kinds:
            kinds.append(schema)
    return kinds


def _any_of(kinds: Sequence[Schema]) -> Schema:
    return {"anyOf": list(kinds)} if len(kinds) > 1 else kinds[0]


def prediction(signature: Signature) -> Schema:
    """Return the schema of the prediction in a response of `/predict`."""
    label = signature.output("label")
    if label is not None:
        return {"enum": list(signature.labels)} if signature.labels else response_value(label.datatype)
    if signature.output("probabilities") is not None:
        return {"enum": [*signature.labels, None]}
    values = {output.name: _output_value(signature, output) for output in signature.outputs}
    return record(values) if len(values) > 1 else next(iter(values.values()))


def further_outputs(signature: Signature) -> dict[str, Schema]:
    """Return the schema of what a classifier returns besides label and probabilities, by name."""
    further = [output for output in signature.outputs if signature.is_classifier and output.role == "tensor"]
    return {output.name: _output_value(signature, output) for output in further}


def _output_value(signature: Signature, output: Output) -> Schema:
    """Return the schema of an output's value for one instance."""
    shape = output.shape if signature.batch is None else output.shape[1:]
    is_number = signature.batch is not None and len(output.shape) == 2 and output.shape[1] == 1
    return response_value(output.datatype) if is_number else nested(shape, response_value(output.datatype))


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

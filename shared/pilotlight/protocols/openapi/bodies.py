"""What the routes take and give, by the names of the table in `http/routes.py`, for one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pilotlight.codec.golden_requests import to_request
from pilotlight.model.golden import Sample, Values
from pilotlight.model.lock import Description
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.protocols.openapi.schemas import (
    Schema,
    feature_schemas,
    given,
    instance,
    nested,
    prediction,
    probabilities,
    record,
    row,
    taken,
    tensor_form,
)
from pilotlight.protocols.v2.binary import HEADER
from pilotlight.protocols.v2.binary import MEDIA_TYPE as BINARY

_JSON = "application/json"

# Characters of JSON: a document with a picture in it would be of no use to a reader.
_LARGEST_EXAMPLE = 20_000

_PARAMETER: Schema = {"type": ["string", "number", "boolean", "null"]}
_PARAMETERS: Schema = {"type": ["object", "null"], "additionalProperties": _PARAMETER}
_CSV = "The same rows may come as text/csv with a line of column names above them; columns of a frame in any order."
_SHAPE: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0}}
_BINARY_DATA: Schema = {
    "type": ["boolean", "null"],
    "description": f"Whether it comes as bytes; see the header {HEADER}.",
}


def requests(model: Description) -> dict[str, Schema]:
    """The schema of every body that the model can be sent."""
    signature = model.signature
    one = instance(signature)
    forms: dict[str, Schema] = {}
    if signature.batch is not None:  # without a batch there is no answer but a refusal
        forms["instances"] = _batch(signature, one)
    whole = _whole(signature, one)
    bodies = {
        "instance": record({"features": one}),
        **{name: record({name: schema}) for name, schema in forms.items()},
        "v2 inference": _inference(model),
        "v1 instances": _one_of(forms | whole),
        "mlflow frame": _one_of(forms | whole | _frames(signature)),
    }
    bodies["mlflow frame"]["description"] = _CSV
    return bodies


def _batch(signature: Signature, item: Schema) -> Schema:
    """One item for each instance; a model may have been made for one at a time."""
    return {"type": "array", "items": item, "minItems": 1, **({"maxItems": 1} if signature.batch == 1 else {})}


def _whole(signature: Signature, one: Schema) -> dict[str, Schema]:
    """The field `inputs` of V1 and MLflow. That several inputs have the same length is beyond JSON Schema."""
    if signature.takes_features:
        return {"inputs": _batch(signature, one)}
    if len(signature.inputs) > 1:
        return {}
    tensor = signature.inputs[0]
    whole = nested(tensor.shape, taken(tensor.datatype))
    return {"inputs": whole if signature.batch is None else {**whole, "minItems": 1}}


def _frames(signature: Signature) -> dict[str, Schema]:
    """Data frames, as pandas writes them."""
    if not signature.takes_features:
        return {}
    columns = feature_schemas(signature)
    rows = _batch(signature, row(list(columns.values())))
    split = record({"columns": {"const": list(columns)}, "data": rows})
    return {"dataframe_split": split, "dataframe_records": _batch(signature, record(columns))}


def _one_of(forms: Mapping[str, Schema]) -> Schema:
    return {"oneOf": [record({name: schema}) for name, schema in forms.items()]}


def replies(model: Description) -> dict[str, Mapping[str, Any]]:
    """Every reply: its description and its content."""
    signature = model.signature
    name: dict[str, Schema] = {"model_name": {"const": model.name}, "model_version": {"const": model.version}}
    said, chances = prediction(signature), probabilities(signature)
    single: dict[str, Schema] = {"prediction": said}
    many: dict[str, Schema] = {"predictions": {"type": "array", "items": said}}
    if chances is not None:
        single |= {"probability": {"type": ["number", "null"]}, "probabilities": chances}
        many["probabilities"] = {"type": "array", "items": chances}
    return {
        "prediction": _json("The prediction.", record(single | name)),
        "predictions": _json("A prediction for each instance.", record(many | name)),
        "status": _json("It answers.", record({"status": {"enum": ["ready", "live"]}, **name})),
        "v2 server": _json("The server.", _server()),
        "v2 live": _json("It answers.", record({"live": {"const": True}})),
        "v2 ready": _json("The model is loaded.", record({"ready": {"const": True}})),
        "v2 model": _json("The model's metadata.", _metadata(model)),
        "v2 model ready": _json("The model is loaded.", record({"name": name["model_name"], "ready": {"const": True}})),
        "v2 outputs": _outputs(model),
        "v1 live": _json("It answers.", record({"status": {"const": "alive"}})),
        "v1 models": _json("The models.", record({"models": {"const": [model.name]}})),
        "v1 model": _json("The model is loaded.", record({"name": name["model_name"], "ready": {"const": True}})),
        "plain predictions": _json("A prediction for each instance.", record({"predictions": many["predictions"]})),
        "version": _json("The server.", record({"name": {"const": "pilotlight"}, "version": {"type": "string"}})),
        "openapi": _json("This document.", {"type": "object"}),
    }


def examples(model: Description, sample: Sample | None) -> dict[str, object]:
    """A body for each of `requests` that a golden sample can fill."""
    request = None if sample is None else to_request(model.signature, sample)
    if sample is None or request is None:
        return {}
    rows = request.body.get("instances", [request.body.get("features")])
    found: dict[str, object] = {
        "instance": {"features": rows[0]},
        "instances": {"instances": rows},
        "v2 inference": {"inputs": [_example(values) for values in sample.inputs]},
        "v1 instances": {"instances": rows},
        "mlflow frame": {"instances": rows},
    }
    if model.signature.batch is None:
        found = {name: body for name, body in found.items() if name in ("instance", "v2 inference")}
    return {name: body for name, body in found.items() if len(str(body)) <= _LARGEST_EXAMPLE}


def _example(values: Values) -> dict[str, object]:
    shape, data = list(values.shape), list(values.data)
    return {"name": values.name, "datatype": values.datatype.name, "shape": shape, "data": data}


def _json(description: str, schema: Schema) -> dict[str, Any]:
    return {"description": description, "content": {_JSON: {"schema": schema}}}


def _server() -> Schema:
    strings = {"type": "array", "items": {"type": "string"}}
    return record({"name": {"const": "pilotlight"}, "version": {"type": "string"}, "extensions": strings})


def _metadata(model: Description) -> Schema:
    def tensors_schema(tensors: Sequence[Input | Output]) -> Schema:
        return {"const": [{"name": t.name, "datatype": t.datatype.name, "shape": list(t.shape)} for t in tensors]}

    return record(
        {
            "name": {"const": model.name},
            "versions": {"const": [str(model.version)]},
            "platform": {"type": "string"},
            "inputs": tensors_schema(model.signature.inputs),
            "outputs": tensors_schema(model.signature.outputs),
        }
    )


def _inference(model: Description) -> Schema:
    signature = model.signature
    wanted = {"name": {"enum": [output.name for output in signature.outputs]}, "parameters": _flagged("binary_data")}
    outputs: Schema = {
        "type": ["array", "null"],
        "description": "Those that are wanted, each at most once; all of them where none is named.",
        "items": record(wanted, optional=("parameters",)),
        "maxItems": len(signature.outputs),
    }
    if len(signature.outputs) > 1:
        outputs["allOf"] = [_at_most_once(output.name) for output in signature.outputs]
    inputs = _exactly([_input(tensor) for tensor in signature.inputs])
    inputs["description"] = (
        "In any order. `data` is flat or nested as `shape` says, and has as many values as it says. A matrix of named "
        f"features may also come as one input for each feature. Bytes may follow the document: the header {HEADER} "
        f"then says how long it is, the media type is {BINARY}, and `parameters.binary_data_size` takes the place of "
        "`data`."
    )
    return record(
        {
            "id": {"type": ["string", "null"]},
            "parameters": _flagged("binary_data_output"),
            "inputs": inputs,
            "outputs": outputs,
            "model_name": {"enum": [model.name, None]},
            "model_version": {"enum": [str(model.version), None]},
        },
        optional=("id", "parameters", "outputs", "model_name", "model_version"),
    )


def _at_most_once(name: str) -> Schema:
    named = {"properties": {"name": {"const": name}}, "required": ["name"]}
    return {"contains": named, "minContains": 0, "maxContains": 1}


def _flagged(name: str) -> Schema:
    return {**_PARAMETERS, "properties": {name: _BINARY_DATA}}


def _exactly(entries: Sequence[Schema]) -> Schema:
    """An array of these. A single one is said without `prefixItems`, which not all generators of clients know."""
    size = {"minItems": len(entries), "maxItems": len(entries)}
    return {"type": "array", **({"items": entries[0]} if len(entries) == 1 else {"prefixItems": list(entries)}), **size}


def _input(tensor: Input) -> Schema:
    if tensor.datatype.is_binary_only:
        size: Schema = {"type": "integer", "minimum": 0}
        binary = {**_PARAMETERS, "properties": {"binary_data_size": size}, "required": ["binary_data_size"]}
        return record(tensor_form(tensor) | {"parameters": binary, "data": {"type": "null"}}, optional=("data",))
    flat = {"type": "array", "items": taken(tensor.datatype)}
    forms = [flat] if len(tensor.shape) < 2 else [flat, nested(tensor.shape, taken(tensor.datatype))]
    fields = tensor_form(tensor) | {"data": {"anyOf": forms}, "parameters": _PARAMETERS}
    return record(fields, optional=("parameters",))


def _outputs(model: Description) -> dict[str, Any]:
    entries = []
    for output in model.signature.outputs:
        data = {"type": "array", "items": given(output.datatype)}
        sized = {"type": "object", "properties": {"binary_data_size": {"type": "integer"}}}
        fields = tensor_form(output) | {"shape": _SHAPE, "data": data, "parameters": sized}
        entries.append(record(fields, optional=("data", "parameters")))
    reply = record(
        {
            "model_name": {"const": model.name},
            "model_version": {"const": str(model.version)},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": {"anyOf": entries}},
        },
        optional=("id",),
    )
    found = _json("The outputs, in the order in which they were asked for.", reply)
    found["content"][BINARY] = {"schema": {"type": "string", "format": "binary"}}
    return found

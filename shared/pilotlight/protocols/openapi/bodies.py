"""The bodies of one model's requests and responses, by the names in the table of `http/routes.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pilotlight.codec.golden_requests import to_request
from pilotlight.frozen import EMPTY
from pilotlight.model.golden import Sample, Values
from pilotlight.model.lock import Description
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.protocols.openapi.schemas import (
    MOST_DESCRIBED,
    Schema,
    arguments,
    by_name,
    further_outputs,
    input_value,
    instance,
    is_wide,
    nested,
    prediction,
    probabilities,
    record,
    response_value,
    row,
    tensor_form,
)
from pilotlight.protocols.v2.binary import BY_REFERENCE, HEADER
from pilotlight.protocols.v2.binary import MEDIA_TYPE as BINARY

_JSON = "application/json"

# Characters of JSON: nobody could read a document with a picture in it.
_LARGEST_EXAMPLE = 20_000

_PARAMETER: Schema = {"type": ["string", "number", "boolean", "null"]}
_PARAMETERS: Schema = {"type": ["object", "null"], "additionalProperties": _PARAMETER}
_CSV = "Also as text/csv with a line of column names first. The columns of a frame may be in any order."
_V1_FIELDS: Mapping[str, Schema] = {
    "signature_name": {"enum": ["serving_default", None]},
    "parameters": {"type": ["object", "null"], "maxProperties": 0},
}
_SHAPE: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0}}
_BINARY_DATA: Schema = {
    "type": ["boolean", "null"],
    "description": f"Whether to send it as bytes; see the header {HEADER}.",
}


def requests(model: Description) -> dict[str, Schema]:
    """Return the schema of each request body."""
    signature = model.signature
    one = instance(signature)
    forms: dict[str, Schema] = {}
    if signature.batch is not None:  # a model without a batch dimension refuses them
        forms["instances"] = _batch(signature, one)
    inputs = _inputs(signature, one)
    bodies = {
        "instance": record({"features": one}),
        **{name: record({name: schema}) for name, schema in forms.items()},
        "v2 inference": _inference(model),
        "v1 instances": _one_of(forms | inputs, _V1_FIELDS),
        "mlflow frame": _one_of(forms | inputs | _frames(signature)),
    }
    bodies["mlflow frame"]["description"] = _CSV
    if signature.batch is not None:
        bodies["bigquery calls"] = _calls(signature, one)
    return bodies


def _calls(signature: Signature, one: Schema) -> Schema:
    """Return what BigQuery sends among fields of its own: an instance, or an argument for each feature, in a call."""
    replies = ["prediction", "document", *(["probability"] if "probabilities" in signature.places else [])]
    context: dict[str, Schema] = {"reply": {"enum": replies}}
    as_json = {"type": "array", "items": one, "minItems": 1, "maxItems": 1}
    forms = [_called(_batch(signature, as_json), context)]
    if signature.takes_features:
        names = {} if is_wide(signature) else {"columns": {"enum": [",".join(signature.feature_names)]}}
        forms.append(_called(_batch(signature, arguments(signature)), context | names))
    return {"anyOf": forms}


def _called(calls: Schema, context: Mapping[str, Schema]) -> Schema:
    given = record(context, optional=tuple(context)) | {"type": ["object", "null"]}
    body = record({"calls": calls, "userDefinedContext": given}, optional=("userDefinedContext",))
    return body | {"additionalProperties": True}


def _batch(signature: Signature, item: Schema) -> Schema:
    """Return the schema of an array with an item for each instance; some models accept one at a time."""
    return {"type": "array", "items": item, "minItems": 1, **({"maxItems": 1} if signature.batch == 1 else {})}


def _inputs(signature: Signature, one: Schema) -> dict[str, Schema]:
    """Return the field `inputs` of V1 and MLflow. JSON Schema cannot require one length of several inputs."""
    if signature.takes_features:
        return {"inputs": _batch(signature, one)}
    if len(signature.inputs) > 1:
        return {}
    tensor = signature.inputs[0]
    schema = nested(tensor.shape, input_value(tensor))
    return {"inputs": schema if signature.batch is None else {**schema, "minItems": 1}}


def _frames(signature: Signature) -> dict[str, Schema]:
    """Return data frames in the forms that pandas writes."""
    if not signature.takes_features:
        return {}
    size = {"minItems": signature.width, "maxItems": signature.width}
    names: Schema = {"type": "array", "items": {"type": "string"}, "uniqueItems": True, **size}
    columns = names if is_wide(signature) else {"const": list(signature.feature_names)}
    split = record({"columns": columns, "data": _batch(signature, row(signature))})
    return {"dataframe_split": split, "dataframe_records": _batch(signature, by_name(signature))}


def _one_of(forms: Mapping[str, Schema], beside: Mapping[str, Schema] = EMPTY) -> Schema:
    return {"oneOf": [record({name: schema, **beside}, optional=tuple(beside)) for name, schema in forms.items()]}


def responses(model: Description) -> dict[str, Mapping[str, Any]]:
    """Return the description and the content of each response."""
    signature = model.signature
    name: dict[str, Schema] = {"model_name": {"const": model.name}, "model_version": {"const": model.version}}
    label, chances = prediction(signature), probabilities(signature)
    single: dict[str, Schema] = {"prediction": label}
    many: dict[str, Schema] = {"predictions": {"type": "array", "items": label}}
    if chances is not None:
        single |= {"probability": {"type": ["number", "null"]}, "probabilities": chances}
        many["probabilities"] = {"type": "array", "items": chances}
    further = further_outputs(signature)
    if further:
        single["outputs"] = record(further)
        many["outputs"] = record({name: {"type": "array", "items": schema} for name, schema in further.items()})
    return {
        "prediction": _json("The prediction.", record(single | name)),
        "predictions": _json("A prediction for each instance.", record(many | name)),
        "status": _json("The status.", record({"status": {"enum": ["ready", "live"]}, **name})),
        "v2 server": _json("The server.", _server()),
        "v2 live": _json("The server is live.", record({"live": {"const": True}})),
        "v2 ready": _json("The model is loaded.", record({"ready": {"const": True}})),
        "v2 model": _json("The model's metadata.", _metadata(model)),
        "v2 model ready": _json("The model is loaded.", record({"name": name["model_name"], "ready": {"const": True}})),
        "v2 outputs": _outputs(model),
        "v1 live": _json("The status.", record({"status": {"const": "alive"}})),
        "v1 models": _json("The models.", record({"models": {"const": [model.name]}})),
        "v1 model": _json("The model is loaded.", record({"name": name["model_name"], "ready": {"const": True}})),
        "plain predictions": _json("A prediction for each instance.", record({"predictions": many["predictions"]})),
        "bigquery replies": _json(
            "A reply to each call.", record({"replies": _replies(label, chances, single | name)})
        ),
        "version": _json("The server.", record({"name": {"const": "pilotlight"}, "version": {"type": "string"}})),
        "openapi": _json("This document.", {"type": "object"}),
    }


def _replies(label: Schema, chances: Schema | None, document: Mapping[str, Schema]) -> Schema:
    """Return what a reply to BigQuery is, as its context asks. An integer beyond 2**53 is a string."""
    forms = [label, {"type": "string"}, record(document), *([] if chances is None else [document["probability"]])]
    return {"type": "array", "items": {"anyOf": forms}}


def examples(model: Description, sample: Sample | None) -> dict[str, object]:
    """Return an example of each request body that a golden sample can fill."""
    request = None if sample is None else to_request(model.signature, sample)
    if sample is None or request is None:
        return {}
    rows = request.body.get("instances", [request.body.get("features")])
    bodies: dict[str, object] = {
        "instance": {"features": rows[0]},
        "instances": {"instances": rows},
        "v2 inference": {"inputs": [_example(values) for values in sample.inputs]},
        "v1 instances": {"instances": rows},
        "mlflow frame": {"instances": rows},
        "bigquery calls": {"calls": [[row] for row in rows]},
    }
    if model.signature.batch is None:
        bodies = {name: body for name, body in bodies.items() if name in ("instance", "v2 inference")}
    return {name: body for name, body in bodies.items() if len(str(body)) <= _LARGEST_EXAMPLE}


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
        if len(tensors) > MOST_DESCRIBED:
            return {"type": "array", "items": {"type": "object"}, "minItems": len(tensors), "maxItems": len(tensors)}
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
    output = {"name": {"enum": [output.name for output in signature.outputs]}, "parameters": _flagged("binary_data")}
    outputs: Schema = {
        "type": ["array", "null"],
        "description": "The requested outputs, each at most once; without names all of them.",
        "items": record(output, optional=("parameters",)),
        "maxItems": len(signature.outputs),
    }
    if len(signature.outputs) > 1:
        outputs["allOf"] = [_at_most_once(output.name) for output in signature.outputs]
    described = len(signature.inputs) <= MOST_DESCRIBED
    inputs = _exactly([_input(tensor) for tensor in signature.inputs]) if described else _named_inputs(signature)
    inputs["description"] = (
        "In any order. `data` is flat or nested as `shape` says, with as many values. Another datatype of numbers is "
        "accepted if the input's own holds each value exactly. A matrix of named features may "
        f"also be sent as one input for each feature. Bytes may follow the document: the header {HEADER} is then the "
        f"length of the document, the media type is {BINARY}, and `parameters.binary_data_size` replaces `data`. "
        f"So does `parameters.{BY_REFERENCE}`, the URL of an object with the bytes, where the function allows that."
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
    """Return an array of these. A single one does without `prefixItems`, which some client generators lack."""
    size = {"minItems": len(entries), "maxItems": len(entries)}
    return {"type": "array", **({"items": entries[0]} if len(entries) == 1 else {"prefixItems": list(entries)}), **size}


def _input(tensor: Input) -> Schema:
    if tensor.datatype.is_binary_only:
        size: Schema = {"type": "integer", "minimum": 0}
        binary = {**_PARAMETERS, "properties": {"binary_data_size": size}, "required": ["binary_data_size"]}
        return record(tensor_form(tensor) | {"parameters": binary, "data": {"type": "null"}}, optional=("data",))
    flat = {"type": "array", "items": input_value(tensor)}
    forms = [flat] if len(tensor.shape) < 2 else [flat, nested(tensor.shape, input_value(tensor))]
    fields = tensor_form(tensor) | {"data": {"anyOf": forms}, "parameters": _PARAMETERS}
    return record(fields, optional=("parameters",))


def _named_inputs(signature: Signature) -> Schema:
    """Return an array of as many inputs as there are, without their own names, datatypes and values."""
    fields: dict[str, Schema] = {"name": {"type": "string"}, "datatype": {"type": "string"}, "shape": _SHAPE}
    entry = record(fields | {"data": {"type": "array"}, "parameters": _PARAMETERS}, optional=("data", "parameters"))
    size = {"minItems": len(signature.inputs), "maxItems": len(signature.inputs)}
    return {"type": "array", "items": entry, **size}


def _outputs(model: Description) -> dict[str, Any]:
    entries = []
    for output in model.signature.outputs:
        data = {"type": "array", "items": response_value(output.datatype)}
        sized = {"type": "object", "properties": {"binary_data_size": {"type": "integer"}}}
        fields = tensor_form(output) | {"shape": _SHAPE, "data": data, "parameters": sized}
        entries.append(record(fields, optional=("data", "parameters")))
    document = record(
        {
            "model_name": {"const": model.name},
            "model_version": {"const": str(model.version)},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": {"anyOf": entries}},
        },
        optional=("id",),
    )
    response = _json("The outputs, in the requested order.", document)
    response["content"][BINARY] = {"schema": {"type": "string", "format": "binary"}}
    return response

"""The routes of the Open Inference Protocol V2.

https://github.com/open-inference/open-inference-protocol. `request.py` reads requests, `binary.py` tensors as bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from pilotlight import __version__
from pilotlight.codec.body import read_body
from pilotlight.codec.encode import json_values, to_json
from pilotlight.dataplane import DataPlane
from pilotlight.errors import InvalidRequest
from pilotlight.http.messages import Action, Answer, Request, Values, check_model, predicted
from pilotlight.model.formats import FORMATS
from pilotlight.model.json_document import describe
from pilotlight.model.lock import Description
from pilotlight.model.signature import Input, Output
from pilotlight.model.tensor import Tensor
from pilotlight.protocols.v2 import binary
from pilotlight.protocols.v2.request import Inference, RequestedOutput, read_inference

_REST_API_ADVICE = ", or see the setting PILOTLIGHT_REST_API_BINARY"


def _server(_plane: DataPlane, _request: Request, _values: Values) -> Answer:
    return Answer(200, {"name": "pilotlight", "version": __version__, "extensions": ["binary_tensor_data"]})


def _live(_plane: DataPlane, _request: Request, _values: Values) -> Answer:
    return Answer(200, {"live": True})


def _ready(plane: DataPlane, request: Request, _values: Values) -> Answer:
    plane.check_ready(request.trace)
    return Answer(200, {"ready": True})


def _model(plane: DataPlane, _request: Request, values: Values) -> Answer:
    model = plane.model
    check_model(model, values)
    return Answer(
        200,
        {
            "name": model.name,
            "versions": [str(model.version)],
            "platform": FORMATS[model.format].platform,
            "inputs": [_describe(tensor) for tensor in model.signature.inputs],
            "outputs": [_describe(tensor) for tensor in model.signature.outputs],
        },
    )


def _describe(tensor: Input | Output) -> dict[str, object]:
    return {"name": tensor.name, "datatype": tensor.datatype.name, "shape": list(tensor.shape)}


def _model_ready(plane: DataPlane, request: Request, values: Values) -> Answer:
    check_model(plane.model, values)
    plane.check_ready(request.trace)
    return Answer(200, {"name": plane.model.name, "ready": True})


def _infer(plane: DataPlane, request: Request, values: Values) -> Answer:
    model = plane.model
    check_model(model, values)
    header, data = binary.split(request.headers, request.body)
    document = read_body(request.headers if data is None else {}, header)
    read_object = partial(plane.read_object, deadline=request.deadline)
    inference = read_inference(model, document, binary.Data(data, read_object))
    if request.is_text_only:
        check_text(inference, "the REST API in front passes on no binary replies", _REST_API_ADVICE)
    outputs, rows = run(plane, inference, request.deadline, request.trace)
    answer = predicted(model, {}, outputs, rows)
    return _reply(answer, model, inference, outputs)


def run(
    plane: DataPlane, inference: Inference, deadline: float | None, trace: Mapping[str, object]
) -> tuple[tuple[Tensor, ...], int]:
    """Return the model's outputs, in the order of its signature, and the number of rows. Raise as `DataPlane.run`."""
    signature = plane.model.signature
    features = signature.takes_features
    rows = inference.inputs[0].shape[0] if features or signature.batch is not None else 1
    return plane.run(inference.inputs, rows if features else None, deadline, trace), rows


def check_text(inference: Inference, reason: str, advice: str = "") -> None:
    """Raise InvalidRequest for an output as bytes, which would arrive as something else."""
    for output in inference.outputs:
        if output.is_binary:
            message = f"{reason}: request the output {describe(output.name)} as JSON{advice}"
            raise InvalidRequest(message, "$.outputs")


def _reply(answer: Answer, model: Description, inference: Inference, outputs: Sequence[Tensor]) -> Answer:
    buffers: list[bytes | memoryview] = []
    document = inference_document(model, inference, outputs, buffers)
    if not any(requested.is_binary for requested in inference.outputs):
        return Answer(200, document, answer.rows, answer.out_of_range)
    header = to_json(document)
    headers = {"content-type": binary.MEDIA_TYPE, binary.HEADER: str(len(header))}
    return Answer(200, {}, answer.rows, answer.out_of_range, headers=headers, body=b"".join((header, *buffers)))


def inference_document(
    model: Description, inference: Inference, outputs: Sequence[Tensor], buffers: list[bytes | memoryview]
) -> dict[str, object]:
    """Return a response's document; append to `buffers` the outputs that are requested as bytes."""
    document: dict[str, object] = {"model_name": model.name, "model_version": str(model.version)}
    if inference.id is not None:
        document["id"] = inference.id
    document["outputs"] = [_output(requested, outputs[requested.index], buffers) for requested in inference.outputs]
    return document


def _output(requested: RequestedOutput, tensor: Tensor, buffers: list[bytes | memoryview]) -> Mapping[str, object]:
    entry: dict[str, object] = {
        "name": requested.name,
        "datatype": tensor.datatype.name,
        "shape": list(tensor.shape),
    }
    if requested.is_binary:
        buffers.append(binary.write(tensor))
        return entry | {"parameters": {"binary_data_size": len(buffers[-1])}}
    return entry | {"data": json_values(tensor)}


ACTIONS: Mapping[str, Action] = {
    "/v2": _server,
    "/v2/": _server,
    "/v2/health/live": _live,
    "/v2/health/ready": _ready,
    **{
        f"/v2/models/{{m}}{version}{ending}": action
        for version in ("", "/versions/{v}")
        for ending, action in (("", _model), ("/ready", _model_ready), ("/infer", _infer))
    },
}

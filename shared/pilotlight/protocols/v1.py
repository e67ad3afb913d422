"""The V1 protocol of KServe and TensorFlow Serving, and the response that MLflow shares with it.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilotlight.codec.body import read_body, read_one_of
from pilotlight.codec.encode import predictions
from pilotlight.codec.tables import read_inputs
from pilotlight.dataplane import DataPlane
from pilotlight.errors import InvalidRequest
from pilotlight.http.messages import Action, Answer, Request, Values, check_model, predicted
from pilotlight.model.json_document import describe
from pilotlight.model.tensor import Tensor


def _live(_plane: DataPlane, _request: Request, _values: Values) -> Answer:
    return Answer(200, {"status": "alive"})


def _models(plane: DataPlane, _request: Request, _values: Values) -> Answer:
    return Answer(200, {"models": [plane.model.name]})


def _model(plane: DataPlane, request: Request, values: Values) -> Answer:
    check_model(plane.model, values)
    plane.check_ready(request.trace)
    return Answer(200, {"name": plane.model.name, "ready": True})


def _predict(plane: DataPlane, request: Request, values: Values) -> Answer:
    """Read `instances` or `inputs`, beside TensorFlow Serving's `signature_name` and Vertex AI's `parameters`."""
    check_model(plane.model, values)
    document = without(read_body(request.headers, request.body), "parameters", (None, {}), "this model accepts no ")
    document = without(document, "signature_name", (None, "serving_default"), 'expected "serving_default" as ')
    form, value = read_one_of(document, ("instances", "inputs"))
    if form == "instances":
        return predict(plane, request, plane.read_instances(value, "$.instances", request.deadline))
    return predict(plane, request, read_inputs(plane.model.signature, value, "$.inputs"))


def without(document: object, name: str, empty: Sequence[object], expected: str) -> object:
    """Return a body without a field that clients add and models here have no use for.

    Raises InvalidRequest, a message that `expected` begins, unless the field's value is one of `empty`.
    """
    if not isinstance(document, dict) or name not in document:
        return document
    if document[name] not in empty:
        raise InvalidRequest(f"{expected}{name}, found {describe(document[name])}", f"$.{name}")
    return {field: value for field, value in document.items() if field != name}


def predict(plane: DataPlane, request: Request, inputs: Sequence[Tensor]) -> Answer:
    """Return `{"predictions": [..]}` for a batch: one for each instance, as in `/predict_batch`.

    These protocols have no place for a classifier's probabilities and further outputs.
    """
    signature = plane.model.signature
    rows = 1 if signature.batch is None else inputs[0].shape[0]
    outputs = plane.run(inputs, rows, request.deadline, request.trace)
    return predicted(plane.model, {"predictions": predictions(signature, outputs)}, outputs, rows)


ACTIONS: Mapping[str, Action] = {
    "/": _live,
    "/v1/models": _models,
    "/v1/models/{m}": _model,
    "/v1/models/{m}:predict": _predict,
}

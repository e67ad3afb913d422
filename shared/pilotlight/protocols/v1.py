"""The V1 protocol of KServe and TensorFlow Serving, and the response that MLflow shares with it.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilotlight.codec.body import read_body, read_one_of
from pilotlight.codec.decode import read_instances
from pilotlight.codec.encode import predictions
from pilotlight.codec.tables import read_inputs
from pilotlight.dataplane import DataPlane
from pilotlight.http.messages import Action, Answer, Request, Values, check_model, predicted
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
    check_model(plane.model, values)
    form, value = read_one_of(read_body(request.headers, request.body), ("instances", "inputs"))
    read = read_instances if form == "instances" else read_inputs
    return predict(plane, request, read(plane.model.signature, value, f"$.{form}"))


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

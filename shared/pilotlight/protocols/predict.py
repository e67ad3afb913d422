"""Pilotlight's own routes: predictions for one instance and for a batch, and health."""

from __future__ import annotations

from collections.abc import Mapping

from pilotlight.codec.body import read_body, read_fields
from pilotlight.codec.decode import read_instance, read_instances
from pilotlight.codec.encode import further_outputs, predictions, probabilities, probability
from pilotlight.dataplane import DataPlane
from pilotlight.http.messages import Action, Answer, Request, Values, predicted


def _predict(plane: DataPlane, request: Request, _values: Values) -> Answer:
    signature = plane.model.signature
    inputs = read_instance(signature, _field(request, "features"), "$.features")
    outputs = plane.run(inputs, 1, request.deadline, request.trace)
    (prediction,) = predictions(signature, outputs)
    document: dict[str, object] = {"prediction": prediction}
    rows = probabilities(signature, outputs)
    if rows is not None:
        document |= {"probability": probability(signature.labels, prediction, rows[0]), "probabilities": rows[0]}
    further = further_outputs(signature, outputs)
    if further:
        document["outputs"] = {name: value for name, (value,) in further.items()}
    return predicted(plane.model, document | _name(plane), outputs, 1)


def _predict_batch(plane: DataPlane, request: Request, _values: Values) -> Answer:
    signature = plane.model.signature
    inputs = read_instances(signature, _field(request, "instances"), "$.instances")
    rows = inputs[0].shape[0]
    outputs = plane.run(inputs, rows, request.deadline, request.trace)
    document: dict[str, object] = {"predictions": predictions(signature, outputs)}
    columns = probabilities(signature, outputs)
    if columns is not None:
        document["probabilities"] = columns
    further = further_outputs(signature, outputs)
    if further:
        document["outputs"] = further
    return predicted(plane.model, document | _name(plane), outputs, rows)


def _live(plane: DataPlane, _request: Request, _values: Values) -> Answer:
    return Answer(200, {"status": "live", **_name(plane)})


def _ready(plane: DataPlane, request: Request, _values: Values) -> Answer:
    plane.check_ready(request.trace)
    return Answer(200, {"status": "ready", **_name(plane)})


def _field(request: Request, name: str) -> object:
    """Return the value of a body's one field."""
    return read_fields(read_body(request.headers, request.body), "$", (name,))[name]


def _name(plane: DataPlane) -> dict[str, object]:
    return {"model_name": plane.model.name, "model_version": plane.model.version}


ACTIONS: Mapping[str, Action] = {
    "/predict": _predict,
    "/predict_batch": _predict_batch,
    "/health": _ready,
    "/health/live": _live,
    "/health/ready": _ready,
    "/health/startup": _ready,
    "/ping": _ready,
}

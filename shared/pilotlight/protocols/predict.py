"""Pilotlight's own routes: predictions for one instance and for a batch, and health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pilotlight.codec.body import read_body, read_fields
from pilotlight.codec.encode import further_outputs, predictions, probabilities, probability_of_each
from pilotlight.dataplane import DataPlane
from pilotlight.http.messages import Action, Answer, Request, Values, predicted
from pilotlight.model.lock import Description
from pilotlight.model.tensor import Tensor


def _predict(plane: DataPlane, request: Request, _values: Values) -> Answer:
    inputs = plane.read_instance(_field(request, "features"), "$.features", request.deadline)
    outputs = plane.run(inputs, 1, request.deadline, request.trace)
    (document,) = instance_documents(plane.model, outputs)
    return predicted(plane.model, document, outputs, 1)


def instance_documents(model: Description, outputs: Sequence[Tensor]) -> list[dict[str, object]]:
    """Return for each instance in the model's outputs the document that /predict answers."""
    signature = model.signature
    found: list[Any] = predictions(signature, outputs)
    rows = probabilities(signature, outputs)
    documents: list[dict[str, object]]
    if rows is None:
        documents = [{"prediction": each} for each in found]
    else:
        documents = [
            {"prediction": label, "probability": each, "probabilities": row}
            for label, each, row in zip(found, probability_of_each(signature.labels, found, rows), rows, strict=True)
        ]
    further = further_outputs(signature, outputs)
    for index, document in enumerate(documents) if further else ():
        document["outputs"] = {name: values[index] for name, values in further.items()}
    name = _name(model)
    for document in documents:
        document.update(name)
    return documents


def _predict_batch(plane: DataPlane, request: Request, _values: Values) -> Answer:
    inputs = plane.read_instances(_field(request, "instances"), "$.instances", request.deadline)
    rows = inputs[0].shape[0]
    outputs = plane.run(inputs, rows, request.deadline, request.trace)
    return predicted(plane.model, batch_document(plane.model, outputs), outputs, rows)


def batch_document(model: Description, outputs: Sequence[Tensor]) -> dict[str, object]:
    """Return the document that /predict_batch answers with the model's outputs."""
    signature = model.signature
    document: dict[str, object] = {"predictions": predictions(signature, outputs)}
    columns = probabilities(signature, outputs)
    if columns is not None:
        document["probabilities"] = columns
    further = further_outputs(signature, outputs)
    if further:
        document["outputs"] = further
    return document | _name(model)


def _live(plane: DataPlane, _request: Request, _values: Values) -> Answer:
    return Answer(200, {"status": "live", **_name(plane.model)})


def _ready(plane: DataPlane, request: Request, _values: Values) -> Answer:
    plane.check_ready(request.trace)
    return Answer(200, {"status": "ready", **_name(plane.model)})


def _field(request: Request, name: str) -> object:
    """Return the value of a body's one field."""
    return read_fields(read_body(request.headers, request.body), "$", (name,))[name]


def _name(model: Description) -> dict[str, object]:
    return {"model_name": model.name, "model_version": model.version}


ACTIONS: Mapping[str, Action] = {
    "/predict": _predict,
    "/predict_batch": _predict_batch,
    "/health": _ready,
    "/health/live": _live,
    "/health/ready": _ready,
    "/health/startup": _ready,
    "/ping": _ready,
}

"""The function's contract, `GET /openapi.json`: OpenAPI 3.1, made from the model's signature.

https://spec.openapis.org/oas/v3.1.1.html. The routes are those of the table in `http/routes.py`. Descriptions explain
what JSON Schema cannot express: that a tensor of V2 has as many values as its shape, and the form of tensors as bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight import __version__
from pilotlight.dataplane import DataPlane
from pilotlight.errors import (
    Forbidden,
    InputRefused,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    NotReady,
    PredictionTimeout,
    RequestError,
    RequestTimeout,
    TooLarge,
    UnsupportedMediaType,
)
from pilotlight.http.messages import Action, Answer, Request, Values
from pilotlight.http.routes import ROUTES, Route
from pilotlight.model.golden import Sample
from pilotlight.model.lock import Description
from pilotlight.protocols.openapi.bodies import examples, requests, responses
from pilotlight.protocols.openapi.schemas import Schema, record

MEDIA_TYPE = "application/json"

_TAGS = {
    "": "TensorFlow Serving's V1",
    "v1": "TensorFlow Serving's V1",
    "v2": "Open Inference Protocol V2",
    "health": "Health",
}

# Errors of every route, and those of routes with a body or a prediction.
_ERRORS: tuple[tuple[type[RequestError], str], ...] = (
    (InvalidRequest, "The request does not match the model's signature; `path` names the place."),
    (Forbidden, "An input names an object that this function may not read for its callers."),
    (NotFound, "Unknown route, model or version."),
    (MethodNotAllowed, "The route accepts other methods; the header `allow` names them."),
    (RequestTimeout, "The body did not arrive in time."),
    (TooLarge, "The body, or the response to it, exceeds the limit."),
    (UnsupportedMediaType, "The route does not support the body's media type or encoding."),
    (InputRefused, "The object that an input names is missing, or the function may not read it."),
    (RequestError, "Internal error; the log has the details."),
    (NotReady, "The model, or an object that an input names, is not there yet; `retry-after` has the seconds to wait."),
    (PredictionTimeout, "The prediction was still running at the request's deadline, and was stopped."),
)
_STATUS = {RequestError: 500}


def _answer(plane: DataPlane, _request: Request, _values: Values) -> Answer:
    return Answer(200, document(plane.model, plane.sample))


def document(model: Description, sample: Sample | None) -> dict[str, object]:
    """Return the document for a model. `sample` is a golden one, and becomes the requests' example."""
    shown = examples(model, sample)
    bodies, results = requests(model), responses(model)
    paths: dict[str, dict[str, object]] = {}
    for route in ROUTES:
        if not route.accepts or route.accepts in bodies:
            operation = _operation(model, route, bodies.get(route.accepts), results[route.returns], shown)
            paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.1",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": model.name,
            "version": str(model.version),
            "description": f"The model {model.name}:{model.version}, served by Pilotlight {__version__}.",
        },
        "paths": paths,
        "components": {"schemas": {"Error": _error()}, "responses": _error_responses()},
    }


def _operation(
    model: Description,
    route: Route,
    body: Schema | None,
    response: Mapping[str, Any],
    shown: Mapping[str, object],
) -> dict[str, object]:
    operation: dict[str, object] = {
        "operationId": _identifier(route),
        "tags": [_TAGS.get(route.path.split("/")[1], "Prediction")],
        "parameters": _parameters(model, route),
        "responses": {"200": _success(response), **_error_references(route)},
    }
    if body is not None:
        content = {"schema": body, **({"example": shown[route.accepts]} if route.accepts in shown else {})}
        operation["requestBody"] = {"required": True, "content": {MEDIA_TYPE: content}}
    return operation


def _identifier(route: Route) -> str:
    path = route.path.replace("{m}", "name").replace("{v}", "version") + ("root" if route.path.endswith("/") else "")
    words = "".join(character if character.isalnum() else " " for character in path)
    return "_".join((route.method.lower(), *words.split()))


def _parameters(model: Description, route: Route) -> list[dict[str, object]]:
    known = {"m": ("The model's name.", model.name), "v": ("Its version.", str(model.version))}
    return [
        {"name": name, "in": "path", "required": True, "description": text, "schema": {"enum": [value]}}
        for name, (text, value) in known.items()
        if f"{{{name}}}" in route.path
    ]


def _success(response: Mapping[str, Any]) -> dict[str, object]:
    return {"description": response["description"], "headers": {"x-request-id": _ID}, "content": response["content"]}


_ID: Mapping[str, object] = {
    "description": "The request's id, which the log has too.",
    "required": True,
    "schema": {"type": "string"},
}


def _error_references(route: Route) -> dict[str, object]:
    """Return references to the error responses of a route."""
    left_out = set() if route.accepts == "v2 inference" else {"403", "424"}
    if not route.accepts:
        left_out |= {"408", "415", "504"} | ({"413"} if route.returns != "openapi" else set())
    return {
        status: {"$ref": f"#/components/responses/{status}"}
        for status in map(_status, (error for error, _ in _ERRORS))
        if status not in left_out
    }


def _status(error: type[RequestError]) -> str:
    return str(_STATUS.get(error, error.status))


def _error_responses() -> dict[str, object]:
    headers = {"405": ("allow", {"type": "string"}), "503": ("retry-after", {"type": "string", "pattern": "^[0-9]+$"})}
    responses: dict[str, object] = {}
    for error, text in _ERRORS:
        sent: dict[str, object] = {"x-request-id": _ID}
        if _status(error) in headers:
            name, schema = headers[_status(error)]
            sent[name] = {"required": True, "schema": schema}
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Error"}}}
        responses[_status(error)] = {"description": text, "headers": sent, "content": content}
    return responses


def _error() -> Schema:
    """Return the schema of every error."""
    return record(
        {
            "error": {"type": "string", "description": "A message for people, which may change."},
            "code": {"type": "string", "description": "For programs; does not change."},
            "path": {"type": ["string", "null"], "description": "The place in the body as a JSON path."},
            "request_id": {"type": "string"},
            "errorMessage": {"type": "string", "description": "The path and the message, of `/bigquery` alone."},
        },
        optional=("errorMessage",),
    )


ACTIONS: Mapping[str, Action] = {"/openapi.json": _answer}

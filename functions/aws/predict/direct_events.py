"""Events that are no HTTP: plain documents, warmers and tests, and what nobody meant to send.

An event that the function raises an error for counts as a function error, which may roll a release back. So an event
by mistake gets a document that says what is wrong, and a metric of its own. Events of queues and streams are the
exception: their sources take any reply for success and forget the records.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import emf
from http_events import Invocation
from pilotlight.codec.encode import to_json
from pilotlight.frozen import TYPE_CHECKING, replace
from pilotlight.http.messages import Request
from pilotlight.model.json_document import describe
from pilotlight.settings import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from pilotlight.service import Service

# The route of a plain document, by the field that tells it.
_ROUTES = {
    "features": "/predict",
    "instances": "/predict_batch",
    "dataframe_split": "/invocations",
    "dataframe_records": "/invocations",
}

# Fields of events from queues, streams and brokers, whose records must not be lost.
_RECORDS = ("Records", "records", "rmqMessagesByQueue", "messages")

_JSON = {"content-type": "application/json"}

_EXPECTED = "an HTTP event, or a document with features, instances, inputs, dataframe_split or dataframe_records"


def answer(service: Service, invocation: Invocation, environ: Mapping[str, str]) -> dict[str, Any]:
    """Answer an event that is no HTTP.

    A plain document gets the body of its route's response, an error too. A warmer or a test gets the model's readiness.
    Raises ValueError for an event with records.
    """
    event = invocation.event
    if isinstance(event, dict):
        route = _route(service.model.name, event)
        if route:
            head = _probe(invocation, environ)
            return _ask(service, replace(head, method="POST", path=route, headers=_JSON, body=to_json(event)))
        if is_harmless(event):
            return readiness(service, invocation, environ)
    found = f"the fields {sorted(event)}" if isinstance(event, dict) else describe(event)
    message = f"expected {_EXPECTED}; found {found}"
    emf.warn(message, counted="UnknownEvents", namespace=environ.get("PILOTLIGHT_METRICS_NAMESPACE", DEFAULT_NAMESPACE))
    if isinstance(event, dict) and any(field in event for field in _RECORDS):
        raise ValueError(message)
    return {"error": message, "code": "unknown_event", "path": "$", "request_id": invocation.id}


def _route(name: str, event: dict[str, Any]) -> str:
    for field, route in _ROUTES.items():
        if field in event:
            return route
    inputs = event.get("inputs")
    if isinstance(inputs, list) and all(isinstance(tensor, dict) for tensor in inputs):
        return f"/v2/models/{name}/infer"
    return "" if inputs is None else "/invocations"  # MLflow's tensors, without or with names


def is_harmless(event: dict[str, Any]) -> bool:
    """Whether an event comes from a schedule, a warmer or the console's test."""
    match event:
        case {"source": "aws.events" | "aws.scheduler" | "serverless-plugin-warmup" | "warmup"}:
            return True
        case {"warmer": _} | {"warmup": _} | {"ping": _}:
            return True
        case {"key1": str()}:  # the console's first test event
            return True
    return not event


def readiness(service: Service, invocation: Invocation, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the document of /health/ready."""
    return _ask(service, _probe(invocation, environ))


def _probe(invocation: Invocation, environ: Mapping[str, str]) -> Request:
    trace = emf.trace_fields(_JSON, environ)
    return Request("GET", "/health/ready", id=invocation.id, deadline=invocation.deadline, trace=trace)


def _ask(service: Service, request: Request) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(service.handle(request).body)
    return document

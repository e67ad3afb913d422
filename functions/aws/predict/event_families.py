"""Tells the families of HTTP events apart; each has a translator of its own."""

from __future__ import annotations

from typing import Any

import event_http_v2
import event_rest_v1
from pilotlight.http.messages import Request


def to_head(event: Any, request_id: str, deadline: float) -> Request:  # noqa: ANN401 - whatever was sent
    """The request in an event, without its body. Raises ValueError for an event that is no HTTP request."""
    match event:
        case {"version": "2.0", "rawPath": str(), "requestContext": {"http": {"method": str()}}}:
            return event_http_v2.to_head(event, request_id, deadline)
        case {"httpMethod": str(), "path": str()}:
            return event_rest_v1.to_head(event, request_id, deadline)
    found = f"the fields {sorted(event)}" if isinstance(event, dict) else type(event).__name__
    raise ValueError(f"expected an HTTP event of API Gateway or a function URL, found {found}")

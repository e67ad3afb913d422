"""Flask's request and reply, which functions-framework hands to an HTTP function."""

from __future__ import annotations

import flask

from cloud_logging import trace_fields
from pilotlight.messages import Request, Response


def to_request(request: flask.Request) -> Request:
    """The core's request."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Request(
        method=request.method,
        path=request.path,
        headers=headers,
        body=request.get_data(cache=False),
        trace=trace_fields(headers),
    )


def to_reply(response: Response) -> flask.Response:
    """Flask's reply."""
    return flask.Response(response.body, response.status, dict(response.headers))

"""Flask's request and reply, which functions-framework hands to an HTTP function."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

import flask

from cloud_logging import trace_fields
from pilotlight.messages import Request, Response


def to_request(request: flask.Request, environ: Mapping[str, str]) -> Request:
    """The core's request. `environ` may name the project of its trace."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Request(
        method=request.method,
        path=_path(request),
        headers=headers,
        body=request.get_data(cache=False),
        trace=trace_fields(headers, environ),
    )


def _path(request: flask.Request) -> str:
    """The path as it was sent, decoded once: Flask's own has slashes merged that API Gateway leaves as they are."""
    sent = str(request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or "").partition("?")[0]
    return unquote(sent) if sent.startswith("/") else request.path


def to_reply(response: Response) -> flask.Response:
    """Flask's reply. Without a body it has no length: to a HEAD that would be the length of another body."""
    reply = flask.Response(response.body, response.status, dict(response.headers))
    if not response.body:
        del reply.headers["content-length"]
        reply.automatically_set_content_length = False  # or werkzeug sets it again on the way out
    return reply

"""Flask's request and reply, which functions-framework hands to an HTTP function."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from urllib.parse import unquote

import flask
from werkzeug.exceptions import ClientDisconnected

from cloud_logging import trace_fields
from pilotlight.errors import InvalidRequest, RequestError, RequestTimeout
from pilotlight.frozen import TYPE_CHECKING, replace
from pilotlight.http.messages import Request, Response

if TYPE_CHECKING:
    from pilotlight.service import Service

_STEP = 1 << 20


def handle(service: Service, request: flask.Request, environ: Mapping[str, str]) -> Response:
    """What the service answers. `environ` may name the project of the request's trace."""
    head = _head(request, environ)
    try:
        return service.handle(replace(head, body=_body(request, service.max_body_bytes)))
    except RequestError as error:
        return service.refuse(head, error)


def _head(request: flask.Request, environ: Mapping[str, str]) -> Request:
    """The core's request, without its body."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Request(
        method=request.method,
        path=_path(request),
        headers=headers,
        trace=trace_fields(headers, environ),
    )


def _body(request: flask.Request, limit: int) -> bytes:
    """The body, or the beginning of one that is longer than `limit`: more than that, so that it is refused.

    The rest is read too, and thrown away: a caller who is cut off while sending never reads the refusal. Raises
    InvalidRequest for a body that does not come as its headers say, and RequestTimeout.
    """
    stream = request.stream
    request.stream = BytesIO()  # functions-framework reads what is left, of any length
    kept: list[bytes] = []
    size = 0
    try:
        while chunk := stream.read(_STEP):
            if size <= limit:
                kept.append(chunk)
            size += len(chunk)
        if size < (request.content_length or 0):
            raise EOFError
    except _faults() as fault:
        if size <= limit:
            raise _refusal(fault, request.content_length) from None
    return b"".join(kept)


def _faults() -> tuple[type[Exception], ...]:
    """What a body raises that is broken off, malformed or late: under gunicorn, and under Flask's own server."""
    from gunicorn.http.errors import ParseException  # noqa: PLC0415 - only what is refused needs it

    return (EOFError, OSError, ClientDisconnected, ParseException)


def _refusal(fault: Exception, length: int | None) -> RequestError:
    if isinstance(fault, TimeoutError):
        return RequestTimeout()
    if length is None:
        return InvalidRequest("the body's chunks are malformed, or end before the last one")
    return InvalidRequest(f"the body ends before the {length} bytes that the header content-length says")


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

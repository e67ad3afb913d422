"""Flask's requests and replies, as functions-framework passes them to an HTTP function."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from io import BytesIO
from urllib.parse import unquote

import flask
from werkzeug.exceptions import ClientDisconnected

from cloud_logging import trace_fields
from pilotlight.errors import InvalidRequest, RequestError, RequestTimeout, TooLarge
from pilotlight.frozen import TYPE_CHECKING, replace
from pilotlight.http.messages import Request, Response

if TYPE_CHECKING:
    from pilotlight.service import Service

_STEP = 1 << 20


def handle(service: Service, request: flask.Request, environ: Mapping[str, str]) -> Response:
    """Return the service's response. `environ` may name the project of the request's trace."""
    head = _head(request, environ)
    try:
        return service.handle(replace(head, body=_body(request, service.max_body_bytes)))
    except RequestError as error:
        return service.refuse(head, error)


def refuse(service: Service, status: int, message: str) -> tuple[Mapping[str, str], bytes]:
    """Return headers and body of the response to a request whose head gunicorn could not parse."""
    error: RequestError = InvalidRequest(f"malformed request: {message[:200]}")
    if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
        error = TooLarge("the headers exceed the limit of 8190 bytes each, or of 100")
    error.status = status
    response = service.refuse(Request(method="", path=""), error)
    return response.headers, response.body


def _head(request: flask.Request, environ: Mapping[str, str]) -> Request:
    """Return the core's request, without its body."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Request(
        method=request.method,
        path=_path(request),
        headers=headers,
        trace=trace_fields(headers, environ),
    )


def _body(request: flask.Request, limit: int) -> bytes:
    """Return the body; instead of one longer than `limit` bytes, zeros, which the service refuses for their number.

    What will be refused is read and discarded, because a client that is cut off while it sends never reads the
    response: it takes no memory, and neither do zeros that nobody writes. Raises InvalidRequest for a body that does
    not match its headers, and RequestTimeout.
    """
    stream = request.stream
    request.stream = BytesIO()  # functions-framework reads the rest, of any length
    declared = request.content_length or 0
    kept: list[bytes] = []
    size = 0
    try:
        while chunk := stream.read(_STEP):
            size += len(chunk)
            if max(size, declared) <= limit:
                kept.append(chunk)
            else:
                kept.clear()
        if size < declared:
            raise EOFError
    except _body_errors() as error:
        if size <= limit:
            raise _to_request_error(error, request.content_length) from None
    return b"".join(kept) if size <= limit else bytes(limit + 1)


def _body_errors() -> tuple[type[Exception], ...]:
    """Return the errors of a truncated, malformed or late body, under gunicorn and under Flask's own server."""
    from gunicorn.http.errors import ParseException  # noqa: PLC0415 - only a failed read needs it

    return (EOFError, OSError, ClientDisconnected, ParseException)


def _to_request_error(error: Exception, length: int | None) -> RequestError:
    if isinstance(error, TimeoutError):
        return RequestTimeout()
    if length is None:
        return InvalidRequest("the chunked body is malformed or incomplete")
    return InvalidRequest(f"the body is shorter than its content-length of {length} bytes")


def _path(request: flask.Request) -> str:
    """Return the path as sent, decoded once: Flask's own merges slashes, which API Gateway does not."""
    sent = str(request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or "").partition("?")[0]
    return unquote(sent) if sent.startswith("/") else request.path


def to_reply(response: Response) -> flask.Response:
    """Return Flask's reply. Without a body it has no length: for a HEAD that would be the length of a GET's body."""
    reply = flask.Response(response.body, response.status, dict(response.headers))
    if not response.body:
        del reply.headers["content-length"]
        reply.automatically_set_content_length = False  # or werkzeug sets it again on the way out
    return reply

"""Requests as gunicorn hands them to functions-framework's application, and replies, without Flask in between.

Flask documents `app.wsgi_app` as the place for what has to happen before Flask: of a request's processor time more than
half was Flask's, Werkzeug's and the framework's own (`bench/throughput.py`).
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from urllib.parse import unquote

from werkzeug.exceptions import ClientDisconnected
from werkzeug.wsgi import get_content_length, get_input_stream, get_path_info

import gunicorn_worker
from cloud_logging import trace_fields
from pilotlight.errors import InvalidRequest, RequestError, RequestTimeout, TooLarge
from pilotlight.frozen import EMPTY, TYPE_CHECKING, replace
from pilotlight.http.messages import Request, Response

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from pilotlight.service import Service
    from pilotlight.start.loading import Loader

# A header of API Gateway, in which a caller that comes another way can write anything, as in any header.
_USER_INFO = "x-apigateway-api-userinfo"

_STEP = 1 << 20
_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_HEADERS_OUTSIDE = (("CONTENT_TYPE", "content-type"), ("CONTENT_LENGTH", "content-length"))


def application(
    service: Service, loader: Loader, prepare: Callable[[], None], environ: Mapping[str, str]
) -> WSGIApplication:
    """Return a WSGI application (PEP 3333) that does `prepare` and answers by the service.

    `environ` may name the project of a request's trace. Without a body a reply has no length: for a HEAD that would be
    the length of a GET's body.
    """

    def answer(wsgi: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        prepare()
        response = _handle(service, wsgi, environ)
        if loader.state == "failed":  # after the start: this instance could never answer a prediction
            gunicorn_worker.end_when_answered()
        headers = list(response.headers.items())
        if response.body:
            headers.append(("content-length", str(len(response.body))))
        start_response(_STATUS_LINES[response.status], headers)
        return (response.body,) if response.body else ()

    return answer


def _handle(service: Service, wsgi: WSGIEnvironment, environ: Mapping[str, str]) -> Response:
    head = _head(wsgi, environ)
    try:
        return service.handle(replace(head, body=_body(wsgi, service.max_body_bytes)))
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


def _head(wsgi: WSGIEnvironment, environ: Mapping[str, str]) -> Request:
    """Return the core's request, without its body."""
    headers = {name[5:].replace("_", "-").lower(): value for name, value in wsgi.items() if name.startswith("HTTP_")}
    for variable, name in _HEADERS_OUTSIDE:
        if wsgi.get(variable):
            headers[name] = wsgi[variable]
    return Request(
        method=wsgi["REQUEST_METHOD"],
        path=_path(wsgi),
        headers=headers,
        trace=trace_fields(headers, environ),
        claims=_claims(headers[_USER_INFO]) if _USER_INFO in headers else EMPTY,
    )


def _claims(user_info: str) -> Mapping[str, object]:
    """Return the claims of a token that API Gateway has checked, which it passes on as JSON in base64url.

    https://cloud.google.com/api-gateway/docs/passing-data#user-info
    """
    try:
        found = json.loads(urlsafe_b64decode(user_info + "=" * (-len(user_info) % 4)))
    except (ValueError, RecursionError):
        return EMPTY
    return found if isinstance(found, dict) else EMPTY


def _body(wsgi: WSGIEnvironment, limit: int) -> bytes:
    """Return the body; instead of one longer than `limit` bytes, zeros, which the service refuses for their number.

    What will be refused is read and discarded, because a client that is cut off while it sends never reads the
    response: it takes no memory, and neither do zeros that nobody writes. Raises InvalidRequest for a body that does
    not match its headers, and RequestTimeout.
    """
    stream, length = get_input_stream(wsgi), get_content_length(wsgi)
    declared = length or 0
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
            raise _to_request_error(error, length) from None
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


def _path(wsgi: WSGIEnvironment) -> str:
    """Return the path as sent, decoded once: PATH_INFO of some servers has merged slashes, which API Gateway keeps."""
    sent = str(wsgi.get("RAW_URI") or wsgi.get("REQUEST_URI") or "").partition("?")[0]
    return unquote(sent) if sent.startswith("/") else get_path_info(wsgi)

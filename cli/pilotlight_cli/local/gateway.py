"""A local API Gateway HTTP API, the front of the function on AWS."""

from __future__ import annotations

import json
import secrets
import time
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from pilotlight_cli.local.events import HttpRequest, http_api_event
from pilotlight_cli.local.lambda_runtime import EventTooLarge, FunctionFailed
from pilotlight_cli.local.process import ServeError
from pilotlight_cli.local.wsgi import body_status, serving_wsgi

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
MAX_BODY_BYTES = 10 * 1024 * 1024

Invoke = Callable[[object], Any]

# Headers that the gateway sets itself.
_DROPPED = ("connection", "content-length", "transfer-encoding")


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response. Header names are as the function wrote them; each cookie has its own header."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def to_reply(result: object) -> Reply:
    """Convert what a function returned to the response of an HTTP API: payload format 2.0.

    Without a `statusCode` the whole result is the body of a 200. An invalid format is a 500.
    """
    if not isinstance(result, dict) or "statusCode" not in result:
        text = result if isinstance(result, str) else json.dumps(result)
        return Reply(200, (("content-type", "application/json"),), text.encode())
    body = result.get("body")
    status = _status(result["statusCode"])
    headers = result.get("headers") or {}
    cookies = result.get("cookies") or []
    if status is None or not isinstance(headers, dict) or not isinstance(cookies, list):
        return error_reply(500, "Internal Server Error")
    if body is not None and not isinstance(body, str):
        return error_reply(500, "Internal Server Error")
    try:
        content = b64decode(body or "", validate=True) if result.get("isBase64Encoded") else (body or "").encode()
    except Base64Error:
        return error_reply(500, "Internal Server Error")
    found = [(str(name), _header_value(value)) for name, value in headers.items() if name.lower() not in _DROPPED]
    if not any(name.lower() == "content-type" for name, _ in found):
        found.append(("content-type", "text/plain; charset=utf-8"))
    return Reply(status, (*found, *(("set-cookie", str(cookie)) for cookie in cookies)), content)


def error_reply(status: int, message: str) -> Reply:
    """Return an error of the gateway itself."""
    return Reply(status, (("content-type", "application/json"),), json.dumps({"message": message}).encode())


def answer(request: HttpRequest, invoke: Invoke) -> Reply:
    """Invoke the function with a request, and return the response of the gateway."""
    if len(request.body) > MAX_BODY_BYTES:
        return error_reply(413, "Request Entity Too Large")
    try:
        return to_reply(invoke(http_api_event(request)))
    except EventTooLarge:
        return error_reply(413, "Request Entity Too Large")
    except (FunctionFailed, ServeError):
        return error_reply(500, "Internal Server Error")


@contextmanager
def gateway(invoke: Invoke, port: int = 0, clock: Callable[[], float] = time.time) -> Iterator[str]:
    """Serve an HTTP API in front of a function; yield its URL. See `gateway_application`. Raise PortTaken."""
    with serving_wsgi(gateway_application(invoke, clock), port) as url:
        yield url


def gateway_application(invoke: Invoke, clock: Callable[[], float] = time.time) -> WSGIApplication:
    """Return an HTTP API in front of a function. Each request calls `invoke` in a thread of its own.

    `clock` returns the time in seconds since 1970.
    """

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            request = _read(Request(environ), clock())
        except OSError as error:
            status = HTTPStatus(body_status(error))
            refusal = error_reply(status, status.phrase)
            return Response(refusal.body, refusal.status, refusal.headers)(environ, start_response)
        reply = answer(request, invoke)
        headers = [*reply.headers, ("apigw-requestid", request.request_id)]
        response = Response(reply.body, reply.status, headers)
        if request.method == "HEAD":  # the length would be of a GET's body, which a function leaves out
            response.automatically_set_content_length = False
            response.headers.pop("content-length", None)
        return response(environ, start_response)

    return application


def _read(request: Request, now: float) -> HttpRequest:
    caller = request.remote_addr or "127.0.0.1"
    added = (
        ("x-amzn-trace-id", f"Root=1-{int(now):08x}-{secrets.token_hex(12)}"),
        ("x-forwarded-for", caller),
        ("x-forwarded-port", str(request.environ["SERVER_PORT"])),
        ("x-forwarded-proto", "http"),
    )
    return HttpRequest(
        method=request.method,
        target=request.environ["REQUEST_URI"],
        headers=(*((name, value.strip()) for name, value in request.headers.items()), *added),
        body=_body(request),
        request_id=secrets.token_urlsafe(11) + "=",
        source=caller,
        time=now,
    )


def _body(request: Request) -> bytes:
    """Return the body; of one that is too large, more than the limit, so that it is refused."""
    kept = bytearray()
    # Read and discard the rest: a caller that is cut off while sending would never read the refusal.
    while chunk := request.stream.read(1 << 16):
        if len(kept) <= MAX_BODY_BYTES:
            kept += chunk
    return bytes(kept)


def _status(value: object) -> int | None:
    """Return a status code, which may be a string, or None if it is invalid."""
    text = str(value)
    return int(text) if not isinstance(value, bool) and text.isdigit() and 100 <= int(text) <= 599 else None


def _header_value(value: object) -> str:
    return json.dumps(value) if isinstance(value, (bool, int, float)) else str(value)

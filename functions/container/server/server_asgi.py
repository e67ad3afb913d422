"""Requests as an ASGI server hands them over, and replies: https://asgi.readthedocs.io/en/latest/specs/www.html."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import server_metrics
from cloud_logging import trace_fields
from pilotlight.errors import InvalidRequest, RequestError, RequestTimeout, TooLarge
from pilotlight.frozen import TYPE_CHECKING, replace
from pilotlight.http.messages import Request, Response

if TYPE_CHECKING:
    from pilotlight.service import Service
    from pilotlight.start.loading import Loader

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# What the scope says of a body that did not come to its end: MALFORMED or LATE; see server_protocol.
BODY_ENDED = "pilotlight.body_ended"
MALFORMED, LATE = "malformed", "late"

# Short work runs on the event loop: a thread of the pool takes 40 us of a processor more for each request, of 125 (one
# row of the sample, uvicorn 0.55). Longer work would hold up everybody else: requests of more bytes, and all requests
# to a model that has taken more seconds than this on an average.
_LOOP_BYTES = 1 << 14
_LOOP_SECONDS = 0.003
_WEIGHT = 0.05  # of the latest request in the average

# Requests that wait for the model or run at the same time; onnxruntime and numpy let other threads run meanwhile.
THREADS = 16


class Application:
    """An ASGI application that answers by the service."""

    def __init__(self, service: Service, loader: Loader, environ: Mapping[str, str], *, threads: int = THREADS) -> None:
        """`environ` may name the project of a request's trace. `threads` run the requests that may take long."""
        self._service = service
        self._loader = loader
        self._environ = environ
        self._pool = ThreadPoolExecutor(threads, "request")
        self._seconds = 0.0  # of processor time that a short request takes on an average

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = _headers(scope["headers"])
        if scope["raw_path"] == server_metrics.PATH.encode() and scope["method"] == "GET":
            content_type, text = await asyncio.to_thread(server_metrics.exposition, headers.get("accept", ""))
            await _reply(send, Response(200, {"content-type": content_type}, text), closes=False)
            return
        head = Request(
            method=scope["method"],
            path=unquote(scope["raw_path"].decode("latin-1")),
            headers=headers,
            trace=trace_fields(headers, self._environ),
        )
        try:
            request = replace(head, body=await self._body(scope, receive, headers))
        except RequestError as error:
            response, closes = self._service.refuse(head, error), True
        else:
            response, closes = await self._handle(request), BODY_ENDED in scope
        await _reply(send, response, closes=closes)

    async def _handle(self, request: Request) -> Response:
        is_short = len(request.body) <= _LOOP_BYTES
        if is_short and not self._service.may_wait and self._seconds <= _LOOP_SECONDS and self._loader.state == "ready":
            return self._timed(request)
        # Probes have the loop's own threads: they are answered while all of the pool's wait for the model.
        pool = self._pool if request.method == "POST" else None
        answer = self._timed if is_short else self._service.handle
        return await asyncio.get_running_loop().run_in_executor(pool, answer, request)

    def _timed(self, request: Request) -> Response:
        began = time.thread_time()
        response = self._service.handle(request)
        if request.method == "POST":
            self._seconds += _WEIGHT * (time.thread_time() - began - self._seconds)
        return response

    async def _body(self, scope: Scope, receive: Receive, headers: Mapping[str, str]) -> bytes:
        """Return the body; instead of one longer than the limit, zeros, which the service refuses for their number.

        What will be refused is read and discarded, because a client that is cut off while it sends never reads the
        response. Raises InvalidRequest for a body that does not match its headers, and RequestTimeout.
        """
        limit, declared = self._service.max_body_bytes, int(headers.get("content-length", 0))
        kept: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            content = message.get("body", b"")
            size += len(content)
            if max(size, declared) <= limit:
                kept.append(content)
            else:
                kept.clear()
            if (message["type"] == "http.disconnect" or BODY_ENDED in scope) and size <= limit:
                raise _ended(scope.get(BODY_ENDED, MALFORMED), headers.get("content-length"))
        return b"".join(kept) if size <= limit else bytes(limit + 1)


def refuse(service: Service, status: int, message: str) -> Response:
    """Return the response to a request whose head is malformed."""
    error: RequestError = InvalidRequest(f"malformed request: {message}")
    if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
        error = TooLarge(message)
    error.status = status
    return service.refuse(Request(method="", path=""), error)


def _ended(how: str, length: str | None) -> RequestError:
    if how == LATE:
        return RequestTimeout()
    if length is None:
        return InvalidRequest("the chunked body is malformed or incomplete")
    return InvalidRequest(f"the body is shorter than its content-length of {length} bytes")


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by their names in lower case; the values of one that comes twice are joined (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers


def head_fields(response: Response, *, closes: bool) -> list[tuple[bytes, bytes]]:
    """Return a response's headers. Without a body it has no length: for a HEAD that would be of a GET's body."""
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    if response.body:
        fields.append((b"content-length", str(len(response.body)).encode()))
    if closes:
        fields.append((b"connection", b"close"))
    return fields


async def _reply(send: Send, response: Response, *, closes: bool) -> None:
    fields = head_fields(response, closes=closes)
    await send({"type": "http.response.start", "status": response.status, "headers": fields})
    await send({"type": "http.response.body", "body": response.body})

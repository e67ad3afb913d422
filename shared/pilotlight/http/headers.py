"""Headers that every route shares: request ids, compression, CORS."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from pilotlight.frozen import replace
from pilotlight.http.messages import Request
from pilotlight.http.routes import Route

# Shorter responses are never compressed: two or three packets on the network do not become one.
SHORTEST_COMPRESSED = 4096

# Characters of a request id that a caller may choose.
LONGEST_ID = 128


def choose_request_id(request: Request) -> str:
    """Return the caller's id of the request if a header and a log can carry it, else the platform's."""
    given = request.headers.get("x-request-id", "")
    if 0 < len(given) <= LONGEST_ID and given.isascii() and given.isprintable() and " " not in given:
        return given
    return request.id or os.urandom(16).hex()


def log_trace(request: Request, request_id: str) -> Mapping[str, object]:
    """Return the platform's fields of the log line, with its request id if the caller chose another."""
    if not request.id or request.id == request_id:
        return request.trace
    return {**request.trace, "platform_request_id": request.id}


def decompress(request: Request, limit: int) -> Request:
    """Return the request with its body decompressed, of at most `limit` bytes."""
    encoding = request.headers.get("content-encoding")
    if encoding is None:
        return request
    from pilotlight.http.compression import decode_body  # noqa: PLC0415 - few requests are compressed

    return replace(request, body=decode_body(encoding, request.body, limit))


def compress(request: Request, headers: dict[str, str], body: bytes) -> bytes:
    """Return the body in the encoding that the caller prefers; update `headers`."""
    if len(body) < SHORTEST_COMPRESSED or "accept-encoding" not in request.headers or request.is_text_only:
        return body
    from pilotlight.http.compression import encode_body  # noqa: PLC0415 - most replies are short

    body, more = encode_body(request.headers["accept-encoding"], body)
    headers.update(more)
    return body


def cross_origin_headers(
    request: Request, route: Route | None, origins: Sequence[str], headers: Mapping[str, str]
) -> dict[str, str]:
    """Return the CORS headers of a response, with the `vary` of `headers` kept."""
    from pilotlight.http.cors import cors_headers  # noqa: PLC0415 - off by default

    more = cors_headers(origins, request.headers, route.methods if route else ())
    if "vary" in headers and "vary" in more:
        more["vary"] = f"{headers['vary']}, {more['vary']}"
    return more

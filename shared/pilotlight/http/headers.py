"""HTTP's manners, the same on every route: request ids, compressed bodies, calls from other origins."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from pilotlight.frozen import replace
from pilotlight.http.messages import Request
from pilotlight.http.routes import Route

# Shorter replies are never compressed: two or three packets on the network do not become one.
SHORTEST_COMPRESSED = 4096

# Characters of a request id that a caller may choose.
LONGEST_ID = 128


def identify(request: Request) -> str:
    """The caller's own id for the request, where it can be written into a header and a log, else the platform's."""
    given = request.headers.get("x-request-id", "")
    if 0 < len(given) <= LONGEST_ID and given.isascii() and given.isprintable() and " " not in given:
        return given
    return request.id or os.urandom(16).hex()


def traced(request: Request, request_id: str) -> Mapping[str, object]:
    """What the platform wants in the log line; its own id of the request too, where the caller gave another."""
    if not request.id or request.id == request_id:
        return request.trace
    return {**request.trace, "platform_request_id": request.id}


def expanded(request: Request, limit: int) -> Request:
    """The request with its body as it was before it was compressed, of at most `limit` bytes."""
    encoding = request.headers.get("content-encoding")
    if encoding is None:
        return request
    from pilotlight.http.compression import decode_body  # noqa: PLC0415 - few requests are compressed

    return replace(request, body=decode_body(encoding, request.body, limit))


def compressed(request: Request, headers: dict[str, str], body: bytes) -> bytes:
    """The reply's body as the caller wants it; `headers` are told."""
    if len(body) < SHORTEST_COMPRESSED or "accept-encoding" not in request.headers:
        return body
    from pilotlight.http.compression import encode_body  # noqa: PLC0415 - most replies are short

    body, more = encode_body(request.headers["accept-encoding"], body)
    headers.update(more)
    return body


def cross_origin(
    request: Request, route: Route | None, origins: Sequence[str], headers: Mapping[str, str]
) -> dict[str, str]:
    """The headers for a browser whose page may be of another origin. A `vary` that is in `headers` is kept."""
    from pilotlight.http.cors import cors_headers  # noqa: PLC0415 - off by default

    more = cors_headers(origins, request.headers, route.methods if route else ())
    if "vary" in headers and "vary" in more:
        more["vary"] = f"{headers['vary']}, {more['vary']}"
    return more

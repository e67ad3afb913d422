"""Cross-origin requests (https://fetch.spec.whatwg.org/#http-cors-protocol): which pages may call from a browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_ALLOWED = (
    "authorization, content-encoding, content-type, inference-header-content-length, traceparent, tracestate, "
    "x-api-key, x-pilotlight-variant, x-request-id"
)
_EXPOSED = "inference-header-content-length, retry-after, x-pilotlight-variant, x-request-id"
_SECONDS = "600"


def cors_headers(origins: Sequence[str], headers: Mapping[str, str], methods: Sequence[str]) -> dict[str, str]:
    """Return a response's CORS headers. `origins` may contain `*`; `methods` are those of the requested route."""
    is_any_allowed = "*" in origins
    varies = {} if is_any_allowed else {"vary": "origin"}
    origin = headers.get("origin", "")
    if not is_any_allowed and origin not in origins:
        return varies
    allowed = {"access-control-allow-origin": "*" if is_any_allowed else origin, **varies}
    if "access-control-request-method" not in headers:
        return {**allowed, "access-control-expose-headers": _EXPOSED}
    return {
        **allowed,
        "access-control-allow-methods": ", ".join(methods),
        "access-control-allow-headers": _ALLOWED,
        "access-control-max-age": _SECONDS,
    }

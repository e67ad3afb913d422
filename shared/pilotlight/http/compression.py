"""Compressed bodies: limited in requests, and in responses only if accepted and shorter."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from pilotlight.errors import InvalidRequest, TooLarge, UnsupportedMediaType
from pilotlight.model.json_document import describe

# Of JSON with numbers in it the fastest level leaves 40 %; the usual one takes four times as long for one point more.
_LEVEL = 1

# A response is compressed if its beginning shrinks to this share: floats as bytes hardly shrink.
_BEGINNING = 4096
_WORTHWHILE = 0.8

# zlib's numbers of the two formats. HTTP's "deflate" is the format of zlib (RFC 9110, 8.4.1.2).
_GZIP = 16 + zlib.MAX_WBITS
_FORMATS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}


def decode_body(encoding: str, body: bytes, limit: int) -> bytes:
    """Return the decompressed body, of at most `limit` bytes.

    Raise UnsupportedMediaType for an unknown encoding or more than one, TooLarge, or InvalidRequest for a body that is
    not in that encoding.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in _FORMATS:
        raise UnsupportedMediaType(f"found content encoding {describe(encoding)}, expected gzip or deflate")
    stream = zlib.decompressobj(_FORMATS[name])
    try:
        content = stream.decompress(body, limit + 1)
    except zlib.error:
        raise InvalidRequest(f"the body is not {name} although the header content-encoding says so") from None
    if len(content) > limit:
        raise TooLarge(f"the decompressed body exceeds the limit of {limit} bytes")
    if not stream.eof:
        raise InvalidRequest(f"the {name} body is truncated")
    if stream.unused_data:
        raise InvalidRequest(f"found {len(stream.unused_data)} bytes after the end of the {name} body")
    return content


def encode_body(accepted: str, body: bytes) -> tuple[bytes, Mapping[str, str]]:
    """Return a body in the encoding that `accept-encoding` prefers, and the headers for it."""
    varies = {"vary": "accept-encoding"}
    if not accepts_gzip(accepted) or not _shrinks(body[:_BEGINNING]):
        return body, varies
    return _gzip(body), varies | {"content-encoding": "gzip"}


def accepts_gzip(accepted: str) -> bool:
    """Whether gzip is acceptable and nothing else is preferred (RFC 9110, 12.5.3)."""
    weights: dict[str, float] = {}
    for item in accepted.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        weights[name] = _weight(parameters)
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _weight(parameters: list[str]) -> float:
    """Return the parameter `q`, by default 1; a malformed one counts as 0."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            value = value.strip()
            return float(value) if value.replace(".", "", 1).isdecimal() and value.isascii() else 0.0
    return 1.0


def _shrinks(beginning: bytes) -> bool:
    return len(_gzip(beginning)) <= _WORTHWHILE * len(beginning)


def _gzip(body: bytes) -> bytes:
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return stream.compress(body) + stream.flush()

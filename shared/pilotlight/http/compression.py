"""Compressed bodies: bounded on the way in, and on the way out only where it is asked for and shortens the reply."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from pilotlight.errors import InvalidRequest, TooLarge, UnsupportedMediaType
from pilotlight.model.json_document import describe

# Of JSON with numbers in it the fastest level leaves 40 %; the usual one takes four times as long for one point more.
_LEVEL = 1

# How many bytes of a reply must shrink to what part for the rest to be worth it: floats as bytes hardly do.
_BEGINNING = 4096
_WORTH = 0.8

# zlib's numbers for the two formats. HTTP's "deflate" is the format of zlib (RFC 9110, 8.4.1.2).
_GZIP = 16 + zlib.MAX_WBITS
_FORMATS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}


def decode_body(encoding: str, body: bytes, limit: int) -> bytes:
    """The body that `content-encoding` says is compressed, of at most `limit` bytes.

    Raises UnsupportedMediaType for another encoding or more than one, TooLarge, or InvalidRequest where the body is not
    what it should be.
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
        raise InvalidRequest(f"the body is not {name}, as the header content-encoding says") from None
    if len(content) > limit:
        raise TooLarge(f"the body expands to more than {limit} bytes, which is the limit")
    if not stream.eof:
        raise InvalidRequest(f"the body's {name} ends too early")
    if stream.unused_data:
        raise InvalidRequest(f"{len(stream.unused_data)} bytes follow the body's {name}")
    return content


def encode_body(accepted: str, body: bytes) -> tuple[bytes, Mapping[str, str]]:
    """A reply as the header `accept-encoding` wants it, and the headers that say so."""
    varies = {"vary": "accept-encoding"}
    if not takes_gzip(accepted) or not _shrinks(body[:_BEGINNING]):
        return body, varies
    return _gzip(body), varies | {"content-encoding": "gzip"}


def takes_gzip(accepted: str) -> bool:
    """Whether gzip is acceptable and nothing else is preferred (RFC 9110, 12.5.3)."""
    weights: dict[str, float] = {}
    for item in accepted.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        weights[name] = _weight(parameters)
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _weight(parameters: list[str]) -> float:
    """The parameter `q`, by default 1; what is no number counts as a refusal."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            value = value.strip()
            return float(value) if value.replace(".", "", 1).isdecimal() and value.isascii() else 0.0
    return 1.0


def _shrinks(beginning: bytes) -> bool:
    return len(_gzip(beginning)) <= _WORTH * len(beginning)


def _gzip(body: bytes) -> bytes:
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return stream.compress(body) + stream.flush()

"""Heads of HTTP/1.1 requests beyond what httptools checks: what leaves their end or their meaning open is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus

# As the function on Google Cloud limits them.
_MAX_FIELDS = 100
_MAX_FIELD = 8190
_LARGE = f"the headers exceed the limit of {_MAX_FIELD} bytes each, or of {_MAX_FIELDS}"

_TARGET = re.compile(rb"(?:[a-zA-Z][a-zA-Z0-9+.-]*://[^/?]+)?([/?*][!-~]*|)")
_VALUE = re.compile(rb"[\t -~\x80-\xff]*")
_LENGTH = re.compile(rb"[0-9]{1,19}")

# RFC 9112, section 7: these are defined, and only the first is understood here.
_CODINGS = (b"chunked", b"compress", b"deflate", b"gzip", b"identity")

# RFC 9110, section 5.3: names whose values cannot be joined.
_SINGLE = (b"host", b"content-type", b"content-length")

# RFC 9110, section 6.5.1: they change how a message is read.
_NO_TRAILERS = (b"authorization", b"content-length", b"host", b"te", b"trailer", b"transfer-encoding")

# llhttp skips them.
_TWO_BLANKS = re.compile(rb"[\r\n]*[A-Z]+  ")

Fields = Sequence[tuple[bytes, bytes]]


class Malformed(Exception):
    """A request that is refused before anybody looks at what it asks; `status` is the response's."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status

    @classmethod
    def large(cls) -> Malformed:
        """Return the error of a head that is too large."""
        return cls(_LARGE, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)


def check_start(received: bytes) -> None:
    """Raise Malformed for a request that begins with more than one blank behind its method."""
    if _TWO_BLANKS.match(received):
        raise Malformed("two blanks behind the method")


def check_head(target: bytes, fields: Fields, method: bytes, version: str) -> None:
    """Raise Malformed for a request line or for headers, whose names are in lower case."""
    if version not in ("1.0", "1.1"):
        raise Malformed(f"expected HTTP/1.1, found HTTP/{version}")
    match = _TARGET.fullmatch(target)
    if match is None or (match[1].startswith(b"*") and (match[1] != b"*" or method != b"OPTIONS")):
        raise Malformed("the target is no path")
    names = [name for name, _ in fields]
    if len(fields) > _MAX_FIELDS or any(len(name) + len(value) + 4 > _MAX_FIELD for name, value in fields):
        raise Malformed.large()
    for name, value in fields:
        if _VALUE.fullmatch(value) is None:
            raise Malformed("a header has a control character")
        if name in _SINGLE and names.count(name) > 1:
            raise Malformed(f"two headers {name.decode()}")
        if name == b"content-length" and _LENGTH.fullmatch(value) is None:
            raise Malformed("content-length is no number")
        if name == b"expect" and value.lower() != b"100-continue":
            raise Malformed("expected the expectation 100-continue", HTTPStatus.EXPECTATION_FAILED)
    if b"transfer-encoding" in names:
        _check_codings(fields, names, version)


def check_trailer(name: bytes) -> None:
    """Raise Malformed for a header that may not follow a body."""
    if name.lower() in _NO_TRAILERS:
        raise Malformed(f"the trailer {name.decode('latin-1')} would change the request")


def origin_form(target: bytes) -> bytes:
    """Return the path of a target, as it was sent, without a query."""
    match = _TARGET.fullmatch(target)
    path = (match[1] if match else target).partition(b"?")[0]
    return path or b"/"


def _check_codings(fields: Fields, names: Sequence[bytes], version: str) -> None:
    values = [value for name, value in fields if name == b"transfer-encoding"]
    codings = [one.strip(b" \t").lower() for value in values for one in value.split(b",")]
    if not set(codings) <= set(_CODINGS):
        raise Malformed("the transfer coding is not known", HTTPStatus.NOT_IMPLEMENTED)
    if codings != [b"chunked"] or b"content-length" in names or version == "1.0":
        raise Malformed("the transfer coding leaves the body's end open")

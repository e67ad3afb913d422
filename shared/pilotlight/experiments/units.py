"""Where the id of a request's unit is: in a header, a field of the body, or a claim."""

from __future__ import annotations

from pilotlight.codec.body import read_body
from pilotlight.codec.encode import to_json
from pilotlight.errors import RequestError
from pilotlight.frozen import replace
from pilotlight.http.messages import Request


def unit_of(source: str, request: Request) -> tuple[str, Request]:
    """Return the id of a request's unit, empty if it has none, and the request that the model reads.

    `source` is `header:NAME`, `field:NAME`, `claim:NAME` or `request`. A field is taken out of the body, which then has
    the model's fields alone. It is in a body of JSON only: CSV and tensors as bytes have none.
    """
    kind, _, name = source.partition(":")
    if kind == "header":
        return _text(_utf8(request.headers.get(name, ""))), request
    if kind == "claim":
        return _text(request.claims.get(name)), request
    return _from_body(name, request) if kind == "field" else ("", request)


def _from_body(name: str, request: Request) -> tuple[str, Request]:
    if "inference-header-content-length" in request.headers:
        return "", request
    try:
        document = read_body(request.headers, request.body)
    except RequestError:  # whose place and reason the route says
        return "", request
    if not isinstance(document, dict) or name not in document:
        return "", request
    value = document.pop(name)
    return _text(value), replace(request, body=to_json(document))


def _text(value: object) -> str:
    """Return a text without spaces at its ends, or the digits of a whole number; of any other value nothing."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) else ""


def _utf8(header: str) -> str:
    """Return a header's text: a WSGI server hands bytes over as Latin-1 (PEP 3333), a gateway as the text itself."""
    if header.isascii():
        return header
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header

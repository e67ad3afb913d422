"""Bodies as both payload formats carry them, in events and in replies: text, or bytes in base64."""

from __future__ import annotations

from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Mapping
from typing import Any

from pilotlight.errors import InvalidRequest
from pilotlight.http.messages import Response
from pilotlight.model.json_document import describe

# Lambda takes replies of 6 MB, written as JSON: a body as text may triple there, in base64 it grows by a third.
_LARGEST_TEXT = 2_000_000

# What a gateway that takes a body for text puts in the place of bytes that are not UTF-8.
_REPLACEMENT = "\ufffd"


def read_body(event: dict[str, Any], headers: Mapping[str, str]) -> bytes:
    """The bytes of an event's body; names of headers are lower-case.

    Raises InvalidRequest where the bytes that the caller sent cannot be told.
    """
    text = event.get("body") or ""
    if not isinstance(text, str):
        raise InvalidRequest(f"expected the event's body as a string, found {describe(text)}")
    try:
        if event.get("isBase64Encoded"):
            return a2b_base64(text, strict_mode=True)
        body = text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("the event's body holds half a character") from None
    except ValueError as error:
        raise InvalidRequest(f"the event says that its body is base64, and it is not: {error}") from None
    if _REPLACEMENT in text and headers.get("content-length") != str(len(body)):
        raise InvalidRequest(
            "the body is not UTF-8: it arrived with U+FFFD in the place of other bytes; send UTF-8, and U+FFFD itself "
            "with its content-length or, in JSON, as \\ufffd"
        )
    return body


def to_reply(response: Response) -> dict[str, Any]:
    """What a handler returns, in either payload format. What is large or no JSON goes as base64, and arrives as it was.

    A REST API needs `*/*` among its binary media types for that.
    """
    headers = response.headers
    is_json = headers.get("content-type") == "application/json" and "content-encoding" not in headers
    as_base64 = not is_json or len(response.body) > _LARGEST_TEXT
    return {
        "statusCode": response.status,
        "headers": dict(headers),
        "body": (b64encode(response.body) if as_base64 else response.body).decode(),
        "isBase64Encoded": as_base64,
    }

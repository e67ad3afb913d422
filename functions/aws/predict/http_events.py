"""HTTP events of API Gateway and of function URLs: requests in, replies out.

Payload format 2.0, of an HTTP API or a function URL:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
Payload format 1.0, of a REST API:
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

from __future__ import annotations

from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Mapping
from typing import Any

from pilotlight.errors import InvalidRequest
from pilotlight.http.messages import Request, Response
from pilotlight.model.json_document import describe

# Lambda accepts replies of 6 MB, written as JSON: a body may triple there as text, and grows by a third in base64.
_MAX_TEXT_BYTES = 2_000_000

# What a gateway that reads a body as text writes in place of bytes that are not UTF-8.
_REPLACEMENT = "\ufffd"


def to_head(event: Any, request_id: str, deadline: float) -> Request:  # noqa: ANN401 - events have any form
    """Return the request in an event, without its body. Raises ValueError if the event is not an HTTP request."""
    match event:
        case {"version": "2.0", "rawPath": str(), "requestContext": {"http": {"method": str()}}}:
            return _head_v2(event, request_id, deadline)
        case {"httpMethod": str(), "path": str()}:
            return _head_v1(event, request_id, deadline)
    found = f"the fields {sorted(event)}" if isinstance(event, dict) else type(event).__name__
    raise ValueError(f"expected an HTTP event of API Gateway or a function URL, found {found}")


def _head_v2(event: dict[str, Any], request_id: str, deadline: float) -> Request:
    """Return the head of payload format 2.0.

    The path of a named stage begins with the stage, which is not part of the route. An HTTP API decodes the path, a
    function URL passes it on percent-encoded.
    """
    context = event["requestContext"]
    path, stage = event["rawPath"], context.get("stage", "$default")
    if f"{path}/".startswith(f"/{stage}/"):
        path = path.removeprefix(f"/{stage}") or "/"
    return Request(
        method=context["http"]["method"],
        path=_decoded(path) if ".lambda-url." in context.get("domainName", "") else path,
        headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
        id=request_id,
        deadline=deadline,
    )


def _head_v1(event: dict[str, Any], request_id: str, deadline: float) -> Request:
    """Return the head of payload format 1.0.

    `path` comes percent-encoded and without the stage. The values of a repeated header are joined by commas.
    """
    headers = event.get("multiValueHeaders") or {}
    return Request(
        method=event["httpMethod"],
        path=_decoded(event["path"]),
        headers={name.lower(): ",".join(values) for name, values in headers.items()},
        id=request_id,
        deadline=deadline,
    )


def _decoded(path: str) -> str:
    if "%" not in path:
        return path
    from urllib.parse import unquote  # noqa: PLC0415 - few requests need it, and every cold start would import it

    return unquote(path)


def read_body(event: dict[str, Any], headers: Mapping[str, str]) -> bytes:
    """Return the bytes of an event's body, in either payload format; header names are lower-case.

    Raises InvalidRequest if the bytes that the caller sent cannot be recovered.
    """
    text = event.get("body") or ""
    if not isinstance(text, str):
        raise InvalidRequest(f"expected the event's body as a string, found {describe(text)}")
    try:
        if event.get("isBase64Encoded"):
            return a2b_base64(text, strict_mode=True)
        body = text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("the event's body contains an unpaired surrogate") from None
    except ValueError as error:
        raise InvalidRequest(f"the event's body is marked as base64 but is not valid base64: {error}") from None
    if _REPLACEMENT in text and headers.get("content-length") != str(len(body)):
        raise InvalidRequest(
            "the body is not UTF-8: it arrived with U+FFFD in place of other bytes; send UTF-8, and U+FFFD itself "
            "with its content-length or, in JSON, as \\ufffd"
        )
    return body


def to_reply(response: Response) -> dict[str, Any]:
    """Return a handler's reply, for either payload format. A body that is large or not JSON is sent as base64.

    A REST API decodes it only if `*/*` is among its binary media types.
    """
    headers = response.headers
    is_json = headers.get("content-type") == "application/json" and "content-encoding" not in headers
    as_base64 = not is_json or len(response.body) > _MAX_TEXT_BYTES
    return {
        "statusCode": response.status,
        "headers": dict(headers),
        "body": (b64encode(response.body) if as_base64 else response.body).decode(),
        "isBase64Encoded": as_base64,
    }

"""HTTP events of an HTTP API and of function URLs, payload format 2.0: requests in, replies out.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
`other_events` has the forms of other front ends, and what is no HTTP.
"""

from __future__ import annotations

import os
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Mapping
from typing import Any

import emf
from pilotlight.errors import InvalidRequest
from pilotlight.frozen import EMPTY, TYPE_CHECKING, dataclass, replace
from pilotlight.http.messages import Request, Response
from pilotlight.model.json_document import describe

if TYPE_CHECKING:
    from pilotlight.service import Service

# Lambda accepts replies of 6 MB, written as JSON: a body may triple there as text, and grows by a third in base64.
_MAX_TEXT_BYTES = 2_000_000

# What a gateway that reads a body as text writes in place of bytes that are not UTF-8.
_REPLACEMENT = "\ufffd"


@dataclass(frozen=True, slots=True)
class Invocation:
    """An event of the function, with Lambda's id of it and its deadline on the clock of `time.monotonic`."""

    event: Any
    id: str
    deadline: float


def is_format_2(event: Any) -> bool:  # noqa: ANN401 - events have any form
    """Whether this is an event of payload format 2.0."""
    match event:
        case {"version": "2.0", "rawPath": str(), "requestContext": {"http": {"method": str()}}}:
            return True
    return False


def answer(service: Service, invocation: Invocation) -> dict[str, Any]:
    """Answer an event of payload format 2.0."""
    event = invocation.event
    head = to_head(event, invocation.id, invocation.deadline)
    return to_reply(ask(service, head, event, event.get("headers"), is_base64=event.get("isBase64Encoded")))


def ask(service: Service, head: Request, event: dict[str, Any], headers: object, *, is_base64: object) -> Response:
    """Return the service's response to a request whose headers and body are as in an event."""
    try:
        found = read_headers(headers)
        head = replace(head, headers=found, trace=emf.trace_fields(found, os.environ))
        body = read_body(event.get("body"), is_base64=is_base64, is_compressed="content-encoding" in found)
        return service.handle(replace(head, body=body))
    except InvalidRequest as error:
        return service.refuse(head, error)


def to_head(event: dict[str, Any], request_id: str, deadline: float) -> Request:
    """Return the request in an event of payload format 2.0, without its headers and body.

    A named stage precedes the path at the API's own address, and not at a domain of one's own. An HTTP API decodes the
    path, a function URL passes it on percent-encoded.
    """
    context = event["requestContext"]
    path, stage, domain = event["rawPath"], context.get("stage", "$default"), str(context.get("domainName"))
    if stage != "$default" and ".execute-api." in domain and f"{path}/".startswith(f"/{stage}/"):
        path = path.removeprefix(f"/{stage}") or "/"
    path = decoded(path) if ".lambda-url." in domain else path
    return Request(context["http"]["method"], path, id=request_id, deadline=deadline, claims=claims(context))


def claims(context: object) -> Mapping[str, object]:
    """Return what the gateway's authorizer says of the caller, by an event's `requestContext`.

    A token's claims, or the context that a Lambda authorizer returned; a REST API has either directly.
    """
    found = context.get("authorizer") if isinstance(context, dict) else None
    if not isinstance(found, dict):
        return EMPTY
    token = found.get("jwt", found)
    for part in (token.get("claims") if isinstance(token, dict) else None, found.get("lambda")):
        if isinstance(part, dict):
            return part
    return found


def decoded(path: str) -> str:
    """Return a path without percent-encoding."""
    if "%" not in path:
        return path
    from urllib.parse import unquote  # noqa: PLC0415 - few requests need it, and every cold start would import it

    return unquote(path)


def read_headers(found: object) -> dict[str, str]:
    """Return the headers of an event by their lower-case names; those with several values are joined by commas.

    Raises InvalidRequest for anything but an object of strings and arrays of strings.
    """
    found = found or {}
    if not isinstance(found, dict):
        raise InvalidRequest(f"expected the event's headers as an object, found {describe(found)}")
    return {name.lower(): value if isinstance(value, str) else _joined(name, value) for name, value in found.items()}


def _joined(name: str, values: object) -> str:
    if isinstance(values, list) and all(isinstance(value, str) for value in values):
        return ",".join(values)
    raise InvalidRequest(f"expected the event's header {name!r} as a string or strings, found {describe(values)}")


def read_body(text: object, *, is_base64: object = False, is_compressed: bool = False) -> bytes:
    """Return the bytes of an event's body. `is_compressed`: as the caller says.

    Raises InvalidRequest if the bytes that the caller sent cannot be recovered.
    """
    text = text or ""
    if not isinstance(text, str):
        raise InvalidRequest(f"expected the event's body as a string, found {describe(text)}")
    try:
        if is_base64:
            return a2b_base64(text, strict_mode=True)
        body = text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("the event's body contains an unpaired surrogate") from None
    except ValueError as error:
        raise InvalidRequest(f"the event's body is marked as base64 but is not valid base64: {error}") from None
    if _REPLACEMENT in text:  # its length proves nothing: a gateway's replacement may be as long as what it replaced
        if is_compressed:
            raise InvalidRequest(
                "the compressed body arrived as text, in which a gateway wrote U+FFFD for what is not UTF-8; send it "
                "without a content type, which means JSON, and CSV uncompressed"
            )
        raise InvalidRequest(
            "the body is not UTF-8: it arrived with U+FFFD, which a gateway writes in place of other bytes; send "
            "UTF-8, and U+FFFD itself in JSON as \\ufffd, or in a compressed body"
        )
    return body


def to_reply(response: Response, *, is_text_only: bool = False) -> dict[str, Any]:
    """Return a reply. A body that is large or not JSON is in base64, unless the front end takes text alone."""
    headers = response.headers
    is_json = headers.get("content-type") == "application/json" and "content-encoding" not in headers
    as_base64 = not is_text_only and (not is_json or len(response.body) > _MAX_TEXT_BYTES)
    return {
        "statusCode": response.status,
        "headers": dict(headers),
        "body": (b64encode(response.body) if as_base64 else response.body).decode(),
        "isBase64Encoded": as_base64,
    }

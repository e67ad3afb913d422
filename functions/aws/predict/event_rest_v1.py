"""API Gateway REST API: the proxy event of payload format 1.0.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any
from urllib.parse import unquote

from pilotlight.messages import Request


def to_request(event: dict[str, Any], request_id: str, deadline: float) -> Request:
    """The request in an event. `path` comes percent-encoded and without the stage; repeated headers get commas."""
    headers = event.get("multiValueHeaders") or {}
    body = event.get("body") or ""
    return Request(
        method=event["httpMethod"],
        path=unquote(event["path"]),
        headers={name.lower(): ",".join(values) for name, values in headers.items()},
        body=b64decode(body) if event.get("isBase64Encoded") else body.encode(),
        id=request_id,
        deadline=deadline,
    )

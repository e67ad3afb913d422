"""API Gateway REST API: the proxy event of payload format 1.0.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

from __future__ import annotations

from typing import Any

from pilotlight.http.messages import Request


def to_head(event: dict[str, Any], request_id: str, deadline: float) -> Request:
    """The request in an event, without its body.

    `path` comes percent-encoded and without the stage. A header that was sent twice is joined by commas.
    """
    path = event["path"]
    if "%" in path:
        from urllib.parse import unquote  # noqa: PLC0415 - few requests need it, and every cold start would import it

        path = unquote(path)
    headers = event.get("multiValueHeaders") or {}
    return Request(
        method=event["httpMethod"],
        path=path,
        headers={name.lower(): ",".join(values) for name, values in headers.items()},
        id=request_id,
        deadline=deadline,
    )

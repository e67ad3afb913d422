"""API Gateway HTTP API and function URLs: payload format 2.0.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

from typing import Any

from pilotlight.http.messages import Request


def to_head(event: dict[str, Any], request_id: str, deadline: float) -> Request:
    """The request in an event, without its body.

    The path of a named stage begins with the stage, which is no part of the route. An HTTP API decodes the path, a
    function URL passes it on percent-encoded.
    """
    context = event["requestContext"]
    path, stage = event["rawPath"], context.get("stage", "$default")
    if f"{path}/".startswith(f"/{stage}/"):
        path = path.removeprefix(f"/{stage}") or "/"
    if "%" in path and ".lambda-url." in context.get("domainName", ""):
        from urllib.parse import unquote  # noqa: PLC0415 - few requests need it, and every cold start would import it

        path = unquote(path)
    return Request(
        method=context["http"]["method"],
        path=path,
        headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
        id=request_id,
        deadline=deadline,
    )

"""API Gateway's event for an authorizer of an HTTP API, payload format 2.0, and the simple response to it.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
"""

from __future__ import annotations

import json
import sys
from typing import Any

from api_keys import Find, KeysUnavailable, check

HEADER = "x-api-key"


def authorize(event: dict[str, Any], find: Find, now: float) -> dict[str, Any]:
    """Return whether the request in an event is allowed. `now` is in seconds since 1970. Raises KeysUnavailable.

    A refusal becomes 403, an exception 500. For a request without the header the gateway itself responds 401, because
    the header is its identity source. `key_id` is for access logs, as `$context.authorizer.key_id`.
    """
    request_id = (event.get("requestContext") or {}).get("requestId", "")
    try:
        verdict = check(_header(event), find, now)
    except KeysUnavailable as error:
        _log(level="ERROR", event="keys_unavailable", request_id=request_id, error=str(error))
        raise
    if verdict.allowed:
        return {"isAuthorized": True, "context": {"key_id": verdict.id}}
    _log(level="WARNING", event="refused", request_id=request_id, key_id=verdict.id, reason=verdict.reason)
    return {"isAuthorized": False}


def _header(event: dict[str, Any]) -> str:
    headers = event.get("headers") or {}
    return next((str(value) for name, value in headers.items() if name.lower() == HEADER), "")


def _log(**fields: str) -> None:
    sys.stdout.write(f"{json.dumps(fields, separators=(',', ':'))}\n")
    sys.stdout.flush()

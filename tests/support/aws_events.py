"""Events of front ends that the local gateway does not emulate: function URLs and REST APIs."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import parse_qsl

from pilotlight_cli.local.events import ACCOUNT, REGION, HttpRequest, format_2_event, log_time, values_by_name

_REST_API = "restapi000"
_FUNCTION_URL = "functionurl00000000000000000000"


def function_url_event(request: HttpRequest) -> dict[str, object]:
    """Return the event of a function URL: payload format 2.0 too, with the path as received.

    https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
    """
    return format_2_event(request, request.path, _FUNCTION_URL, f"{_FUNCTION_URL}.lambda-url.{REGION}.on.aws")


def rest_api_event(request: HttpRequest, stage: str = "prod", *, binary: bool = True) -> dict[str, object]:
    """Return the event of a REST API's `{proxy+}`: the path without its stage, it and the header names as received.

    `binary` is whether the API has `*/*` among its binary media types: then every body is base64. Otherwise none is,
    and bytes that are not UTF-8 are lost.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
    """
    query = parse_qsl(request.query, keep_blank_values=True)
    return {
        "resource": "/{proxy+}",
        "path": request.path,
        "httpMethod": request.method,
        "headers": dict(request.headers) or None,
        "multiValueHeaders": values_by_name(request.headers) or None,
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": values_by_name(query) or None,
        "pathParameters": {"proxy": request.path.lstrip("/")},
        "stageVariables": None,
        "requestContext": _rest_context(request, stage),
        "body": _rest_body(request.body, binary=binary),
        "isBase64Encoded": binary and bool(request.body),
    }


def _rest_body(body: bytes, *, binary: bool) -> str | None:
    if not body:
        return None
    return b64encode(body).decode() if binary else body.decode("utf-8", errors="replace")


def _rest_context(request: HttpRequest, stage: str) -> dict[str, object]:
    return {
        "accountId": ACCOUNT,
        "apiId": _REST_API,
        "domainName": f"{_REST_API}.execute-api.{REGION}.amazonaws.com",
        "domainPrefix": _REST_API,
        "extendedRequestId": request.request_id,
        "httpMethod": request.method,
        "identity": {"sourceIp": request.source, "userAgent": request.header("user-agent") or None},
        "path": f"/{stage}{request.path}",
        "protocol": "HTTP/1.1",
        "requestId": request.request_id,
        "requestTime": log_time(request.time),
        "requestTimeEpoch": int(request.time * 1000),
        "resourceId": "proxy0",
        "resourcePath": "/{proxy+}",
        "stage": stage,
    }

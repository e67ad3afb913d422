"""Converts HTTP requests to the events of AWS's front ends.

AWS does not document which bodies are base64 and which paths are decoded; these were measured:
https://github.com/ministackorg/ministack/pull/766, https://github.com/floci-io/floci/issues/2172 (text in another
charset) and https://github.com/hotsock/voker/pull/8.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote

from werkzeug.http import parse_options_header

_ACCOUNT = "123456789012"
_REGION = "us-east-1"
_HTTP_API = "httpapi000"
_REST_API = "restapi000"
_FUNCTION_URL = "functionurl00000000000000000000"
_TEXT_TYPES = ("application/json", "application/xml", "application/javascript")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP request as received.

    `target` is the percent-encoded path with its query; `headers` keep their order and repetitions. `request_id` is the
    gateway's, `source` the caller's address, `time` in seconds since 1970.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    request_id: str = "JKJaXmPLvHcESHA="
    source: str = "127.0.0.1"
    time: float = 0.0

    @property
    def path(self) -> str:
        """The path, percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query, percent-encoded, without its question mark."""
        return self.target.partition("?")[2]

    def header(self, name: str) -> str:
        """Return the first value of a header, or an empty string."""
        return next((value for key, value in self.headers if key.lower() == name), "")


def http_api_event(request: HttpRequest) -> dict[str, object]:
    """Return the event of an HTTP API's `$default` route: payload format 2.0, with the path decoded.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    path = unquote(request.path)
    return _format_2(request, path, _HTTP_API, f"{_HTTP_API}.execute-api.{_REGION}.amazonaws.com")


def function_url_event(request: HttpRequest) -> dict[str, object]:
    """Return the event of a function URL: payload format 2.0 too, with the path as received.

    https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
    """
    return _format_2(request, request.path, _FUNCTION_URL, f"{_FUNCTION_URL}.lambda-url.{_REGION}.on.aws")


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
        "multiValueHeaders": _grouped(request.headers) or None,
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": _grouped(query) or None,
        "pathParameters": {"proxy": request.path.lstrip("/")},
        "stageVariables": None,
        "requestContext": _rest_context(request, stage),
        "body": _rest_body(request.body, binary=binary),
        "isBase64Encoded": binary and bool(request.body),
    }


def _format_2(request: HttpRequest, path: str, api: str, domain: str) -> dict[str, object]:
    headers = _grouped((name.lower(), value) for name, value in request.headers)
    cookies = headers.pop("cookie", [])
    query = _grouped(parse_qsl(request.query, keep_blank_values=True))
    event: dict[str, object] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": request.query,
        "headers": {name: ",".join(values) for name, values in headers.items()},
        "requestContext": {
            "accountId": _ACCOUNT if api == _HTTP_API else "anonymous",
            "apiId": api,
            "domainName": domain,
            "domainPrefix": api,
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.source,
                "userAgent": request.header("user-agent"),
            },
            "requestId": request.request_id,
            "routeKey": "$default",
            "stage": "$default",
            "time": _log_time(request.time),
            "timeEpoch": int(request.time * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = [cookie.strip() for cookie in ";".join(cookies).split(";")]
    if query:
        event["queryStringParameters"] = {name: ",".join(values) for name, values in query.items()}
    if request.body:
        event |= _format_2_body(request.header("content-type"), request.body)
    return event


def _format_2_body(content_type: str, body: bytes) -> Mapping[str, object]:
    media_type, parameters = parse_options_header(content_type.lower())
    is_text = media_type in _TEXT_TYPES or media_type.startswith("text/")
    if is_text and parameters.get("charset", "utf-8") == "utf-8":
        return {"body": body.decode("utf-8", errors="replace"), "isBase64Encoded": False}
    return {"body": b64encode(body).decode(), "isBase64Encoded": True}


def _rest_body(body: bytes, *, binary: bool) -> str | None:
    if not body:
        return None
    return b64encode(body).decode() if binary else body.decode("utf-8", errors="replace")


def _rest_context(request: HttpRequest, stage: str) -> dict[str, object]:
    return {
        "accountId": _ACCOUNT,
        "apiId": _REST_API,
        "domainName": f"{_REST_API}.execute-api.{_REGION}.amazonaws.com",
        "domainPrefix": _REST_API,
        "extendedRequestId": request.request_id,
        "httpMethod": request.method,
        "identity": {"sourceIp": request.source, "userAgent": request.header("user-agent") or None},
        "path": f"/{stage}{request.path}",
        "protocol": "HTTP/1.1",
        "requestId": request.request_id,
        "requestTime": _log_time(request.time),
        "requestTimeEpoch": int(request.time * 1000),
        "resourceId": "proxy0",
        "resourcePath": "/{proxy+}",
        "stage": stage,
    }


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the values by name, in their order."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def _log_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")

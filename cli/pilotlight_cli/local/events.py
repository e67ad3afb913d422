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

ACCOUNT = "123456789012"
REGION = "us-east-1"
_HTTP_API = "httpapi000"
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

    The path ends at a question mark, an encoded one too.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    path = unquote(request.path).partition("?")[0]
    return format_2_event(request, path, _HTTP_API, f"{_HTTP_API}.execute-api.{REGION}.amazonaws.com")


def format_2_event(request: HttpRequest, path: str, api: str, domain: str) -> dict[str, object]:
    """Return an event of payload format 2.0, as the API with that id and domain sends it."""
    headers = values_by_name((name.lower(), value) for name, value in request.headers)
    cookies = headers.pop("cookie", [])
    query = values_by_name(parse_qsl(request.query, keep_blank_values=True))
    event: dict[str, object] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": request.query,
        "headers": {name: ",".join(values) for name, values in headers.items()},
        "requestContext": {
            "accountId": ACCOUNT if api == _HTTP_API else "anonymous",
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
            "time": log_time(request.time),
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


def values_by_name(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the values by name, in their order."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def log_time(seconds: float) -> str:
    """Return a time as API Gateway writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")

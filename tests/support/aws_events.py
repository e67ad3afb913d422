"""Events of front ends that the local gateway does not emulate."""

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


# Content types that a load balancer passes on as text, unless the body is compressed.
_TEXT_TYPES = ("application/json", "application/javascript", "application/xml")


def load_balancer_event(request: HttpRequest, *, several: bool = False) -> dict[str, object]:
    """Return the event of an application load balancer; `several`: its target group passes on several values a name.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
    """
    group = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/predict/6d0ecf831eec9f09"
    headers = values_by_name((name.lower(), value) for name, value in request.headers)
    query = values_by_name(parse_qsl(request.query, keep_blank_values=True))
    content_type = request.header("content-type").partition(";")[0]
    is_text = content_type in _TEXT_TYPES or content_type.startswith("text/")
    is_text = is_text and not request.header("content-encoding")
    return {
        "requestContext": {"elb": {"targetGroupArn": group}},
        "httpMethod": request.method,
        "path": request.path,
        **_by_name(headers, "headers", "multiValueHeaders", several=several),
        **_by_name(query, "queryStringParameters", "multiValueQueryStringParameters", several=several),
        "body": request.body.decode(errors="replace") if is_text else b64encode(request.body).decode(),
        "isBase64Encoded": bool(request.body) and not is_text,
    }


def _by_name(values: dict[str, list[str]], one: str, all_of_them: str, *, several: bool) -> dict[str, object]:
    return {all_of_them: values} if several else {one: {name: of_name[-1] for name, of_name in values.items()}}


def lattice_event(request: HttpRequest) -> dict[str, object]:
    """Return the event of VPC Lattice, version 2; `lattice_1_event` returns the older form.

    https://docs.aws.amazon.com/vpc-lattice/latest/ug/lambda-functions.html
    """
    arn = f"arn:aws:vpc-lattice:{REGION}:{ACCOUNT}"
    return {
        "version": "2.0",
        "path": request.target,
        "method": request.method,
        "headers": values_by_name((name.lower(), value) for name, value in request.headers),
        "queryStringParameters": values_by_name(parse_qsl(request.query, keep_blank_values=True)),
        "body": b64encode(request.body).decode(),
        "isBase64Encoded": True,
        "requestContext": {
            "serviceNetworkArn": f"{arn}:servicenetwork/sn-0bf3f2882e9cc805a",
            "serviceArn": f"{arn}:service/svc-0a40eebed65f8d69c",
            "targetGroupArn": f"{arn}:targetgroup/tg-6d0ecf831eec9f09",
            "identity": {"sourceVpcArn": f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/vpc-0b8276c84697e7339"},
            "region": REGION,
            "timeEpoch": str(int(request.time * 1_000_000)),
        },
    }


def lattice_1_event(request: HttpRequest) -> dict[str, object]:
    """Return the event of VPC Lattice, version 1."""
    return {
        "raw_path": request.target,
        "method": request.method,
        "headers": {name.lower(): value for name, value in request.headers},
        "query_string_parameters": dict(parse_qsl(request.query, keep_blank_values=True)),
        "body": b64encode(request.body).decode(),
        "is_base64_encoded": True,
    }

"""The files in events/: one request to the pinned model in every event format of Lambda's front ends.

The formats are those of API Gateway's HTTP APIs (payload format 2.0) and REST APIs, of Lambda function URLs, load
balancers and VPC Lattice, and a document as a direct invocation has it. Ids, addresses and times are invented. The row
is from the first golden sample.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilotlight.codec.golden_requests import to_request
from pilotlight.errors import PilotlightError
from pilotlight.model.golden import Golden
from pilotlight.model.lock import GOLDEN, load_lock
from pilotlight.model.signature import Signature
from pilotlight_cli.registry.golden_file import golden_of

FOLDER = "events"

Document = dict[str, Any]

_ACCOUNT = "123456789012"
_CALLER = "203.0.113.17"
_AGENT = "curl/8.14.1"
_TRACE = "Root=1-68b6c214-3f6a0c5b7e2d4a1989bc0ef1"
_TIME = "02/Sep/2025:10:08:20 +0000"
_EPOCH = 1756807700412  # the same moment in milliseconds

# Fields that a REST API sets to null for an unsigned request.
_UNKNOWN = (
    "accessKey",
    "accountId",
    "caller",
    "cognitoAuthenticationProvider",
    "cognitoAuthenticationType",
    "cognitoIdentityId",
    "cognitoIdentityPoolId",
    "principalOrgId",
    "user",
    "userArn",
)


def http_api(method: str, path: str, body: str = "", *, binary: bool = False) -> Document:
    """Return an HTTP API's event. It encodes a body without a text content type in base64."""
    headers = _headers("a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com", body, {"x-api-key": "an-example-key"})
    if binary or not body:
        del headers["content-type"]
    authorizer = {"lambda": {"client": "example"}}
    context = {"accountId": _ACCOUNT, "authorizer": authorizer, "requestId": "KQ3xGjT0DoEEJ8A="}
    return _format_2(method, path, headers, context) | _payload(body, binary=binary)


def function_url(method: str, path: str, body: str) -> Document:
    """Return a function URL's event, for a public URL."""
    tls = {"x-amzn-tls-cipher-suite": "TLS_AES_128_GCM_SHA256", "x-amzn-tls-version": "TLSv1.3"}
    headers = _headers("k7q2m9x4v1b8n3z6w5r0t2y4u6i8o1p3.lambda-url.eu-west-1.on.aws", body, tls)
    context = {"accountId": "anonymous", "requestId": "5e0d6c1a-8f24-4b7e-9a53-1c2d3e4f5a6b"}
    return _format_2(method, path, headers, context) | _payload(body)


def _headers(host: str, body: str, more: Mapping[str, str] = {}) -> dict[str, str]:
    """Return the headers of a caller's request with what a front end adds, in lower case and in their order."""
    common = {
        "accept": "*/*",
        "content-length": str(len(body.encode())),
        "content-type": "application/json",
        "host": host,
        "user-agent": _AGENT,
        "x-amzn-trace-id": _TRACE,
        "x-forwarded-for": _CALLER,
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }
    return dict(sorted({**common, **more}.items()))


def _format_2(method: str, path: str, headers: dict[str, str], context: Document) -> Document:
    prefix = headers["host"].partition(".")[0]
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            **context,
            "apiId": prefix,
            "domainName": headers["host"],
            "domainPrefix": prefix,
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": _CALLER,
                "userAgent": _AGENT,
            },
            "routeKey": "$default",
            "stage": "$default",
            "time": _TIME,
            "timeEpoch": _EPOCH,
        },
    }


def rest_api(method: str, path: str, body: str) -> Document:
    """Return a REST API's event, from a proxy resource on the stage `prod`: no `version`, and all headers twice."""
    host = "f6g7h8i9j0.execute-api.eu-west-1.amazonaws.com"
    headers = {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "Host": host,
        "User-Agent": _AGENT,
        "X-Amzn-Trace-Id": _TRACE,
        "x-api-key": "an-example-key",
        "X-Forwarded-For": _CALLER,
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    }
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"proxy": path.removeprefix("/")},
        "stageVariables": None,
        "requestContext": {
            "accountId": _ACCOUNT,
            "apiId": host.partition(".")[0],
            "authorizer": {"principalId": "example", "client": "example", "integrationLatency": 31},
            "deploymentId": "u4v5w6",
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "extendedRequestId": "KQ3xHk1ZDoEFqRw=",
            "httpMethod": method,
            "identity": dict.fromkeys(_UNKNOWN) | {"sourceIp": _CALLER, "userAgent": _AGENT},
            "path": f"/prod{path}",
            "protocol": "HTTP/1.1",
            "requestId": "c7a9e3d1-52b4-4f08-8d6e-0a1b2c3d4e5f",
            "requestTime": _TIME,
            "requestTimeEpoch": _EPOCH,
            "resourceId": "x7y8z9",
            "resourcePath": "/{proxy+}",
            "stage": "prod",
        },
        **_payload(body),
    }


def load_balancer(method: str, path: str, body: str) -> Document:
    """Return a load balancer's event, with one value for each header."""
    group = f"arn:aws:elasticloadbalancing:eu-west-1:{_ACCOUNT}:targetgroup/predict/6d0ecf831eec9f09"
    return {
        "requestContext": {"elb": {"targetGroupArn": group}},
        "httpMethod": method,
        "path": path,
        "queryStringParameters": {},
        "headers": _headers("models-1234567890.eu-west-1.elb.amazonaws.com", body),
        **_payload(body),
    }


def lattice(method: str, path: str, body: str) -> Document:
    """Return VPC Lattice's event, version 2, whose body is always base64."""
    arn = f"arn:aws:vpc-lattice:eu-west-1:{_ACCOUNT}"
    headers = {
        "accept": "*/*",
        "content-type": "application/json",
        "host": "models-0a40eebed65f8d69c.7d67968.vpc-lattice-svcs.eu-west-1.on.aws",
        "user-agent": _AGENT,
        "x-forwarded-for": _CALLER,
    }
    return {
        "version": "2.0",
        "path": path,
        "method": method,
        "headers": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {},
        **_payload(body, binary=True),
        "requestContext": {
            "serviceNetworkArn": f"{arn}:servicenetwork/sn-0bf3f2882e9cc805a",
            "serviceArn": f"{arn}:service/svc-0a40eebed65f8d69c",
            "targetGroupArn": f"{arn}:targetgroup/tg-6d0ecf831eec9f09",
            "identity": {"sourceVpcArn": f"arn:aws:ec2:eu-west-1:{_ACCOUNT}:vpc/vpc-0b8276c84697e7339"},
            "region": "eu-west-1",
            "timeEpoch": str(_EPOCH * 1000),
        },
    }


def _payload(body: str, *, binary: bool = False) -> Document:
    if not body:
        return {"isBase64Encoded": False}
    return {"body": b64encode(body.encode()).decode() if binary else body, "isBase64Encoded": binary}


def example_request(signature: Signature, golden: Golden) -> tuple[str, Document] | None:
    """Return path and body of a request with the first instance of the golden samples; None if JSON cannot have it.

    A row of named features is an object, which is easier to read and to edit than an array.
    """
    for sample in golden.samples:
        request = to_request(signature, sample)
        for features in [] if request is None else request.body.get("instances", [request.body.get("features")]):
            return "/predict", {"features": _named(signature, features)}
    return None


def _named(signature: Signature, features: object) -> object:
    names = signature.feature_names
    if isinstance(features, list) and len(features) == len(names):
        return dict(zip(names, features, strict=True))
    return features


def events(path: str, request: Document) -> dict[str, Document]:
    """Return the documents by file name, for a request to the model and its path."""
    body, invalid = json.dumps(request), json.dumps(_broken(request))
    return {
        "http-api-v2-predict.json": http_api("POST", path, body),
        "http-api-v2-predict-base64.json": http_api("POST", path, body, binary=True),
        "http-api-v2-invalid.json": http_api("POST", path, invalid),
        "http-api-v2-health.json": http_api("GET", "/health"),
        "rest-api-v1-predict.json": rest_api("POST", path, body),
        "function-url-predict.json": function_url("POST", path, body),
        "load-balancer-predict.json": load_balancer("POST", path, body),
        "vpc-lattice-predict.json": lattice("POST", path, body),
        "direct-predict.json": request,
    }


def _broken(request: Document) -> Document:
    """Return a request that the function refuses: with text for the first feature, or without any input."""
    match request:
        case {"features": dict(features)} if features:
            return {"features": features | {next(iter(features)): "large"}}
    return {}


def pinned_events(lock: Path) -> dict[str, bytes]:
    """Return the content of the files in events/ for a lock; none if JSON cannot represent a golden sample."""
    signature = load_lock(lock).model.signature
    request = example_request(signature, golden_of(signature, lock.with_name(GOLDEN).read_bytes()))
    if request is None:
        return {}
    return {name: (json.dumps(document, indent=2) + "\n").encode() for name, document in events(*request).items()}


def former_events(lock: Path) -> dict[str, bytes]:
    """Return `pinned_events` of a lock that is about to be replaced; none if it is missing or broken."""
    try:
        return pinned_events(lock)
    except (OSError, PilotlightError):
        return {}


def refresh_events(lock: Path, before: Mapping[str, bytes]) -> list[Path]:
    """Write the files in events/ beside a new lock. Return those that the user edited, which stay.

    `before` is their content for the former lock, by which an edited file is told. Without the folder a user who has
    pinned before wants none.
    """
    folder, edited = lock.with_name(FOLDER), []
    if before and not folder.is_dir():
        return []
    folder.mkdir(exist_ok=True)
    after = pinned_events(lock)
    for name in sorted({*before, *after}):
        path = folder / name
        found = path.read_bytes() if path.exists() else None
        if found not in (None, before.get(name), after.get(name)):
            edited.append(path)
        elif name in after:
            path.write_bytes(after[name])
        else:
            path.unlink(missing_ok=True)
    return edited

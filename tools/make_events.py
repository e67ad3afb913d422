"""Writes the files in events/: one request to the sample model, in every event format.

python tools/make_events.py [--out FOLDER]

The formats are those of API Gateway's HTTP APIs (payload format 2.0) and REST APIs, and of Lambda function URLs. Ids,
addresses and times are invented. The row is the first golden sample of the sample model.
"""

from __future__ import annotations

import argparse
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from pilotlight_cli.project import EVENTS, SAMPLE

Document = dict[str, Any]

ACCOUNT = "123456789012"
CALLER = "203.0.113.17"
AGENT = "curl/8.14.1"
TRACE = "Root=1-68b6c214-3f6a0c5b7e2d4a1989bc0ef1"
TIME = "02/Sep/2025:10:08:20 +0000"
EPOCH = 1756807700412  # the same moment in milliseconds

# Fields that a REST API sets to null for an unsigned request.
UNKNOWN = (
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


def sample_body() -> Document:
    """Return the body of a /predict request for a real row."""
    (features,) = json.loads((SAMPLE / "signature.json").read_bytes())["inputs"]
    (values,) = json.loads((SAMPLE / "golden.json").read_bytes())["samples"][0]["inputs"]
    return {"features": dict(zip(features["feature_names"], values["data"], strict=True))}


def http_api(method: str, path: str, body: str = "", *, binary: bool = False) -> Document:
    """Return an HTTP API's event. It encodes a body without a text content type in base64."""
    host = "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"
    headers = {
        "accept": "*/*",
        "content-length": str(len(body.encode())),
        "content-type": "application/json",
        "host": host,
        "user-agent": AGENT,
        "x-amzn-trace-id": TRACE,
        "x-api-key": "an-example-key",
        "x-forwarded-for": CALLER,
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }
    if binary or not body:
        del headers["content-type"]
    authorizer = {"lambda": {"client": "example"}}
    context = {"accountId": ACCOUNT, "authorizer": authorizer, "requestId": "KQ3xGjT0DoEEJ8A="}
    return _format_2(method, path, headers, context) | _payload(body, binary=binary)


def function_url(method: str, path: str, body: str) -> Document:
    """Return a function URL's event, for a public URL."""
    headers = {
        "accept": "*/*",
        "content-length": str(len(body.encode())),
        "content-type": "application/json",
        "host": "k7q2m9x4v1b8n3z6w5r0t2y4u6i8o1p3.lambda-url.eu-west-1.on.aws",
        "user-agent": AGENT,
        "x-amzn-tls-cipher-suite": "TLS_AES_128_GCM_SHA256",
        "x-amzn-tls-version": "TLSv1.3",
        "x-amzn-trace-id": TRACE,
        "x-forwarded-for": CALLER,
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }
    context = {"accountId": "anonymous", "requestId": "5e0d6c1a-8f24-4b7e-9a53-1c2d3e4f5a6b"}
    return _format_2(method, path, headers, context) | _payload(body)


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
                "sourceIp": CALLER,
                "userAgent": AGENT,
            },
            "routeKey": "$default",
            "stage": "$default",
            "time": TIME,
            "timeEpoch": EPOCH,
        },
    }


def rest_api(method: str, path: str, body: str) -> Document:
    """Return a REST API's event, from a proxy resource on the stage `prod`: no `version`, and all headers twice."""
    host = "f6g7h8i9j0.execute-api.eu-west-1.amazonaws.com"
    headers = {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "Host": host,
        "User-Agent": AGENT,
        "X-Amzn-Trace-Id": TRACE,
        "x-api-key": "an-example-key",
        "X-Forwarded-For": CALLER,
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
            "accountId": ACCOUNT,
            "apiId": host.partition(".")[0],
            "authorizer": {"principalId": "example", "client": "example", "integrationLatency": 31},
            "deploymentId": "u4v5w6",
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "extendedRequestId": "KQ3xHk1ZDoEFqRw=",
            "httpMethod": method,
            "identity": dict.fromkeys(UNKNOWN) | {"sourceIp": CALLER, "userAgent": AGENT},
            "path": f"/prod{path}",
            "protocol": "HTTP/1.1",
            "requestId": "c7a9e3d1-52b4-4f08-8d6e-0a1b2c3d4e5f",
            "requestTime": TIME,
            "requestTimeEpoch": EPOCH,
            "resourceId": "x7y8z9",
            "resourcePath": "/{proxy+}",
            "stage": "prod",
        },
        **_payload(body),
    }


def _payload(body: str, *, binary: bool = False) -> Document:
    if not body:
        return {"isBase64Encoded": False}
    return {"body": b64encode(body.encode()).decode() if binary else body, "isBase64Encoded": binary}


def events() -> dict[str, Document]:
    """Return the documents by file name."""
    features = sample_body()
    body = json.dumps(features)
    invalid = json.dumps({"features": features["features"] | {"mean radius": "large"}})
    return {
        "sample-request.json": {"method": "POST", "path": "/predict", "body": features},
        "http-api-v2-predict.json": http_api("POST", "/predict", body),
        "http-api-v2-predict-base64.json": http_api("POST", "/predict", body, binary=True),
        "http-api-v2-invalid.json": http_api("POST", "/predict", invalid),
        "http-api-v2-health.json": http_api("GET", "/health"),
        "rest-api-v1-predict.json": rest_api("POST", "/predict", body),
        "function-url-predict.json": function_url("POST", "/predict", body),
    }


def main() -> None:
    """Write all files."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=EVENTS, help="where to write (default: events/)")
    out = parser.parse_args().out
    for name, document in events().items():
        (out / name).write_text(json.dumps(document, indent=2) + "\n")
        print(out / name)


if __name__ == "__main__":
    main()

"""Events that the function may meet, each with its outcome: right and wrong HTTP of all front ends, and all else.

An outcome is the status of an HTTP reply, or `READY` (the model's readiness), `UNKNOWN` (refused with a metric of its
own), `RECORDS` (an error, since its source would forget what is in it), `ANSWERED` or `REFUSED` (a plain document's).
"""

from __future__ import annotations

import gzip
import json
import os
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from samcli.lib.generated_sample_events.events import Events

from aws_events import function_url_event, lattice_1_event, lattice_event, load_balancer_event, rest_api_event
from pilotlight_cli.local.events import HttpRequest, http_api_event
from repository import EVENTS, sample_request

READY, UNKNOWN, RECORDS, ANSWERED, REFUSED = "ready", "unknown", "records", "answered", "refused"

ROW = [1.0] * 30
JSON = (("content-type", "application/json"),)
BODY = json.dumps({"features": ROW}).encode()
PREDICT = HttpRequest("POST", "/predict", JSON, BODY)


@dataclass(frozen=True)
class Tried:
    """An event and its outcome; `says` is in the error's message."""

    name: str
    event: Any
    outcome: int | str
    says: str = ""


FORMS: dict[str, Callable[[HttpRequest], dict[str, object]]] = {
    "HTTP API": http_api_event,
    "HTTP API 1.0": lambda request: rest_api_event(request) | {"version": "1.0"},
    "REST API": rest_api_event,
    "function URL": function_url_event,
    "load balancer": load_balancer_event,
    "load balancer, several values": lambda request: load_balancer_event(request, several=True),
    "VPC Lattice": lattice_event,
    "VPC Lattice 1": lattice_1_event,
}


def _post(target: str, body: bytes, *headers: tuple[str, str]) -> HttpRequest:
    return HttpRequest("POST", target, headers or JSON, body)


_INFER = json.dumps(
    {"inputs": [{"name": "features", "datatype": "FP64", "shape": [1, 30], "data": ROW}]}
).encode()  # fmt: skip
_CSV = ",".join(sample_request()[1]["features"]).encode() + b"\n" + b",".join([b"1"] * 30)
_GZIP = ("content-encoding", "gzip")

REQUESTS: list[tuple[str, HttpRequest, int]] = [
    ("a prediction", PREDICT, 200),
    ("health", HttpRequest("GET", "/health"), 200),
    ("readiness of V2", HttpRequest("GET", "/v2/health/ready"), 200),
    ("an encoded path", _post("/v2/models/breast%2Dcancer/infer", _INFER), 200),
    ("an encoded slash", HttpRequest("GET", "/health%2Fready"), 200),
    ("a query", _post("/predict?a=b&a=c&d=%20&e", BODY), 200),
    ("a query that is not UTF-8", _post("/predict?a=%ff", BODY), 200),
    ("cookies", _post("/predict", BODY, *JSON, ("cookie", "a=b; c=d"), ("cookie", "e=f")), 200),
    ("headers sent twice", _post("/predict", BODY, *JSON, ("accept", "text/html"), ("accept", "*/*")), 200),
    ("names of headers in capitals", _post("/predict", BODY, ("CONTENT-TYPE", "application/json")), 200),
    ("a long header", _post("/predict", BODY, *JSON, ("x-a", "a" * 1_000_000)), 200),
    ("a thousand headers", _post("/predict", BODY, *JSON, *((f"x-{number}", "a") for number in range(1000))), 200),
    ("a token", _post("/predict", BODY, *JSON, ("authorization", "Bearer a.b.c")), 200),
    ("traces of no form", _post("/predict", BODY, *JSON, ("X-Amzn-Trace-Id", ";;=="), ("traceparent", "00-z")), 200),
    ("a compressed body", _post("/predict", gzip.compress(BODY), _GZIP), 200),
    ("CSV", _post("/invocations", _CSV, ("content-type", "text/csv")), 200),
    ("a charset", _post("/predict", BODY, ("content-type", "application/json; charset=UTF-8")), 200),
    ("no content type", HttpRequest("POST", "/predict", (("x-a", "1"),), BODY), 200),
    ("no body", HttpRequest("POST", "/predict", JSON), 400),
    ("an empty document", _post("/predict", b"{}"), 400),
    ("half a document", _post("/predict", BODY[:-3]), 400),
    ("UTF-16", _post("/predict", BODY.decode().encode("utf-16"), ("content-type", "application/octet")), 415),
    ("UTF-16 as JSON", _post("/predict", BODY.decode().encode("utf-16")), 400),
    ("another type", _post("/predict", BODY, ("content-type", "application/xml")), 415),
    ("not gzip", _post("/predict", BODY, _GZIP), 400),
    ("half a gzip", _post("/predict", gzip.compress(BODY)[:-9], _GZIP), 400),
    ("an unknown compression", _post("/predict", BODY, ("content-encoding", "br")), 415),
    ("a bomb", _post("/predict", gzip.compress(b" " * 40_000_000), _GZIP), 413),
    ("random bytes", _post("/predict", os.urandom(4096), ("content-type", "application/octet-stream")), 415),
    ("another method", HttpRequest("PUT", "/predict", JSON, BODY), 405),
    ("a method of WebDAV", HttpRequest("PROPFIND", "/predict"), 405),
    ("a method in small letters", HttpRequest("post", "/predict", JSON, BODY), 405),
    ("an unknown path", _post("/nowhere", BODY), 404),
    ("two slashes", _post("//predict", BODY), 404),
    ("a path out of the root", _post("/../../etc/passwd", BODY), 404),
    ("a path that is not UTF-8", _post("/%ff", BODY), 404),
    ("a long path", _post(f"/{'a' * 100_000}", BODY), 404),
]  # fmt: skip

# What no gateway makes, and a person's own event may have: fields that replace those of a prediction's.
FIELDS: list[tuple[str, dict[str, object], int, str]] = [
    ("no headers", {"headers": None, "multiValueHeaders": None}, 200, ""),
    ("headers as an array", {"headers": ["a"], "multiValueHeaders": ["a"]}, 400, 'headers as an object, found'),
    ("headers as text", {"headers": "a", "multiValueHeaders": "a"}, 400, 'headers as an object, found "a"'),
    ("a header of null", {"headers": {"a": None}, "multiValueHeaders": {"a": None}}, 400, "header 'a' as a string"),
    ("a number as header", {"headers": {"a": 5}, "multiValueHeaders": {"a": [5]}}, 400, "header 'a' as a string"),
    ("an object as header", {"headers": {"a": {}}, "multiValueHeaders": {"a": {}}}, 400, "header 'a' as a string"),
    ("a header of half a character", {"headers": {"x-request-id": "\ud800"}, "multiValueHeaders": None}, 200, ""),
    ("no base64", {"body": "!!!!", "isBase64Encoded": True, "is_base64_encoded": True}, 400, "base64"),
    ("base64 without its end", {"body": "e30", "isBase64Encoded": True, "is_base64_encoded": True}, 400, "base64"),
    ("base64 of half a document", {"body": b64encode(BODY[:-3]).decode(), "isBase64Encoded": True}, 400, ""),
    ("half a character", {"body": "\ud800", "isBase64Encoded": False, "is_base64_encoded": False}, 400, "surrogate"),
    ("what was not UTF-8", {"body": "\ufffd", "isBase64Encoded": False, "is_base64_encoded": False}, 400, "U+FFFD"),
    ("a body of null", {"body": None}, 400, "the body is empty"),
    ("a body that is a document", {"body": {"features": ROW}}, 400, "body as a string, found an object"),
    ("a body that is a number", {"body": 5}, 400, "body as a string, found 5"),
    ("a path of half a character", {"rawPath": "/\ud800", "path": "/\ud800", "raw_path": "/\ud800"}, 404, ""),
    ("no path", {"rawPath": "", "path": "", "raw_path": ""}, 404, ""),
    ("a relative path", {"rawPath": "predict", "path": "predict", "raw_path": "predict"}, 404, ""),
    ("parameters of another form", {"pathParameters": ["a"], "queryStringParameters": 5, "cookies": 5}, 200, ""),
    ("fields that nobody knows", {"new": {"a": [1]}, "stageVariables": None, "authorizer": 1}, 200, ""),
]  # fmt: skip


def _http() -> Iterator[Tried]:
    for form, event in FORMS.items():
        for name, request, status in REQUESTS:
            yield Tried(f"{form}: {name}", event(request), status)
        for name, fields, status, says in FIELDS:
            yield Tried(f"{form}: {name}", event(PREDICT) | fields, status, says)
    rest, api, url = rest_api_event(PREDICT), http_api_event(PREDICT), function_url_event(PREDICT)
    behind: dict[str, object] = {"path": "/fraud/predict", "pathParameters": {"proxy": "predict"}}
    yield Tried("REST API: a custom domain's mapping", rest | behind, 200)
    inside = {"vpcId": "vpc-0a1b2c3d", "vpceId": "vpce-0a1b2c3d4e5f60718", "sourceIp": "10.0.1.23"}
    for name, domain in (("its endpoint's name", "0123456789-vpce-0a1b2c3d4e5f60718"), ("its own name", "0123456789")):
        private = {"identity": inside, "domainName": f"{domain}.execute-api.us-east-1.amazonaws.com"}
        yield Tried(f"private REST API by {name}", _with(rest, **private), 200)
    yield Tried("REST API without binary types", rest_api_event(PREDICT, binary=False), 200)
    packed = HttpRequest("POST", "/predict", (*JSON, _GZIP), gzip.compress(BODY))
    yield Tried("REST API without binary types: a compressed body", rest_api_event(packed, binary=False), 400, "U+FFFD")
    for name, found in (("HTTP API", api), ("function URL", url)):
        yield Tried(f"{name}: a context without a domain", _with(found, domainName=None), 200)
        yield Tried(f"{name}: a stage of no form", _with(found, stage=5), 200)
        yield Tried(f"{name}: a token's claims", _with(found, authorizer={"jwt": {"claims": {"sub": "a"}}}), 200)
        yield Tried(f"{name}: no method", _with(found, http={"path": "/predict"}), UNKNOWN, "'requestContext'")
    staged: dict[str, object] = {"rawPath": "/prod/predict"}
    yield Tried("HTTP API: a stage in the path", _with(api, stage="prod") | staged, 200)
    yield Tried("HTTP API: another stage in the path", _with(api, stage="production") | staged, 404)


def _with(event: Any, **context: object) -> dict[str, Any]:
    return {**event} | {"requestContext": event["requestContext"] | context}


def _without(event: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != name}


# Of SAM's samples, those that are no stranger's: HTTP, a schedule, and sources that forget the records of any reply.
_HTTP_SAMPLES = {("alb", "request"): 200, ("apigateway", "aws-proxy"): 200, ("apigateway", "http-api-proxy"): 200}
_AUTHORIZER_SAMPLE = ("apigateway", "request-authorizer")  # it has a REST API's fields, and its own path
_SAMPLES_WITH_RECORDS = ("cloudfront", "codecommit", "dynamodb", "kinesis", "s3", "ses", "sns", "sqs", "rekognition")


def _samples() -> Iterator[Tried]:
    """Yield what `sam local generate-event` prints for each of its kinds."""
    samples = Events()
    for service, kinds in samples.event_mapping.items():
        for kind, described in kinds.items():
            values = {name.replace("-", "_"): tag.get("default", "") for name, tag in described["tags"].items()}
            if service in {"alb", "apigateway"}:
                values |= {"method": "POST", "path": "predict", "body": BODY.decode()}
            event = json.loads(samples.generate_event(service, kind, values))
            yield Tried(f"sam: {service} {kind}", event, _outcome(service, kind))


def _outcome(service: str, kind: str) -> int | str:
    if (service, kind) == _AUTHORIZER_SAMPLE:
        return 404
    if (service, kind) == ("cloudwatch", "scheduled-event"):
        return READY
    has_records = service in _SAMPLES_WITH_RECORDS and kind != "batch-invocation"
    return _HTTP_SAMPLES.get((service, kind), RECORDS if has_records else UNKNOWN)


# An event of EventBridge's has no list of records to lose.
_FILES: dict[str, int | str] = {"direct-predict": ANSWERED, "http-api-v2-invalid": 400, "eventbridge": UNKNOWN}

_REST, _API = rest_api_event(PREDICT), http_api_event(PREDICT)

OTHERS = [
    Tried("a prediction's document", {"features": ROW}, ANSWERED),
    Tried("two rows", {"instances": [ROW, ROW]}, ANSWERED),
    Tried("MLflow's tensors", {"inputs": [ROW]}, ANSWERED),
    Tried("MLflow's named tensors", {"inputs": {"features": [ROW]}}, ANSWERED),
    Tried("a document that lacks a feature", {"features": ROW[1:]}, REFUSED),
    Tried("a document of nothing", {"features": None}, REFUSED),
    Tried("no rows", {"instances": []}, REFUSED),
    Tried("a tensor without data", {"inputs": [{"name": "features"}]}, REFUSED),
    Tried("the console's test", {"key1": "value1", "key2": "value2", "key3": "value3"}, READY),
    Tried("an empty event", {}, READY),
    Tried("EventBridge's rule", {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}, READY),
    Tried("EventBridge's scheduler", {"source": "aws.scheduler", "detail": "{}"}, READY),
    Tried("serverless-plugin-warmup", {"source": "serverless-plugin-warmup"}, READY),
    Tried("lambda-warmer", {"warmer": True, "concurrency": 3}, READY),
    Tried("a ping", {"ping": True}, READY),
    Tried("an array", [], UNKNOWN, "an array"),
    Tried("an array of documents", [{"features": ROW}], UNKNOWN, "an array"),
    Tried("text", "ping", UNKNOWN, 'found "ping"'),
    Tried("a number", 5, UNKNOWN, "found 5"),
    Tried("true", True, UNKNOWN, "found true"),
    Tried("null", None, UNKNOWN, "null"),
    Tried("another document", {"hello": "world"}, UNKNOWN, "the fields ['hello']"),
    Tried("another bus's event", {"version": "0", "source": "orders", "detail": {}}, UNKNOWN, "'detail', 'source'"),
    Tried("a document in text", json.dumps({"features": ROW}), UNKNOWN, "found "),
    Tried("deep nesting", json.loads("[" * 500 + "]" * 500), UNKNOWN, "an array"),
    Tried("a megabyte of text", "a" * 1_000_000, UNKNOWN, "found "),
    Tried("a context of null", {"version": "2.0", "requestContext": None}, UNKNOWN, "['requestContext', 'version']"),
    Tried("a context that is an array", _API | {"requestContext": []}, UNKNOWN, "'requestContext'"),
    Tried("HTTP without its context", _without(_API, "requestContext"), UNKNOWN, "'rawPath'"),
    Tried("HTTP without its path", _without(_REST, "path"), UNKNOWN, "'httpMethod'"),
    Tried("HTTP with a number as path", _API | {"rawPath": 5}, UNKNOWN, "'rawPath'"),
    Tried("HTTP with a method of null", _REST | {"httpMethod": None}, UNKNOWN, "'httpMethod'"),
    Tried("HTTP of a version to come", _API | {"version": "3.0"}, UNKNOWN, "'rawPath'"),
    Tried("a queue", {"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}, RECORDS),
    Tried("Kafka", {"eventSource": "aws:kafka", "records": {}}, RECORDS),
    Tried("RabbitMQ", {"eventSource": "aws:rmq", "rmqMessagesByQueue": {}}, RECORDS),
    Tried("ActiveMQ", {"eventSource": "aws:mq", "messages": []}, RECORDS),
]


def _files() -> Iterator[Tried]:
    for file in sorted([*EVENTS.glob("*.json"), *EVENTS.glob("records/*.json")]):  # the others are Google's
        outcome = _FILES.get(file.stem, RECORDS if file.parent.name == "records" else 200)
        yield Tried(file.relative_to(EVENTS).as_posix(), json.loads(file.read_text()), outcome)


TABLE = [*_files(), *_samples(), *_http(), *OTHERS]

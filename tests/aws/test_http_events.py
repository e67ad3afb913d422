"""Requests from the events in events/ and their rarer forms, and replies."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import pytest

import other_events
from aws_events import lattice_1_event, lattice_event
from http_events import Invocation, answer, is_format_2, read_body, to_reply
from pilotlight.errors import InvalidRequest
from pilotlight.http import routes
from pilotlight.http.messages import Request, Response
from pilotlight_cli.local.events import HttpRequest
from repository import EVENTS, sample_request


def event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())  # type: ignore[no-any-return]


class Recorder:
    """A service that keeps the request, and gives the reply that it is made with."""

    def __init__(self, reply: Response) -> None:
        self.reply = reply
        self.requests: list[Request] = []

    def find(self, path: str) -> object:
        return routes.find(path)

    def handle(self, request: Request) -> Response:
        self.requests.append(request)
        return self.reply

    def refuse(self, _request: Request, error: InvalidRequest) -> Response:
        raise error


def answered(
    document: dict[str, Any], reply: Response | None = None, environ: Mapping[str, str] = {}
) -> tuple[Request, dict[str, Any]]:
    service: Any = Recorder(reply or Response(200, {"content-type": "application/json"}, b"{}"))
    invocation = Invocation(document, "the-id", 12.5)
    found = answer(service, invocation) if is_format_2(document) else other_events.answer(service, invocation, environ)
    return service.requests[0], found


def translated(document: dict[str, Any]) -> Request:
    return answered(document)[0]


@pytest.mark.parametrize(
    "name",
    [
        "http-api-v2-predict",
        "http-api-v2-predict-base64",
        "rest-api-v1-predict",
        "function-url-predict",
        "load-balancer-predict",
        "vpc-lattice-predict",
    ],
)
def test_every_kind_of_event_becomes_the_same_request(name: str) -> None:
    request = translated(event(name))
    assert (request.method, request.path) == ("POST", "/predict")
    assert request.headers.get("content-type", "application/json").startswith("application/json")
    assert json.loads(request.body) == sample_request()[1]
    assert (request.id, request.deadline) == ("the-id", 12.5)


def test_a_request_without_a_body_has_an_empty_one() -> None:
    request = translated(event("http-api-v2-health"))
    assert (request.method, request.path, request.body) == ("GET", "/health", b"")


def test_the_stage_in_front_of_an_http_apis_path_is_no_part_of_the_route() -> None:
    document = event("http-api-v2-predict")
    document["rawPath"], document["requestContext"]["stage"] = "/prod/predict", "prod"
    assert translated(document).path == "/predict"
    document["rawPath"] = "/prod"
    assert translated(document).path == "/"
    document["rawPath"] = "/production/predict"
    assert translated(document).path == "/production/predict"
    document["rawPath"], document["requestContext"]["stage"] = "/predict", "predict"
    document["requestContext"]["domainName"] = "api.example.com"  # a domain of one's own has no stage in its paths
    assert translated(document).path == "/predict"


@pytest.mark.parametrize(
    ("path", "proxy", "route"),
    [
        ("/predict", "predict", "/predict"),
        ("/fraud/predict", "predict", "/predict"),
        ("/fraud/v2/models/a%20b/infer", "v2/models/a b/infer", "/v2/models/a b/infer"),
        ("/fraud/v2/models/a%20b/infer", "v2/models/a%20b/infer", "/v2/models/a b/infer"),
        ("/v2/models/m/infer", "models/m/infer", "/v2/models/m/infer"),  # a resource /v2/{proxy+}
        ("//predict", "predict", "//predict"),
        ("/fraud/nowhere", "nowhere", "/fraud/nowhere"),
        ("/fraud", None, "/fraud"),
    ],
)
def test_what_a_rest_apis_proxy_resource_matched_is_the_route_where_the_path_is_none(
    path: str, proxy: str | None, route: str
) -> None:
    parameters = None if proxy is None else {"proxy": proxy}
    assert translated(event("rest-api-v1-predict") | {"path": path, "pathParameters": parameters}).path == route


@pytest.mark.parametrize(
    ("name", "field", "path"),
    [
        ("function-url-predict", "rawPath", "/a b"),
        ("rest-api-v1-predict", "path", "/a b"),
        ("load-balancer-predict", "path", "/a b"),
        ("vpc-lattice-predict", "path", "/a b"),
        ("http-api-v2-predict", "rawPath", "/a%20b"),
    ],
)
def test_a_path_is_decoded_where_the_gateway_did_not(name: str, field: str, path: str) -> None:
    assert translated(event(name) | {field: "/a%20b"}).path == path


def test_a_header_that_was_sent_twice_is_joined_by_a_comma() -> None:
    document = event("rest-api-v1-predict")
    document["multiValueHeaders"] = {"Accept": ["text/html", "application/json"]}
    assert translated(document).headers == {"accept": "text/html,application/json"}
    assert translated(document | {"multiValueHeaders": None, "headers": {"Accept": "a"}}).headers == {"accept": "a"}


def test_an_http_api_event_may_have_no_headers() -> None:
    assert translated(event("http-api-v2-predict") | {"headers": None}).headers == {}


def test_a_rest_event_may_have_neither_headers_nor_body() -> None:
    document = event("rest-api-v1-predict") | {"multiValueHeaders": None, "headers": None, "body": None}
    request = translated(document)
    assert (request.headers, request.body) == ({}, b"")


@pytest.mark.parametrize("name", ["http-api-v2-predict", "rest-api-v1-predict"])
def test_a_binary_body_comes_through_byte_for_byte(name: str) -> None:
    body = bytes(range(256))
    document = event(name) | {"body": b64encode(body).decode(), "isBase64Encoded": True}
    assert translated(document).body == body


@pytest.mark.parametrize("body", ["e30=!!!!", "e3", "é"])
def test_a_body_that_is_not_the_base64_that_it_should_be_is_refused(body: str) -> None:
    with pytest.raises(InvalidRequest, match="base64"):
        read_body(body, is_base64=True)


def test_a_body_with_an_unpaired_surrogate_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="unpaired surrogate"):
        read_body("\ud800")


@pytest.mark.parametrize("name", ["http-api-v2-predict", "function-url-predict", "rest-api-v1-predict"])
@pytest.mark.parametrize(
    "sent",
    [
        b'{"city": "Z\xfcrich"}',  # Latin-1
        b'{"city": "\xf0\x9f\x98"}',  # cut off: its replacement is as long as itself
        b'{"city": "\xc0\xaf"}',  # overlong
        b'{"city": "\xed\xa0\x80"}',  # half a surrogate pair
        '{"city": "\ufffd"}'.encode(),  # no other bytes arrive in the same form
    ],
)
def test_text_that_may_have_been_replaced_on_its_way_is_refused(sent: bytes, name: str) -> None:
    headers = {"content-length": str(len(sent))}
    text = {"body": sent.decode(errors="replace"), "isBase64Encoded": False, "headers": headers}
    with pytest.raises(InvalidRequest, match=r"not UTF-8: it arrived with U\+FFFD"):
        translated(event(name) | text)


@pytest.mark.parametrize("body", ['{"city": "Z\\ufffdrich"}', '{"city": "Z\u00fcrich"}', "{}"])
def test_text_that_is_as_it_was_sent_is_taken(body: str) -> None:
    document = event("http-api-v2-predict") | {"body": body, "isBase64Encoded": False}
    assert translated(document).body == body.encode()


BYTES = Response(200, {"content-type": "application/octet-stream"}, bytes(range(256)))


def test_a_rest_api_gets_text_unless_its_binary_media_types_are_set() -> None:
    document = event("rest-api-v1-predict")
    request, reply = answered(document)
    assert (request.is_text_only, request.reply_limit) == (True, 3_000_000)
    assert (reply["body"], reply["isBase64Encoded"]) == ("{}", False)
    request, reply = answered(document, BYTES, {"PILOTLIGHT_REST_API_BINARY": "true"})
    assert (request.is_text_only, request.reply_limit, reply["isBase64Encoded"]) == (False, None, True)


def test_an_http_api_that_sends_payload_format_1_decodes_base64() -> None:
    request, reply = answered(event("rest-api-v1-predict") | {"version": "1.0"}, BYTES)
    assert not request.is_text_only
    assert b64decode(reply["body"]) == BYTES.body


def test_a_load_balancer_gets_the_form_of_headers_that_it_sends() -> None:
    document = event("load-balancer-predict")
    request, reply = answered(document, BYTES)
    assert (request.is_text_only, request.reply_limit) == (False, 500_000)
    assert (reply["statusDescription"], reply["headers"]) == ("200 OK", BYTES.headers)
    headers = document.pop("headers")
    request, reply = answered(document | {"multiValueHeaders": {name: [value] for name, value in headers.items()}})
    assert request.headers == headers
    assert reply["multiValueHeaders"] == {"content-type": ["application/json"]}
    assert "headers" not in reply


def test_vpc_lattice_is_answered_in_both_versions() -> None:
    request = HttpRequest("POST", "/predict?a=b", (("Content-Type", "text/csv"), ("X-A", "1"), ("X-A", "2")), b"1,2")
    for document in (lattice_event(request), lattice_1_event(request)):
        found = translated(document)
        assert (found.method, found.path, found.headers["content-type"], found.body) == (
            "POST",
            "/predict",
            "text/csv",
            b"1,2",
        )
    assert translated(lattice_event(request)).headers["x-a"] == "1,2"


@pytest.mark.parametrize("size", [0, 10, 2_000_000, 4_400_000])
def test_a_reply_fits_lambdas_limit_and_arrives_as_it_was(size: int) -> None:
    body = b'"' * size
    reply = to_reply(Response(200, {"content-type": "application/json"}, body))
    assert len(json.dumps(reply)) <= 6_291_456
    assert (b64decode(reply["body"]) if reply["isBase64Encoded"] else reply["body"].encode()) == body

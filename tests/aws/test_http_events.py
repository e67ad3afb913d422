"""Requests from the events in events/ and their rarer forms, and replies."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import replace
from typing import Any

import pytest

from http_events import read_body, to_head, to_reply
from pilotlight.errors import InvalidRequest
from pilotlight.http.messages import Request, Response
from repository import EVENTS, sample_request


def event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())  # type: ignore[no-any-return]


def translated(document: dict[str, Any]) -> Request:
    head = to_head(document, "the-id", 12.5)
    return replace(head, body=read_body(document, head.headers))


@pytest.mark.parametrize(
    "name", ["http-api-v2-predict", "http-api-v2-predict-base64", "rest-api-v1-predict", "function-url-predict"]
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


@pytest.mark.parametrize(
    ("name", "field", "path"),
    [
        ("function-url-predict", "rawPath", "/a b"),
        ("rest-api-v1-predict", "path", "/a b"),
        ("http-api-v2-predict", "rawPath", "/a%20b"),
    ],
)
def test_a_path_is_decoded_where_the_gateway_did_not(name: str, field: str, path: str) -> None:
    assert translated(event(name) | {field: "/a%20b"}).path == path


def test_a_header_that_was_sent_twice_is_joined_by_a_comma() -> None:
    document = event("rest-api-v1-predict")
    document["multiValueHeaders"] = {"Accept": ["text/html", "application/json"]}
    assert translated(document).headers == {"accept": "text/html,application/json"}


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
        read_body({"body": body, "isBase64Encoded": True}, {})


def test_a_body_with_an_unpaired_surrogate_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="unpaired surrogate"):
        read_body({"body": "\ud800"}, {})


def with_text(name: str, body: str, length: int | None) -> dict[str, Any]:
    """Return an event with that body as text, whose caller sent so many bytes, or did not say how many."""
    fields = {} if length is None else {"Content-Length": str(length)}
    names = {name.lower(): value for name, value in fields.items()}
    headers = {"headers": names, "multiValueHeaders": {name: [value] for name, value in fields.items()}}
    return event(name) | headers | {"body": body, "isBase64Encoded": False}


# What gateways make of {"city": "Zürich"} in Latin-1, which has 18 bytes, and of the same with U+FFFD in UTF-8.
REPLACED = '{"city": "Z\ufffdrich"}'


@pytest.mark.parametrize("name", ["http-api-v2-predict", "function-url-predict", "rest-api-v1-predict"])
@pytest.mark.parametrize("length", [18, None])
def test_text_with_bytes_replaced_on_its_way_is_refused(length: int | None, name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"the body is not UTF-8: it arrived with U\+FFFD"):
        translated(with_text(name, REPLACED, length))


@pytest.mark.parametrize("name", ["http-api-v2-predict", "function-url-predict", "rest-api-v1-predict"])
@pytest.mark.parametrize(
    ("body", "length"),
    [
        (REPLACED, len(REPLACED.encode())),
        ('{"city": "Z\\ufffdrich"}', None),
        ("{}", None),
        ('{"city": "Zürich"}', 7),  # a REST API expands what was compressed, and may leave the length as it was
    ],
)
def test_text_that_is_as_it_was_sent_is_taken(body: str, length: int | None, name: str) -> None:
    assert translated(with_text(name, body, length)).body == body.encode()


@pytest.mark.parametrize("size", [0, 10, 2_000_000, 4_400_000])
def test_a_reply_fits_lambdas_limit_and_arrives_as_it_was(size: int) -> None:
    body = b'"' * size
    reply = to_reply(Response(200, {"content-type": "application/json"}, body))
    assert len(json.dumps(reply)) <= 6_291_456
    assert (b64decode(reply["body"]) if reply["isBase64Encoded"] else reply["body"].encode()) == body

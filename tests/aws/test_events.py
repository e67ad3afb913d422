"""The translators, on the events in events/ and on their rarer forms."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

import event_http_v2
import event_rest_v1
from pilotlight.messages import Request

EVENTS = Path(__file__).parents[2] / "events"


def event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())  # type: ignore[no-any-return]


def translated(document: dict[str, Any]) -> Request:
    if document.get("version") == "2.0":
        return event_http_v2.to_request(document, "the-id", 12.5)
    return event_rest_v1.to_request(document, "the-id", 12.5)


@pytest.mark.parametrize(
    "name", ["http-api-v2-predict", "http-api-v2-predict-base64", "rest-api-v1-predict", "function-url-predict"]
)
def test_every_kind_of_event_becomes_the_same_request(name: str) -> None:
    request = translated(event(name))
    assert (request.method, request.path) == ("POST", "/predict")
    assert request.headers.get("content-type", "application/json").startswith("application/json")
    assert json.loads(request.body) == event_body()
    assert (request.id, request.deadline) == ("the-id", 12.5)


def event_body() -> Any:
    return json.loads((EVENTS / "sample-request.json").read_text())["body"]


def test_a_request_without_a_body_has_an_empty_one() -> None:
    request = translated(event("http-api-v2-health"))
    assert (request.method, request.path, request.body) == ("GET", "/health", b"")


def test_the_stage_in_front_of_an_http_apis_path_is_no_part_of_the_route() -> None:
    document = event("http-api-v2-predict")
    document["rawPath"], document["requestContext"]["stage"] = "/prod/predict", "prod"
    assert translated(document).path == "/predict"
    document["rawPath"] = "/prod"
    assert translated(document).path == "/"


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


def test_a_rest_event_may_have_neither_headers_nor_body() -> None:
    document = event("rest-api-v1-predict") | {"multiValueHeaders": None, "headers": None, "body": None}
    request = translated(document)
    assert (request.headers, request.body) == ({}, b"")


@pytest.mark.parametrize("name", ["http-api-v2-predict", "rest-api-v1-predict"])
def test_a_binary_body_comes_through_byte_for_byte(name: str) -> None:
    body = bytes(range(256))
    document = event(name) | {"body": b64encode(body).decode(), "isBase64Encoded": True}
    assert translated(document).body == body

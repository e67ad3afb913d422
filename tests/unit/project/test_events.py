"""The files in events/ are those of the sample's pin, and all ask the same thing of the model."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest

from pilotlight_cli.project.events import pinned_events
from repository import EVENTS, LOCK, SAMPLE, sample_request

PREDICT = ["function-url-predict", "http-api-v2-predict", "http-api-v2-predict-base64", "rest-api-v1-predict"]
OTHERS = ["load-balancer-predict", "vpc-lattice-predict"]


def read(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_bytes())
    return event


def body(event: dict[str, Any]) -> bytes:
    return b64decode(event["body"]) if event["isBase64Encoded"] else str(event["body"]).encode()


def test_the_committed_events_are_those_of_the_pin() -> None:
    assert pinned_events(LOCK) == {file.name: file.read_bytes() for file in EVENTS.glob("*.json")}


def test_the_sample_request_has_every_feature_of_the_model() -> None:
    signature = json.loads((SAMPLE / "signature.json").read_bytes())
    path, request = sample_request()
    assert path == "/predict"
    assert list(request["features"]) == signature["inputs"][0]["feature_names"]


@pytest.mark.parametrize("name", [*PREDICT, *OTHERS])
def test_every_predict_event_carries_the_sample_request(name: str) -> None:
    assert json.loads(body(read(name))) == sample_request()[1]


@pytest.mark.parametrize("name", [*PREDICT, "http-api-v2-invalid", "http-api-v2-health"])
def test_a_content_length_is_that_of_the_decoded_body(name: str) -> None:
    event = read(name)
    if "content-length" in event["headers"]:  # REST APIs do not pass it on
        assert int(event["headers"]["content-length"]) == len(body(event) if "body" in event else b"")


def test_the_base64_event_has_the_text_events_bytes() -> None:
    assert read("http-api-v2-predict-base64")["isBase64Encoded"]
    assert body(read("http-api-v2-predict-base64")) == body(read("http-api-v2-predict"))


def test_the_invalid_event_differs_in_one_value() -> None:
    good, bad = json.loads(body(read("http-api-v2-predict"))), json.loads(body(read("http-api-v2-invalid")))
    assert {name for name, value in bad["features"].items() if value != good["features"][name]} == {"mean radius"}


def test_rest_events_have_each_header_twice_and_no_version() -> None:
    event = read("rest-api-v1-predict")
    assert event["multiValueHeaders"] == {name: [value] for name, value in event["headers"].items()}
    assert "version" not in event

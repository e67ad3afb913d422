"""The function in AWS's own runtime, on events that no contract with a caller covers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest

from aws_events import rest_api_event
from fakes.gate import Gate
from harness import Pinned, in_lambda, sample, stored
from pilotlight_cli.local.events import HttpRequest, http_api_event
from pilotlight_cli.local.lambda_runtime import FunctionFailed, LambdaRuntime
from pilotlight_cli.local.stores import acting_in
from pilotlight_cli.stores import open_store
from waiting import wait_until

JSON = (("content-type", "application/json"),)
BODY = json.dumps({"features": [1.0] * 30}).encode()
PREDICT = http_api_event(HttpRequest("POST", "/predict", JSON, BODY))
REST_PREDICT = rest_api_event(HttpRequest("POST", "/predict", JSON, BODY))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    return sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def function(model: Pinned) -> Iterator[LambdaRuntime]:
    with stored("aws", model) as store, in_lambda(model, store) as runtime:
        yield runtime


@pytest.mark.parametrize(
    ("event", "found"),
    [
        ({}, r"the fields \[\]"),
        ([], "list"),
        ("ping", "str"),
        (None, "NoneType"),
        ({"version": "0", "source": "aws.events", "detail": {}}, r"the fields \['detail', 'source', 'version'\]"),
        ({"version": "2.0", "requestContext": None}, r"the fields \['requestContext', 'version'\]"),
        ({key: value for key, value in PREDICT.items() if key != "requestContext"}, "the fields .*rawPath"),
        ({key: value for key, value in REST_PREDICT.items() if key != "path"}, "the fields .*httpMethod"),
    ],
)
def test_an_event_that_is_no_http_is_an_error_that_names_what_came(
    event: Any, found: str, function: LambdaRuntime
) -> None:
    with pytest.raises(
        FunctionFailed, match=f"ValueError: expected an HTTP event of API Gateway or a function URL, found {found}"
    ):
        function.invoke(event)
    assert function.invoke(PREDICT)["statusCode"] == 200


@pytest.mark.parametrize("event", [PREDICT, REST_PREDICT], ids=["http-api", "rest-api"])
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"body": "!!!!", "isBase64Encoded": True}, 400),
        ({"body": "e30", "isBase64Encoded": True}, 400),
        ({"body": "\ud800", "isBase64Encoded": False}, 400),
        ({"body": {"features": []}, "isBase64Encoded": False}, 400),
        ({"body": "Z\ufffdrich", "isBase64Encoded": False}, 400),
        ({"rawPath": "/\ud800", "path": "/\ud800"}, 404),
        ({"rawPath": "/%ff", "path": "/%ff"}, 404),
    ],
)
def test_an_http_event_that_is_not_right_has_a_reply_of_our_shape(
    event: dict[str, object], fields: dict[str, object], status: int, function: LambdaRuntime
) -> None:
    reply = function.invoke(event | fields)
    document = json.loads(reply["body"])
    assert reply["statusCode"] == status
    assert document.keys() == {"error", "code", "path", "request_id"}
    assert document["request_id"] == reply["headers"]["x-request-id"]
    wait_until(lambda: line_of(document["request_id"], function) is not None, limit=60)
    line = line_of(document["request_id"], function)
    assert line is not None
    assert (line["ClientErrors"], line["ServerErrors"], line["level"]) == (1, 0, "WARNING")


def line_of(request_id: str, function: LambdaRuntime) -> dict[str, Any] | None:
    """Return a request's line in the log, once it was read."""
    return next((line for line in function.log.events("request") if line["request_id"] == request_id), None)


@pytest.mark.parametrize("event", [PREDICT, REST_PREDICT], ids=["http-api", "rest-api"])
def test_an_http_event_without_headers_is_answered(event: dict[str, object], function: LambdaRuntime) -> None:
    assert function.invoke(event | {"headers": None, "multiValueHeaders": None})["statusCode"] == 200


def test_a_model_that_turns_out_wrong_after_init_ends_the_environment_and_the_next_one_begins_again(
    model: Pinned,
) -> None:
    with stored("aws", model) as store, Gate(store.environ["AWS_ENDPOINT_URL_S3"]) as gate:
        gate.is_open = False
        reached = dataclasses.replace(store, environ={**store.environ, "AWS_ENDPOINT_URL_S3": gate.url})
        with in_lambda(model, reached) as runtime, acting_in(store.environ):
            assert runtime.invoke(http_api_event(HttpRequest("GET", "/health/live")))["statusCode"] == 200
            files = open_store(store.url)
            key = model.model.key(model.model.files[0].name)
            good = files.read(key)
            files.replace(key, b"another model")
            gate.is_open = True
            with pytest.raises(FunctionFailed, match="Runtime.ExitError"):
                runtime.invoke(PREDICT)
            files.replace(key, good)
            assert runtime.invoke(PREDICT)["statusCode"] == 200

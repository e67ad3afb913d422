"""The function in AWS's own runtime, on all kinds of events and on what no contract with a caller covers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from samcli.local.apigw.event_constructor import construct_v1_event
from samcli.local.apigw.route import Route

import event_table as outcomes
from aws_events import rest_api_event
from event_table import ANSWERED, BODY, JSON, PREDICT, RECORDS, REFUSED, TABLE, UNKNOWN, Tried
from fakes.gate import Gate
from harness import Pinned, in_lambda, sample, stored
from pilotlight_cli.local.events import HttpRequest, http_api_event
from pilotlight_cli.local.lambda_runtime import FunctionFailed, LambdaRuntime
from pilotlight_cli.local.stores import acting_in
from pilotlight_cli.stores import open_store
from processes import descendants, resident
from waiting import wait_until

PREDICT_EVENT = http_api_event(PREDICT)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    return sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def function(model: Pinned) -> Iterator[LambdaRuntime]:
    with stored("aws", model) as store, in_lambda(model, store) as runtime:
        yield runtime


@pytest.mark.parametrize("tried", TABLE, ids=lambda tried: tried.name)
def test_each_event_has_its_outcome_and_a_good_request_behind_it_is_answered(
    tried: Tried, function: LambdaRuntime
) -> None:
    match tried.outcome:
        case int():
            check_reply(tried, function)
        case outcomes.READY:
            ready = {"status": "ready", "model_name": "breast-cancer", "model_version": 1}
            assert function.invoke(tried.event) == ready
        case outcomes.UNKNOWN:
            check_unknown(tried, function)
        case outcomes.RECORDS:
            with pytest.raises(FunctionFailed, match="ValueError: expected an HTTP event"):
                function.invoke(tried.event)
        case _:
            document = function.invoke(tried.event)
            assert ("error" in document) == (tried.outcome == REFUSED)
            assert bool(document.keys() & {"prediction", "predictions"}) == (tried.outcome == ANSWERED), document
    assert function.invoke(PREDICT_EVENT)["statusCode"] == 200


def check_reply(tried: Tried, function: LambdaRuntime) -> None:
    """Check a reply's status, and of a refusal its shape and that its line counts it as the caller's error."""
    reply = function.invoke(tried.event)
    assert reply["statusCode"] == tried.outcome, reply
    if tried.outcome == 200:
        return
    document = json.loads(reply["body"])
    assert document.keys() == {"error", "code", "path", "request_id"}
    assert tried.says in document["error"]
    assert document["request_id"] in (reply.get("headers") or reply["multiValueHeaders"])["x-request-id"]
    wait_until(lambda: line_of(document["request_id"], function) is not None, limit=60)
    line = line_of(document["request_id"], function)
    assert line is not None
    assert (line["ClientErrors"], line["ServerErrors"], line["level"]) == (1, 0, "WARNING")


def check_unknown(tried: Tried, function: LambdaRuntime) -> None:
    """Check that a refusal names what came, and that a line counts it as nobody's error."""
    before = len(unknown_events(function))
    document = function.invoke(tried.event)
    assert document["code"] == "unknown_event"
    assert document["error"].startswith("expected an HTTP event, or a document with features, instances, inputs")
    assert tried.says in document["error"]
    assert len(document["error"]) < 5000
    wait_until(lambda: len(unknown_events(function)) > before, limit=60)
    line = unknown_events(function)[-1]
    assert (line["UnknownEvents"], line["message"]) == (1, document["error"])
    assert line["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [{"Name": "UnknownEvents", "Unit": "Count"}]


def unknown_events(function: LambdaRuntime) -> list[dict[str, Any]]:
    return [line for line in function.log.events("warning") if "UnknownEvents" in line]


def test_the_table_has_real_and_malformed_events_of_every_front_end() -> None:
    assert len({tried.name for tried in TABLE}) == len(TABLE) >= 500
    assert sum(tried.outcome == 200 for tried in TABLE) >= 100
    assert sum(tried.outcome in (400, UNKNOWN, REFUSED) for tried in TABLE) >= 100


def test_memory_stays_bounded_whatever_events_come(function: LambdaRuntime) -> None:
    wrong = [tried.event for tried in TABLE if tried.outcome not in (200, RECORDS)]

    def held() -> int:
        for event in wrong:
            function.invoke(event)
        return resident(descendants(function.pid))

    before = [held() for _ in range(2)][-1]
    assert min(held() for _ in range(3)) - before < 8_000_000


@pytest.mark.parametrize(
    ("path", "event"),
    [
        ("/predict", {"features": [1.0] * 30}),
        ("/predict", {"features": [1.0] * 29}),
        ("/predict_batch", {"instances": [[1.0] * 30, [2.0] * 30]}),
        ("/invocations", {"dataframe_split": {"columns": ["a"], "data": [[1]]}}),
        ("/invocations", {"dataframe_records": []}),
        ("/v2/models/breast-cancer/infer", {"inputs": [{"name": "x"}]}),
        ("/invocations", {"inputs": [[1.0] * 30]}),
        ("/invocations", {"inputs": {"features": [[1.0] * 30]}}),
        ("/predict_batch", {"instances": [[1.0] * 30], "also": 1}),
    ],
)
def test_a_plain_document_gets_the_body_that_its_route_answers(
    path: str, event: dict[str, Any], function: LambdaRuntime
) -> None:
    by_http = function.invoke(http_api_event(HttpRequest("POST", path, JSON, json.dumps(event).encode())))
    found, expected = function.invoke(event), json.loads(by_http["body"])
    assert {**found, "request_id": ""} == {**expected, "request_id": ""}
    assert ("error" in found) == (by_http["statusCode"] != 200)


def test_a_rest_api_gets_no_bytes_and_no_compression_unless_it_decodes_base64(function: LambdaRuntime) -> None:
    """The first would arrive as base64, by the second a client would fail to decompress it."""
    rows = json.dumps({"instances": [[1.0] * 30] * 200}).encode()
    many = HttpRequest("POST", "/predict_batch", (*JSON, ("accept-encoding", "gzip")), rows)
    reply = function.invoke(rest_api_event(many, binary=False))
    assert (reply["isBase64Encoded"], "content-encoding" in reply["headers"]) == (False, False)
    assert len(json.loads(reply["body"])["predictions"]) == 200
    tensor = {"name": "features", "datatype": "FP64", "shape": [1, 30], "data": [1.0] * 30}
    asked = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    request = HttpRequest("POST", "/v2/models/breast-cancer/infer", JSON, json.dumps(asked).encode())
    reply = function.invoke(rest_api_event(request, binary=False))
    assert (reply["statusCode"], json.loads(reply["body"])["path"]) == (400, "$.outputs")
    assert "PILOTLIGHT_REST_API_BINARY" in json.loads(reply["body"])["error"]


def line_of(request_id: str, function: LambdaRuntime) -> dict[str, Any] | None:
    """Return a request's line in the log, once it was read."""
    return next((line for line in function.log.events("request") if line["request_id"] == request_id), None)


def test_a_rest_api_of_sam_local_gets_text_which_is_all_that_it_passes_on(function: LambdaRuntime) -> None:
    app = flask.Flask(__name__)
    app.add_url_rule("/<path:proxy>", endpoint="/<path:proxy>", methods=["POST"])
    rows = json.dumps({"instances": [[1.0] * 30] * 200})
    headers = {**dict(JSON), "accept-encoding": "gzip"}
    with app.test_request_context("/predict_batch", method="POST", data=rows, headers=headers):
        event = construct_v1_event(flask.request, 3000, [], stage_name="Prod", api_type=Route.API)
    reply = function.invoke(event)
    assert (reply["statusCode"], reply["isBase64Encoded"]) == (200, False)
    assert "content-encoding" not in reply["headers"]
    assert len(json.loads(reply["body"])["predictions"]) == 200


@pytest.mark.parametrize("to_event", [http_api_event, rest_api_event])
def test_the_line_of_a_request_names_its_traces(
    to_event: Callable[[HttpRequest], dict[str, object]], function: LambdaRuntime
) -> None:
    root, trace, span = "1-5759e988-bd862e3fe1be46a994272793", "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    sent = (("X-Amzn-Trace-Id", f"Root={root}"), ("traceparent", f"00-{trace}-{span}-01"))
    request_id = f"traced-{to_event.__name__}"
    event = to_event(HttpRequest("POST", "/predict", (*JSON, *sent, ("x-request-id", request_id)), BODY))
    assert function.invoke(event)["statusCode"] == 200
    wait_until(lambda: line_of(request_id, function) is not None, limit=60)
    line = line_of(request_id, function)
    assert line is not None
    assert (line["xray_trace_id"], line["trace_id"], line["span_id"]) == (root, trace, span)


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
                runtime.invoke(PREDICT_EVENT)
            files.replace(key, good)
            assert runtime.invoke(PREDICT_EVENT)["statusCode"] == 200

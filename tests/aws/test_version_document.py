"""What a version says of itself to who deploys it, and to nobody else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import version_document
from aws_events import function_url_event, rest_api_event
from harness import Pinned, prepared, sample, stored
from pilotlight_cli.local.events import HttpRequest, http_api_event
from pilotlight_cli.local.lambda_runtime import LambdaRuntime, lambda_runtime
from repository import LOCK

ASKED = {"pilotlight": "describe"}
RELEASE = "0f" * 32


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    return sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def function(model: Pinned) -> Iterator[LambdaRuntime]:
    with (
        stored("aws", model) as store,
        prepared("aws", model, store, {"PILOTLIGHT_RELEASE": RELEASE}) as staged,
        lambda_runtime(staged, version="12") as runtime,
    ):
        yield runtime


def test_a_version_says_which_release_and_which_lock_it_is(function: LambdaRuntime) -> None:
    assert function.invoke(ASKED) == {
        "format": 1,
        "function_version": "12",
        "release": RELEASE,
        "lock": hashlib.sha256(LOCK.read_bytes()).hexdigest(),
        "model": json.loads(LOCK.read_bytes()),
        "golden": json.loads(LOCK.with_name("golden.json").read_bytes()),
        "samples_left_out": 0,
    }


def test_a_version_that_cannot_reach_its_store_says_what_it_is_all_the_same(model: Pinned, closed_port: int) -> None:
    nowhere = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{closed_port}"}
    with (
        stored("aws", model) as store,
        prepared("aws", model, store, nowhere) as staged,
        lambda_runtime(staged, version="13") as runtime,
    ):
        assert runtime.invoke(ASKED)["function_version"] == "13"


@pytest.mark.parametrize("to_event", [http_api_event, rest_api_event, function_url_event])
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (HttpRequest("POST", "/", (("content-type", "application/json"),), json.dumps(ASKED).encode()), 405),
        (HttpRequest("GET", "/describe?pilotlight=describe", (("pilotlight", "describe"),)), 404),
        (HttpRequest("GET", "/pilotlight/describe", (("cookie", "pilotlight=describe"),)), 404),
    ],
    ids=["body", "query and header", "path and cookie"],
)
def test_no_http_request_gets_that_answer(
    to_event: Any, request_: HttpRequest, status: int, function: LambdaRuntime
) -> None:
    reply = function.invoke(to_event(request_))
    assert reply["statusCode"] == status
    assert RELEASE not in json.dumps(reply)


@pytest.mark.parametrize(
    "event",
    [
        {"pilotlight": "other"},
        {**ASKED, "rawPath": "/"},
        {"pilotlight": ASKED},
        {"body": ASKED},
    ],
)
def test_only_that_event_is_answered_so(event: object, function: LambdaRuntime) -> None:
    assert function.invoke(event)["code"] == "unknown_event"


def test_of_more_samples_than_a_reply_takes_the_first_ones_come(tmp_path: Path) -> None:
    samples = [{"number": number, "filling": "x" * 1_000_000} for number in range(7)]
    (tmp_path / "model.lock").write_text("{}")
    (tmp_path / "golden.json").write_text(json.dumps({"samples": samples}))
    found = version_document.version_document(tmp_path, {})
    assert [sample["number"] for sample in found["golden"]["samples"]] == [0, 1, 2, 3]
    assert found["samples_left_out"] == 3
    assert len(json.dumps(found)) < 6_000_000

"""A shadow in each cloud's own runtime and in the server: what callers get, and what its line says."""

from __future__ import annotations

import json
from typing import Any

import pytest

import models
from drivers import Driver
from harness import Pinned, pinned, stored
from local_lock import copy_lock
from pilotlight_cli.comparing import report as diff
from pilotlight_cli.comparing.sides import open_side
from pilotlight_cli.experimenting.report import document, summed
from pilotlight_cli.experimenting.shadow import pin_shadow
from running import RUNTIMES, running

NAME = "classes"
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], Pinned, list[Pinned]]:
    """Rows; the pinned version of two that are trained on other points, with the other as its shadow; and both."""
    folder = tmp_path_factory.mktemp("shadow")
    trained = [models.three_classes(tmp_path_factory.mktemp(f"seed-{seed}"), seed) for seed in (1, 2)]
    versions = [
        pinned(one.files["onnx"], NAME, folder, lock=name)
        for one, name in zip(trained, ("first", "second"), strict=True)
    ]
    lock = copy_lock(versions[0].lock, tmp_path_factory.mktemp("shadowed"))
    pin_shadow(versions[0].store, f"{NAME}:2", lock, 100)
    return trained[0].draw(200, models.new_seed()).instances, Pinned(lock, versions[0].store), versions


@pytest.fixture(scope="module")
def said(pair: tuple[list[Any], Pinned, list[Pinned]]) -> dict[str, Any]:
    """Return what `pilotlight diff` says of the rows."""
    rows, shadowed, _ = pair
    first, second = (open_side(f"{NAME}:{version}", lambda: shadowed.store) for version in (1, 2))
    text = json.dumps({"instances": rows})
    found: dict[str, Any] = diff.document(diff.compare_sides((first, second), text, "rows", 1, lambda _: None))
    return found


def cases(rows: list[Any]) -> list[tuple[str, str, object]]:
    """Return requests that are answered, and some that are refused, before the model and by it."""
    return [
        ("POST", "/predict_batch", {"instances": rows}),
        ("POST", "/predict", {"features": rows[0]}),
        ("POST", f"/v2/models/{NAME}/infer", {"inputs": []}),
        ("POST", f"/v1/models/{NAME}:predict", {"instances": rows[:3]}),
        ("POST", "/predict", {"features": "none"}),
        ("GET", "/health", None),
        ("GET", "/nowhere", None),
    ]


def ask(send: Driver, requests: list[tuple[str, str, object]]) -> list[tuple[object, ...]]:
    replies: list[tuple[object, ...]] = []
    for method, path, body in requests:
        headers = JSON | {"x-request-id": "one"}
        reply = send(method, path, headers, b"" if body is None else json.dumps(body).encode())
        replies.append((reply.status, reply.body, sorted(name.lower() for name in reply.headers)))
    return replies


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_callers_get_the_same_bytes_and_the_line_says_what_diff_says(
    runtime: str, pair: tuple[list[Any], Pinned, list[Pinned]], said: dict[str, Any]
) -> None:
    rows, shadowed, versions = pair
    requests = cases(rows)
    with stored("aws" if runtime == "aws" else "gcp", *versions) as store:
        with running(runtime, versions[0], store) as (send, log):
            alone = ask(send, requests)
            assert not log.events("variant_start")
        with running(runtime, shadowed, store) as (send, log):
            beside = ask(send, requests[:1])
            line = log.wait_for("shadow", 60)
            beside += ask(send, requests[1:])
            starts = log.events("variant_start")

    assert beside == alone
    assert [(start["variant"], start["state"]) for start in starts[:1]] == [(f"{NAME}:2 (shadow)", "ready")]
    assert line is not None, log.tail()
    (found,) = map(document, summed([line]))
    assert (found["before"], found["after"], found["rows"], found["failed"]) == (f"{NAME}:1", f"{NAME}:2", 200, {})
    assert_as_diff_says(found, said)


def assert_as_diff_says(found: dict[str, Any], said: dict[str, Any]) -> None:
    error = found["quantile_error"]
    assert error <= 0.01
    for mine, theirs in zip(found["predictions"]["outputs"], said["predictions"]["outputs"], strict=True):
        assert (mine["before"], mine["after"]) == (theirs["before"], theirs["after"])
        if "flips" in theirs:
            assert mine["flips"] == theirs["flips"] | {"examples": []}
            assert mine["flips"]["count"] > 0
            continue
        apart, expected = mine["differences"], theirs["differences"]
        for exact in ("count", "unmatched", "histogram"):
            assert apart[exact] == expected[exact]
        for equal in ("largest", "mean"):
            assert apart[equal] == pytest.approx(expected[equal], rel=1e-9)
        for close in ("p50", "p95", "p99"):
            assert apart[close] == pytest.approx(expected[close], rel=error)

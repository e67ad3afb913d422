"""A cold start on a Cloud Storage that fails: the right model or a clear refusal, never a wrong one, never too late."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

import gcs_client  # noqa: F401 - it takes longer to import than a start has here
from faulty_starts import CONTENT, MANY, MODEL, REST, Open, start, start_in_vain
from gcs_store import GcsStore
from pilotlight.errors import DigestMismatch, ObjectRefused, PilotlightError
from servers.fake_gcs import FakeGcs, Fault

NAME = f"team/{MODEL.key('model.onnx')}"
PLACE = f"/storage/v1/b/models/o/{quote(NAME, safe='')}?alt=media"


@pytest.fixture
def gcs(fake_gcs: FakeGcs) -> FakeGcs:
    fake_gcs.put("models", NAME, CONTENT)
    return fake_gcs


def store(gcs: FakeGcs) -> Open:
    return partial(GcsStore, "gs://models/team", {"STORAGE_EMULATOR_HOST": gcs.url})


def media(kind: str, **fields: object) -> Fault:
    return Fault(kind, on=("media",), **fields)  # type: ignore[arg-type]


RECOVERED = {
    "nothing at all": [],
    "a role that is fresh": [media("status", status=403)] * 2,
    "an object that comes late": [media("status", status=404)] * 2,
    "too many requests": [media("status", status=429, headers={"Retry-After": "1"})],
    "an overloaded store": [media("status", status=503)] * 3,
    "an error inside of it": [media("status", status=500)],
    "a reset before the answer": [media("lost")],
    "a reset before the body": [media("reset")],
    "a reset inside the body": [media("reset", after=1000)],
    "resets inside the body": [media("reset", after=1000)] * 5,
    "a body cut short": [media("truncated", after=1000)],
    "a body cut short, and no length": [media("truncated", after=1000, without=("Content-Length",))],
    "an answer that is not HTTP": [media("nonsense")],
    "a redirect, and what the client is sent to": [media("status", status=307)],
    "a status that means nothing": [media("status", status=299)],
    "an error in the middle of what was read on": [media("reset", after=1000), media("status", status=503)],
    "a start of the body where the rest was asked for": [media("reset", after=1000), media("odd")],
}


@pytest.mark.parametrize("faults", RECOVERED.values(), ids=RECOVERED.keys())
def test_what_passes_ends_with_the_right_model(faults: list[Fault], gcs: FakeGcs, tmp_path: Path) -> None:
    for fault in faults:
        gcs.inject(fault)
    outcome = start(store(gcs), tmp_path)
    assert (outcome.state, outcome.fetched) == ("ready", CONTENT), outcome


SLOW = {
    "no answer": media("silent"),
    "a body that stalls": media("stall", after=1000),
    "a body that stalls before its first byte": media("stall"),
}


@pytest.mark.parametrize("fault", SLOW.values(), ids=SLOW.keys())
def test_a_wait_takes_half_of_the_time_so_that_another_try_fits_in(fault: Fault, gcs: FakeGcs, tmp_path: Path) -> None:
    gcs.inject(fault)
    outcome = start(store(gcs), tmp_path, 16.0)
    assert (outcome.state, outcome.fetched) == ("ready", CONTENT), outcome


WAITING = {
    "an overloaded store": (media("status", status=503), "503 injected"),
    "resets before the body": (media("reset"), "the body ended after 0 bytes: Connection"),
    "redirects without an end": (media("status", status=307, headers={"Location": PLACE}), "Exceeded 30 redirects"),
}
WAITING_LONG = {
    "no answer": (media("silent"), "timed out"),
    "a stall": (media("stall", after=1000), "timed out"),
    "a drip": (
        media("drip", after=1000),
        r"(the body ended after \d{4,} bytes: |no response \()TimeoutError: timed out",
    ),
    "headers that never end": (media("endless"), r"no response \(TimeoutError: timed out"),
}


@pytest.mark.parametrize(
    ("fault", "message"), [*WAITING.values(), *WAITING_LONG.values()], ids=[*WAITING, *WAITING_LONG]
)
def test_what_lasts_gives_up_in_time_and_says_why(fault: Fault, message: str, gcs: FakeGcs, tmp_path: Path) -> None:
    gcs.inject(fault, times=MANY)
    hurry = {"most": 2.0} if (fault, message) in WAITING_LONG.values() else {}
    outcome = start_in_vain(store(gcs), tmp_path, **hurry)
    assert outcome.state == "waiting", outcome
    assert outcome.raised is None
    assert re.search(message, outcome.said), outcome.said
    assert outcome.said.startswith(f"StoreUnavailable: gs://models/team/{MODEL.key('model.onnx')}: ")


REFUSED = {
    "no permission": (media("status", status=403), ObjectRefused, "403 injected. Either the object does not exist, or"),
    "no object": (media("status", status=404), ObjectRefused, "404 injected. Either the object does not exist, or"),
    "another byte, and a hash that tells it": (media("corrupt", after=70), DigestMismatch, "expected SHA-256"),
    "another byte, and no hash": (
        media("corrupt", after=70, without=("X-Goog-Hash",)),
        DigestMismatch,
        "expected SHA-256",
    ),
}


@pytest.mark.parametrize(("fault", "kind", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_right_ends_the_start_with_the_reason(
    fault: Fault, kind: type[PilotlightError], message: str, gcs: FakeGcs, tmp_path: Path
) -> None:
    gcs.inject(fault, times=MANY)
    outcome = start_in_vain(store(gcs), tmp_path)
    assert (outcome.state, outcome.raised) == ("failed", kind)
    assert message in outcome.said


def test_a_body_that_breaks_off_is_read_on_from_there_in_the_same_generation(gcs: FakeGcs, tmp_path: Path) -> None:
    gcs.inject(media("reset", after=1000))
    gcs.inject(media("truncated", after=500))
    assert start(store(gcs), tmp_path).attempts == 1
    generation = gcs.buckets.find("models", NAME, {}).generation
    assert gcs.requests == [f"GET {PLACE}", *[f"GET {PLACE}&generation={generation}"] * 2]
    assert gcs.ranges == ["", REST, f"bytes=1500-{len(CONTENT) - 1}"]


def test_an_object_that_is_replaced_while_it_comes_is_fetched_from_its_beginning(gcs: FakeGcs, tmp_path: Path) -> None:
    gcs.put("models", NAME, CONTENT[::-1])
    gcs.inject(media("reset", after=1000))
    gcs.faults.meanwhile = lambda number: gcs.put("models", NAME, CONTENT) if number == 2 else None
    outcome = start(store(gcs), tmp_path)
    assert (outcome.state, outcome.attempts) == ("ready", 2)
    assert gcs.ranges == ["", REST, ""]


def test_another_object_in_its_place_is_refused(gcs: FakeGcs, tmp_path: Path) -> None:
    gcs.inject(media("reset", after=1000))
    gcs.faults.meanwhile = lambda number: gcs.put("models", NAME, CONTENT[::-1]) if number == 2 else None
    outcome = start(store(gcs), tmp_path)
    assert (outcome.state, outcome.raised) == ("failed", DigestMismatch)


def test_without_a_generation_nothing_is_read_on(gcs: FakeGcs, tmp_path: Path) -> None:
    gcs.inject(media("reset", after=1000, without=("X-Goog-Generation",)))
    assert start(store(gcs), tmp_path).attempts == 2
    assert gcs.ranges == ["", ""]

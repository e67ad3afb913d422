"""A cold start on a Cloud Storage that fails: the right model or a clear refusal, never a wrong one, never too late."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

import gcs_client  # noqa: F401 - it takes longer to import than a start has here
from doubles import Records
from fakes.fake_gcs import FakeGcs, Fault
from gcs_store import GcsStore
from pilotlight.description import load_lock
from pilotlight.errors import DigestMismatch, ObjectRefused, PilotlightError
from pilotlight.loading import Loader, Plan
from pilotlight.store import ObjectStore, Sink
from pilotlight_cli.project import LOCK, SAMPLE

MODEL = load_lock(LOCK).model
CONTENT = (SAMPLE / "model.onnx").read_bytes()
NAME = f"team/{MODEL.key('model.onnx')}"
PLACE = f"/storage/v1/b/models/o/{quote(NAME, safe='')}?alt=media"

DEADLINE = 60.0  # which no start comes near that gets what it needs, whatever else the machine does
BUSY = 60.0  # what a start may take longer on a busy machine; without a deadline it goes on for hours or for ever

MANY = 10_000


@dataclass(frozen=True)
class Outcome:
    """How a start ended: the loader's state, what it raised, and what it has to say."""

    state: str
    raised: type[PilotlightError] | None
    said: str
    attempts: int
    fetched: bytes


@pytest.fixture
def gcs(fake_gcs: FakeGcs) -> FakeGcs:
    fake_gcs.put("models", NAME, CONTENT)
    return fake_gcs


class Hurried:
    """A store of which each try gets two seconds, however long a start would wait."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """See `pilotlight.store.ObjectStore.fetch`."""
        self._store.fetch(key, sink, min(timeout, 2.0))


def start(gcs: FakeGcs, folder: Path, deadline: float = DEADLINE) -> Outcome:
    """A whole start against the fake."""
    return started(opened(gcs), folder, deadline)


def start_in_vain(store: ObjectStore, folder: Path) -> Outcome:
    """A start that has 32 seconds, of which a try needs 30: so no stall of the machine's ends one before its store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pilotlight.loading._TRY", 30.0)
        return started(store, folder, 32.0)


def opened(gcs: FakeGcs) -> GcsStore:
    return GcsStore("gs://models/team", {"STORAGE_EMULATOR_HOST": gcs.url}, warn=lambda _: None)


def started(store: ObjectStore, folder: Path, deadline: float) -> Outcome:
    """Holds a start to its deadline, and holds what it left to the lock."""
    records = Records()
    loader = Loader(Plan(MODEL, store, folder, 1, time.monotonic, time.sleep, forks=True), records, {}, 0.0)
    raised: type[PilotlightError] | None = None
    began = time.monotonic()
    try:
        loader.start(deadline)
    except PilotlightError as error:
        raised = type(error)
    assert time.monotonic() - began < deadline + BUSY
    (record,) = records.cold_starts
    file = folder / "model.onnx"
    fetched = file.read_bytes() if file.exists() else b""
    assert fetched in (b"", CONTENT)
    assert (loader.state == "ready") == bool(fetched)
    left = list(folder.glob(".*"))
    assert not left or loader.state == "waiting"  # what came is gone on with by the next request
    return Outcome(loader.state, raised, record.error, record.attempts, fetched)


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
    outcome = start(gcs, tmp_path)
    assert (outcome.state, outcome.fetched) == ("ready", CONTENT), outcome


SLOW = {
    "no answer": media("silent"),
    "a body that stalls": media("stall", after=1000),
    "a body that stalls before its first byte": media("stall"),
}


@pytest.mark.parametrize("fault", SLOW.values(), ids=SLOW.keys())
def test_a_wait_takes_half_of_the_time_so_that_another_try_fits_in(fault: Fault, gcs: FakeGcs, tmp_path: Path) -> None:
    gcs.inject(fault)
    outcome = start(gcs, tmp_path, 16.0)
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
        r"(the body ended after \d{4,} bytes: |no answer \()TimeoutError: timed out",
    ),
    "headers that never end": (media("endless"), r"no answer \(TimeoutError: timed out"),
}


@pytest.mark.parametrize(
    ("fault", "message"), [*WAITING.values(), *WAITING_LONG.values()], ids=[*WAITING, *WAITING_LONG]
)
def test_what_lasts_gives_up_in_time_and_says_why(fault: Fault, message: str, gcs: FakeGcs, tmp_path: Path) -> None:
    gcs.inject(fault, times=MANY)
    store = Hurried(opened(gcs)) if (fault, message) in WAITING_LONG.values() else opened(gcs)
    outcome = start_in_vain(store, tmp_path)
    assert outcome.state == "waiting", outcome
    assert outcome.raised is None
    assert re.search(message, outcome.said), outcome.said
    assert outcome.said.startswith(f"StoreUnavailable: gs://models/team/{MODEL.key('model.onnx')}: ")


REFUSED = {
    "no permission": (media("status", status=403), ObjectRefused, "403 injected. Either the object is not there, or"),
    "no object": (media("status", status=404), ObjectRefused, "404 injected. Either the object is not there, or"),
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
    outcome = start_in_vain(opened(gcs), tmp_path)
    assert (outcome.state, outcome.raised) == ("failed", kind)
    assert message in outcome.said


def test_a_body_that_breaks_off_is_read_on_from_there_in_the_same_generation(gcs: FakeGcs, tmp_path: Path) -> None:
    gcs.inject(media("reset", after=1000))
    gcs.inject(media("truncated", after=500))
    assert start(gcs, tmp_path).attempts == 1
    generation = gcs.buckets.find("models", NAME, {}).generation
    assert gcs.requests == [f"GET {PLACE}", *[f"GET {PLACE}&generation={generation}"] * 2]
    assert gcs.ranges == ["", f"bytes=1000-{len(CONTENT) - 1}", f"bytes=1500-{len(CONTENT) - 1}"]


def test_an_object_that_is_replaced_while_it_comes_is_fetched_from_its_beginning(gcs: FakeGcs, tmp_path: Path) -> None:
    gcs.put("models", NAME, CONTENT[::-1])
    gcs.inject(media("reset", after=1000))
    gcs.faults.meanwhile = lambda number: gcs.put("models", NAME, CONTENT) if number == 2 else None
    outcome = start(gcs, tmp_path)
    assert (outcome.state, outcome.attempts) == ("ready", 2)
    assert gcs.ranges == ["", f"bytes=1000-{len(CONTENT) - 1}", ""]


def test_another_object_in_its_place_is_refused(gcs: FakeGcs, tmp_path: Path) -> None:
    gcs.inject(media("reset", after=1000))
    gcs.faults.meanwhile = lambda number: gcs.put("models", NAME, CONTENT[::-1]) if number == 2 else None
    outcome = start(gcs, tmp_path)
    assert (outcome.state, outcome.raised) == ("failed", DigestMismatch)


def test_without_a_generation_nothing_is_read_on(gcs: FakeGcs, tmp_path: Path) -> None:
    gcs.inject(media("reset", after=1000, without=("X-Goog-Generation",)))
    assert start(gcs, tmp_path).attempts == 2
    assert gcs.ranges == ["", ""]

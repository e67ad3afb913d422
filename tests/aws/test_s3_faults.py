"""A cold start on an S3 that fails: the right model or a clear refusal, never a wrong one, never too late."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from fakes.fake_s3 import TOKEN, FakeS3, Fault
from faulty_starts import CONTENT, MANY, MODEL, REST, start, start_in_vain
from pilotlight.errors import DigestMismatch, ObjectRefused, PilotlightError
from s3_store import S3Store

KEY = f"team/{MODEL.key('model.onnx')}"
STORE = partial(S3Store, "s3://models/team")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    """Yield an S3 with the model in it, which boto3 finds too."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with FakeS3() as fake:
        fake.put(KEY, CONTENT)
        for name, value in {**fake.environ(), "AWS_CONFIG_FILE": os.devnull}.items():
            monkeypatch.setenv(name, value)
        yield fake


def fault(kind: str, **fields: object) -> Fault:
    return Fault(kind, **fields)  # type: ignore[arg-type]


RECOVERED = {
    "nothing at all": [],
    "a role that is fresh": [fault("status", status=403, code="AccessDenied")] * 2,
    "an object that comes late": [fault("status", status=404, code="NoSuchKey")] * 2,
    "too many requests": [fault("status", status=429)],
    "an overloaded store": [fault("status", status=503, code="SlowDown")] * 3,
    "an error inside of it": [fault("status", status=500, code="InternalError")],
    "a token that has just expired": [fault("status", status=403, code="ExpiredToken")],
    "a reset before the answer": [fault("lost")],
    "a reset before the body": [fault("reset")],
    "a reset inside the body": [fault("reset", after=1000)],
    "resets inside the body": [fault("reset", after=1000)] * 5,
    "a body cut short": [fault("truncated", after=1000)],
    "a body cut short, and no length": [fault("truncated", after=1000, without=("Content-Length",))],
    "an answer that is not HTTP": [fault("nonsense")],
    "a status that means nothing": [fault("status", status=299)],
    "an error in the middle of what was read on": [fault("reset", after=1000), fault("status", status=503)],
    "a start of the body where the rest was asked for": [fault("reset", after=1000), fault("odd")],
    "an answer that does not tell which object it is of": [fault("reset", after=1000, without=("ETag",))],
}


@pytest.mark.parametrize("faults", RECOVERED.values(), ids=RECOVERED.keys())
def test_what_passes_ends_with_the_right_model_and_without_boto3(
    faults: list[Fault], s3: FakeS3, tmp_path: Path
) -> None:
    for one in faults:
        s3.inject(one)
    outcome = start(STORE, tmp_path)
    assert (outcome.state, outcome.fetched, outcome.warned) == ("ready", CONTENT, []), outcome


SLOW = {
    "no answer": fault("silent"),
    "a body that stalls": fault("stall", after=1000),
    "a body that drips, and nothing to drip of the next one": fault("drip", after=1000, delay=1.0),
}


@pytest.mark.parametrize("one", SLOW.values(), ids=SLOW.keys())
def test_a_wait_takes_half_of_the_time_so_that_another_try_fits_in(one: Fault, s3: FakeS3, tmp_path: Path) -> None:
    s3.inject(one)
    outcome = start(STORE, tmp_path, 10.0)
    assert (outcome.state, outcome.fetched, outcome.warned) == ("ready", CONTENT, []), outcome


def test_what_only_boto3_may_know_is_left_to_it(s3: FakeS3, tmp_path: Path) -> None:
    s3.inject(fault("status", status=400, code="SomethingNew"))
    outcome = start(STORE, tmp_path)
    assert (outcome.state, outcome.attempts) == ("ready", 1)
    assert "400 SomethingNew: told by the fake; trying boto3 instead" in outcome.warned[0]


WAITING = {
    "an overloaded store": (fault("status", status=503, code="SlowDown"), "503 SlowDown: told by the fake"),
    "an expired token": (fault("status", status=400, code="ExpiredToken"), "400 ExpiredToken"),
    "resets before the body": (fault("reset"), "the body ended after 0 bytes: Connection"),
}
WAITING_LONG = {
    "no answer": (fault("silent"), "timed out"),
    "a stall": (fault("stall", after=1000), "timed out"),
    "a drip": (fault("drip", delay=1.0), r"(the body ended after \d+ bytes: |no response \()TimeoutError: timed out"),
    "headers that never end": (fault("endless"), r"no response \(TimeoutError: timed out"),
}


@pytest.mark.parametrize(("one", "message"), [*WAITING.values(), *WAITING_LONG.values()], ids=[*WAITING, *WAITING_LONG])
def test_what_lasts_gives_up_in_time_and_says_why(one: Fault, message: str, s3: FakeS3, tmp_path: Path) -> None:
    s3.inject(one, times=MANY)
    hurry = {"most": 2.0} if (one, message) in WAITING_LONG.values() else {}
    outcome = start_in_vain(STORE, tmp_path, **hurry)
    assert outcome.state == "waiting", outcome
    assert outcome.raised is None
    assert re.search(message, outcome.said), outcome.said
    assert outcome.said.startswith(f"StoreUnavailable: s3://models/team/{MODEL.key('model.onnx')}: ")


REFUSED = {
    "no permission": (
        fault("status", status=403, code="AccessDenied"),
        ObjectRefused,
        "403 AccessDenied: told by the fake. Either the object does not exist, or",
    ),
    "no object": (
        fault("status", status=404, code="NoSuchKey"),
        ObjectRefused,
        "404 NoSuchKey: told by the fake. Either the object does not exist, or",
    ),
    "another byte": (fault("corrupt", after=70), DigestMismatch, "expected SHA-256"),
}


@pytest.mark.parametrize(("one", "kind", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_right_ends_the_start_with_the_reason(
    one: Fault, kind: type[PilotlightError], message: str, s3: FakeS3, tmp_path: Path
) -> None:
    s3.inject(one, times=MANY)
    outcome = start_in_vain(STORE, tmp_path)
    assert (outcome.state, outcome.raised) == ("failed", kind)
    assert message in outcome.said


@pytest.mark.parametrize("other", [CONTENT[:-1], CONTENT + b"!", b""], ids=["shorter", "longer", "empty"])
def test_an_object_of_another_size_is_refused_by_its_size(other: bytes, s3: FakeS3, tmp_path: Path) -> None:
    s3.put(KEY, other)
    outcome = start(STORE, tmp_path)
    assert (outcome.state, outcome.raised) == ("failed", DigestMismatch)
    assert f"model.onnx: expected {len(CONTENT)} bytes, the store has {len(other)}" in outcome.said


def test_a_body_that_breaks_off_is_read_on_from_there_of_the_same_object(s3: FakeS3, tmp_path: Path) -> None:
    s3.inject(fault("reset", after=1000))
    s3.inject(fault("truncated", after=500))
    assert start(STORE, tmp_path).attempts == 1
    assert s3.ranges == ["", REST, f"bytes=1500-{len(CONTENT) - 1}"]
    assert s3.conditions[0] == ""
    assert re.fullmatch('"[0-9a-f]{32}"', s3.conditions[1])
    assert s3.conditions[1] == s3.conditions[2]


def test_an_object_that_is_replaced_while_it_comes_is_fetched_from_its_beginning(s3: FakeS3, tmp_path: Path) -> None:
    s3.put(KEY, CONTENT[::-1])
    s3.inject(fault("reset", after=1000))
    s3.faults.meanwhile = lambda number: s3.put(KEY, CONTENT) if number == 2 else None
    outcome = start(STORE, tmp_path)
    assert (outcome.state, outcome.attempts) == ("ready", 2)
    assert s3.ranges == ["", REST, ""]


def test_another_object_in_its_place_is_refused(s3: FakeS3, tmp_path: Path) -> None:
    s3.inject(fault("reset", after=1000))
    s3.faults.meanwhile = lambda number: s3.put(KEY, CONTENT[::-1]) if number == 2 else None
    outcome = start(STORE, tmp_path)
    assert (outcome.state, outcome.raised) == ("failed", DigestMismatch)


@pytest.mark.parametrize("region", ["eu-west-1", "us-gov-west-1", "cn-north-1"])
def test_a_bucket_in_another_region_is_asked_for_there(region: str, s3: FakeS3, tmp_path: Path) -> None:
    s3.buckets["models"].region = region
    outcome = start(STORE, tmp_path)
    assert (outcome.state, outcome.attempts, outcome.warned) == ("ready", 1, [])
    assert s3.regions == ["us-east-1", region]


def test_a_region_that_only_the_errors_text_tells_is_heeded_too(s3: FakeS3, tmp_path: Path) -> None:
    s3.buckets["models"].region = "eu-west-1"
    s3.inject(
        fault("status", status=400, code="AuthorizationHeaderMalformed", more="<Region>eu-west-1</Region>"), times=1
    )
    assert start(STORE, tmp_path).attempts == 1
    assert s3.regions == ["eu-west-1"]


def test_redirects_without_an_end_have_one(s3: FakeS3, tmp_path: Path) -> None:
    for region in ["eu-west-1", "eu-west-2"] * 50:
        s3.inject(fault("status", status=301, code="PermanentRedirect", headers={"x-amz-bucket-region": region}))
    outcome = start(STORE, tmp_path)
    assert outcome.state == "failed"
    assert "PermanentRedirect" in outcome.said


@pytest.mark.parametrize("ahead", [3600.0, -3600.0, 86_400.0 * 365])
def test_a_clock_that_is_wrong_is_set_by_what_s3_says(ahead: float, s3: FakeS3, tmp_path: Path) -> None:
    s3.ahead = ahead
    outcome = start(STORE, tmp_path)
    assert (outcome.state, outcome.attempts, outcome.warned) == ("ready", 1, [])
    assert len(s3.ranges) == 2


def test_a_token_that_was_renewed_meanwhile_is_taken_from_the_environment(
    s3: FakeS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.expired = {TOKEN}

    def renew(number: int) -> None:
        if number == 2:
            monkeypatch.setenv("AWS_SESSION_TOKEN", "another")

    s3.faults.meanwhile = renew
    outcome = start(STORE, tmp_path)
    assert (outcome.state, outcome.attempts) == ("ready", 3)


def test_what_an_environment_that_crashed_left_is_not_taken_for_the_model(s3: FakeS3, tmp_path: Path) -> None:
    (tmp_path / ".model.onnx.999999999.00ff00ff.part").write_bytes(CONTENT)
    (tmp_path / "model.onnx").write_bytes(CONTENT[:-1] + b"!")
    assert start(STORE, tmp_path).state == "ready"
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]

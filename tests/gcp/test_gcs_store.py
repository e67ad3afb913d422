"""The function's Cloud Storage store: Google's own client against the fake that knows Cloud Storage's rules."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.fake_gcs import FakeGcs, Fault
from gcs_store import GcsStore
from pilotlight.errors import ObjectRefused, StoreError, StoreUnavailable

CONTENT = bytes(range(256)) * 9000


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    with FakeGcs("models") as fake:
        fake.put("models", "team/example/3/model.onnx", CONTENT)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", fake.url)
        yield fake


class WriteOnly:
    """The core's sink: it can be written to and nothing else."""

    def __init__(self) -> None:
        self.content = io.BytesIO()

    def write(self, chunk: bytes, /) -> None:
        self.content.write(chunk)


def fetch(url: str) -> bytes:
    sink = WriteOnly()
    GcsStore(url).fetch("example/3/model.onnx", sink, 5.0)
    return sink.content.getvalue()


def test_an_object_below_the_prefix_comes_through_byte_for_byte(gcs: FakeGcs) -> None:
    assert fetch("gs://models/team") == CONTENT


def test_a_missing_object_is_refused_with_both_possible_causes(gcs: FakeGcs) -> None:
    with pytest.raises(ObjectRefused, match=r"gs://models/other/example/3/model.onnx: 404.*storage.objects.get"):
        fetch("gs://models/other")


def test_an_account_without_the_permission_is_refused(gcs: FakeGcs) -> None:
    gcs.inject(Fault("status", on=("media",), status=403))
    with pytest.raises(ObjectRefused, match="403"):
        fetch("gs://models/team")


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault("status", on=("media",), status=status) for status in (401, 408, 429, 500, 503)),
        Fault("reset", on=("media",), after=1000),
        Fault("truncated", on=("media",), after=1000),
    ],
    ids=lambda f: f"{f.kind} {f.status}",
)
def test_what_may_pass_is_told_apart_from_what_will_not(gcs: FakeGcs, fault: Fault) -> None:
    gcs.inject(fault)
    with pytest.raises(StoreUnavailable, match="gs://models/team/example/3/model.onnx"):
        fetch("gs://models/team")
    assert fetch("gs://models/team") == CONTENT


def test_a_store_that_cannot_be_reached_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(StoreUnavailable, match="gs://models/team"):
            fetch("gs://models/team")


def test_a_request_that_cloud_storage_finds_wrong_will_never_work(gcs: FakeGcs) -> None:
    gcs.inject(Fault("status", on=("media",), status=400))
    with pytest.raises(StoreError, match="gs://models/team/example/3/model.onnx: 400") as caught:
        fetch("gs://models/team")
    assert type(caught.value) is StoreError


def test_credentials_that_are_not_there_may_come(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(StoreUnavailable, match=r"gs://models/team/.*none.json"):
        fetch("gs://models/team")

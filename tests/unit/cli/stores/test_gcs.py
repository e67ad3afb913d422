"""gs:// under faults, with Google's client and the fake of Cloud Storage."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from google.api_core.retry import retry_base, retry_unary

from doubles import StepClock
from pilotlight.errors import ObjectRefused, StoreError, StoreUnavailable
from pilotlight_cli.stores import AlreadyExists, Store, StoreUrlError, open_store
from servers.fake_gcs import FakeGcs
from servers.faults import Fault

LARGE = 12_345_678


@pytest.fixture
def large(tmp_path: Path) -> Path:
    file = tmp_path / "large.bin"
    file.write_bytes(os.urandom(LARGE))
    return file


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> StepClock:
    """Return the clock by which Google's client tries again: no test waits, and no slow machine ends its patience."""
    clock = StepClock()
    for module in (retry_base, retry_unary):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock, sleep=clock.sleep))
    return clock


def nothing(_: int) -> None:
    """No progress wanted."""


def test_a_large_file_goes_in_chunks_with_a_condition(gcs_store: Store, fake_gcs: FakeGcs, large: Path) -> None:
    gcs_store.create_from("iris/1/model.bin", large, nothing)

    methods = [request.partition(" ")[0] for request in fake_gcs.requests]
    assert methods == ["POST", "PUT", "PUT"]
    assert all("ifGenerationMatch=0" in request for request in fake_gcs.requests)


def test_nobody_asks_for_the_bucket(gcs_store: Store, fake_gcs: FakeGcs, tmp_path: Path) -> None:
    gcs_store.create("k", b"x")
    gcs_store.download("k", tmp_path / "k", nothing)
    list(gcs_store.keys(""))

    assert [request for request in fake_gcs.requests if "/o" not in request] == []


@pytest.mark.parametrize("size", [3, LARGE])
def test_a_create_whose_answer_was_lost_has_worked(
    gcs_store: Store, fake_gcs: FakeGcs, tmp_path: Path, size: int
) -> None:
    (tmp_path / "file").write_bytes(b"x" * size)
    fake_gcs.inject(Fault("lost", on=("upload",)))

    gcs_store.create_from("k", tmp_path / "file", nothing)

    assert gcs_store.read("k") == b"x" * size


def test_a_create_that_another_won_while_it_tried_again_has_not(gcs_store: Store, fake_gcs: FakeGcs) -> None:
    gcs_store.create("k", b"x")
    fake_gcs.inject(Fault("status", on=("upload",)))

    with pytest.raises(AlreadyExists):
        gcs_store.create("k", b"x")


def test_a_chunk_that_fails_is_sent_again(gcs_store: Store, fake_gcs: FakeGcs, large: Path) -> None:
    fake_gcs.inject(Fault("status", on=("upload",)), times=2)
    up: list[int] = []

    gcs_store.create_from("k", large, up.append)

    assert gcs_store.read("k") == large.read_bytes()
    assert sum(up) == LARGE


@pytest.mark.parametrize("kind", ["reset", "truncated"])
def test_a_download_that_breaks_goes_on_with_the_same_generation(
    gcs_store: Store, fake_gcs: FakeGcs, large: Path, downloads: Path, kind: str
) -> None:
    gcs_store.create_from("k", large, nothing)
    fake_gcs.requests.clear()
    fake_gcs.inject(Fault("reset" if kind == "reset" else "truncated", on=("media",), after=5_000_000))
    down: list[int] = []

    gcs_store.download("k", downloads / "k", down.append)

    assert (downloads / "k").read_bytes() == large.read_bytes()
    assert sum(down) == LARGE
    assert ["generation=" in request for request in fake_gcs.requests] == [False, True, True]


def test_a_download_never_mixes_two_objects(gcs_store: Store, fake_gcs: FakeGcs, large: Path, downloads: Path) -> None:
    def replace_it(_: int) -> None:
        fake_gcs.put("models", "team/a b/k", b"another")

    gcs_store.create_from("k", large, nothing)
    fake_gcs.inject(Fault("reset", on=("media",), after=5_000_000))

    with pytest.raises(ObjectRefused, match=r"/k was refused \(404\)"):
        gcs_store.download("k", downloads / "k", replace_it)
    assert list(downloads.iterdir()) == []


def test_a_corrupt_download_is_noticed_and_leaves_the_old_file(
    gcs_store: Store, fake_gcs: FakeGcs, downloads: Path
) -> None:
    gcs_store.create("k", b"x" * 1000)
    (downloads / "k").write_bytes(b"old")
    fake_gcs.inject(Fault("corrupt", on=("media",), after=500), times=2)

    with pytest.raises(StoreUnavailable, match=r"/k: CRC32C mismatch in transit"):
        gcs_store.download("k", downloads / "k", nothing)
    with pytest.raises(StoreUnavailable):
        gcs_store.read("k")
    assert [file.read_bytes() for file in downloads.iterdir()] == [b"old"]


def test_more_than_a_page_of_keys_are_all_listed(gcs_store: Store, fake_gcs: FakeGcs) -> None:
    keys = [f"m/{number:04}/manifest.json" for number in range(1001)]
    for key in [*keys, ""]:
        fake_gcs.put("models", f"team/a b/{key}", b"")

    assert list(gcs_store.keys("")) == keys
    assert len(fake_gcs.requests) == 2


def test_a_missing_bucket_is_named(fake_gcs: FakeGcs, large: Path, tmp_path: Path) -> None:
    store = open_store("gs://nowhere/team")
    says = r"bucket 'nowhere' not found \(404\)"

    with pytest.raises(ObjectRefused, match=f"^gs://nowhere/team: {says}"):
        list(store.keys(""))
    with pytest.raises(ObjectRefused, match=f"^gs://nowhere/team/a: {says}"):
        store.read("a")
    with pytest.raises(ObjectRefused, match=says):
        store.create("a", b"x")
    with pytest.raises(ObjectRefused, match=says):
        store.create_from("a", large, nothing)
    with pytest.raises(ObjectRefused, match=says):
        store.download("a", tmp_path / "a", nothing)


def test_a_refusal_names_the_missing_permission(gcs_store: Store, fake_gcs: FakeGcs) -> None:
    fake_gcs.inject(Fault("status", status=403), times=3)

    with pytest.raises(ObjectRefused, match=r"a b/k was refused \(403\).* credentials lack storage.objects.get"):
        gcs_store.read("k")
    with pytest.raises(ObjectRefused, match=r"credentials lack storage\.objects\.create"):
        gcs_store.create("k", b"x")
    with pytest.raises(ObjectRefused, match=r"credentials lack storage\.objects\.list"):
        list(gcs_store.keys(""))


def test_a_fault_that_stays_is_unavailable_within_seconds(
    gcs_store: Store, fake_gcs: FakeGcs, clock: StepClock
) -> None:
    fake_gcs.inject(Fault("status", status=503), times=1000)
    started = clock.now

    with pytest.raises(StoreUnavailable, match=f"/k: {fake_gcs.url} returned 503; try again later"):
        gcs_store.read("k")
    assert 0 < clock.now - started < 10  # the client's own patience is 120


def test_credentials_that_are_not_accepted_are_not_a_missing_object(gcs_store: Store, fake_gcs: FakeGcs) -> None:
    fake_gcs.inject(Fault("status", status=401))

    with pytest.raises(StoreError, match="a b: .*not accepted .*; sign in with 'gcloud auth") as caught:
        list(gcs_store.keys(""))
    assert type(caught.value) is StoreError


def test_a_request_that_it_does_not_take_is_told_in_its_words(gcs_store: Store, fake_gcs: FakeGcs) -> None:
    fake_gcs.inject(Fault("status", status=400))

    with pytest.raises(StoreError, match="/k: .*injected") as caught:
        gcs_store.replace("k", b"x")
    assert type(caught.value) is StoreError


def test_a_closed_port_fails_within_seconds(
    monkeypatch: pytest.MonkeyPatch, closed_port: int, clock: StepClock
) -> None:
    endpoint = f"http://127.0.0.1:{closed_port}"
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", endpoint)
    started = clock.now

    with pytest.raises(StoreUnavailable, match=f"^gs://models/a/k: no response from {endpoint} .*Connection refused"):
        open_store("gs://models/a").read("k")
    assert 0 < clock.now - started < 10  # the client's own patience is 120


def test_without_credentials_it_says_how_to_sign_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")

    with pytest.raises(StoreError, match="^gs://models: no Google credentials found; sign in with 'gcloud auth"):
        open_store("gs://models")


def test_an_emulator_host_without_a_scheme_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "localhost:9023")

    with pytest.raises(StoreUrlError, match="STORAGE_EMULATOR_HOST is 'localhost:9023'; expected a URL like http://"):
        open_store("gs://models")

"""The fake of Cloud Storage behaves as the real one where later tests lean on it; asked through the real client."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import pytest
from google.api_core.exceptions import BadRequest, NotFound, PreconditionFailed, ServiceUnavailable
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption

from servers.fake_gcs import FakeGcs
from servers.faults import Fault


@pytest.fixture
def bucket(fake_gcs: FakeGcs, monkeypatch: pytest.MonkeyPatch) -> Iterator[storage.Bucket]:
    monkeypatch.setenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", fake_gcs.url)
    client = storage.Client.create_anonymous_client()
    yield client.bucket("models")
    client.close()


def test_every_write_makes_a_newer_generation(bucket: storage.Bucket) -> None:
    blob = bucket.blob("k")
    blob.upload_from_string(b"first")
    first = blob.generation
    blob.upload_from_string(b"second", if_generation_match=first)

    assert blob.generation > first
    assert bucket.blob("k").download_as_bytes() == b"second"


def test_a_write_on_a_condition_that_does_not_hold_changes_nothing(bucket: storage.Bucket, fake_gcs: FakeGcs) -> None:
    generation = fake_gcs.put("models", "k", b"first")

    for wrong in (0, generation + 1):
        with pytest.raises(PreconditionFailed):
            bucket.blob("k").upload_from_string(b"second", if_generation_match=wrong)
    assert bucket.blob("k").download_as_bytes(if_generation_match=generation) == b"first"
    with pytest.raises(PreconditionFailed):
        bucket.blob("k").download_as_bytes(if_generation_match=generation + 1)


def test_a_resumable_upload_that_another_write_overtakes_is_refused(bucket: storage.Bucket, fake_gcs: FakeGcs) -> None:
    class Overtaken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            fake_gcs.put("models", "k", b"another")
            return super().read(size)

    with pytest.raises(PreconditionFailed):
        bucket.blob("k", chunk_size=1 << 18).upload_from_file(Overtaken(b"x" * 400_000), if_generation_match=0)
    assert bucket.blob("k").download_as_bytes() == b"another"


def test_a_replaced_generation_is_gone(bucket: storage.Bucket, fake_gcs: FakeGcs) -> None:
    first = fake_gcs.put("models", "k", b"first")
    second = fake_gcs.put("models", "k", b"second")

    with pytest.raises(NotFound):
        bucket.blob("k", generation=first).download_as_bytes()
    assert bucket.blob("k", generation=second).download_as_bytes() == b"second"


def test_a_deleted_object_is_missing(bucket: storage.Bucket, fake_gcs: FakeGcs) -> None:
    generation = fake_gcs.put("models", "k", b"first")

    with pytest.raises(PreconditionFailed):
        bucket.blob("k").delete(if_generation_match=generation + 1)
    bucket.blob("k").delete()
    with pytest.raises(NotFound):
        bucket.blob("k").delete()
    assert list(bucket.list_blobs()) == []


def test_a_range_is_a_part_of_the_object(bucket: storage.Bucket, fake_gcs: FakeGcs) -> None:
    fake_gcs.put("models", "k", b"0123456789")

    assert bucket.blob("k").download_as_bytes(start=2, end=4) == b"234"
    assert bucket.blob("k").download_as_bytes(start=7) == b"789"


def test_bytes_that_are_not_what_their_checksum_says_are_refused(bucket: storage.Bucket) -> None:
    blob = bucket.blob("k")
    blob.crc32c = "AAAAAA=="

    with pytest.raises(BadRequest, match="doesn't match the content"):
        blob.upload_from_string(b"content", checksum=None)


def test_corruption_shows_only_by_its_checksum(bucket: storage.Bucket, fake_gcs: FakeGcs) -> None:
    fake_gcs.put("models", "k", b"content")
    fake_gcs.inject(Fault("corrupt", after=3))
    with pytest.raises(DataCorruption):
        bucket.blob("k").download_as_bytes()

    fake_gcs.inject(Fault("corrupt", after=3, without=("X-Goog-Hash",)))
    assert bucket.blob("k").download_as_bytes() == b"conuent"


def test_a_drip_is_slow_and_whole(bucket: storage.Bucket, fake_gcs: FakeGcs) -> None:
    fake_gcs.put("models", "k", b"content")
    fake_gcs.inject(Fault("drip", delay=0.02))
    started = time.monotonic()

    assert bucket.blob("k").download_as_bytes() == b"content"
    assert time.monotonic() - started > 0.1


def test_a_status_comes_as_often_as_it_was_asked_for(bucket: storage.Bucket, fake_gcs: FakeGcs) -> None:
    fake_gcs.put("models", "k", b"content")
    fake_gcs.inject(Fault("status", on=("metadata",)), times=2)

    for _ in range(2):
        with pytest.raises(ServiceUnavailable, match="injected"):
            bucket.blob("k").reload(retry=None)
    bucket.blob("k").reload(retry=None)

"""A large object comes from Cloud Storage in ranges, all of one generation."""

from __future__ import annotations

from pathlib import Path

import pytest

from doubles import fetched
from gcs_store import GcsStore
from pilotlight.errors import StoreUnavailable
from servers.fake_gcs import FakeGcs, Fault

CONTENT = b"".join(number.to_bytes(4) for number in range(4_250_000)) + b"!"
NAME = "team/example/3/model.onnx"
PLACE = "GET /storage/v1/b/models/o/team%2Fexample%2F3%2Fmodel.onnx?alt=media"
RANGES = 5  # of 4 MiB, the last one of what is left

pytestmark = pytest.mark.usefixtures("patient_fetch")


@pytest.fixture
def store(fake_gcs: FakeGcs) -> GcsStore:
    fake_gcs.put("models", NAME, CONTENT)
    return GcsStore("gs://models/team", {"STORAGE_EMULATOR_HOST": fake_gcs.url}, warn=lambda _: None)


def test_all_but_the_first_range_name_the_generation_that_its_answer_tells(
    store: GcsStore, fake_gcs: FakeGcs, tmp_path: Path
) -> None:
    assert fetched(store, tmp_path, CONTENT) == CONTENT
    generation = fake_gcs.buckets.find("models", NAME, {}).generation
    assert fake_gcs.requests == [PLACE, *[f"{PLACE}&generation={generation}"] * (RANGES - 1)]
    assert fake_gcs.ranges[0] == "bytes=0-4194303"
    assert len(set(fake_gcs.ranges)) == RANGES


def test_an_object_that_is_replaced_between_two_ranges_is_not_mixed_with_the_other(
    store: GcsStore, fake_gcs: FakeGcs, tmp_path: Path
) -> None:
    fake_gcs.put("models", NAME, CONTENT[::-1])
    fake_gcs.faults.meanwhile = lambda number: fake_gcs.put("models", NAME, CONTENT) if number == 3 else None
    with pytest.raises(StoreUnavailable, match="replaced during the fetch"):
        fetched(store, tmp_path, CONTENT)
    assert not (tmp_path / "model.onnx").exists()
    assert fetched(store, tmp_path, CONTENT) == CONTENT


def test_a_range_that_breaks_off_is_read_on(store: GcsStore, fake_gcs: FakeGcs, tmp_path: Path) -> None:
    fake_gcs.inject(Fault("reset", on=("media",), after=200_000), times=3)
    assert fetched(store, tmp_path, CONTENT) == CONTENT
    assert len(fake_gcs.ranges) == RANGES + 3

"""gs:// against gcp-storage-emulator, which `pilotlight serve` embeds. It ignores conditions: none is needed here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pilotlight.errors import ObjectRefused
from pilotlight_cli.stores import Store


def test_the_emulator_takes_what_a_publisher_writes(emulated_gcs_store: Store, tmp_path: Path) -> None:
    store = emulated_gcs_store
    content = os.urandom(9 << 20)
    (tmp_path / "model").write_bytes(content)
    up: list[int] = []
    down: list[int] = []

    store.create("iris/1/golden.json", b"{}")
    store.create_from("iris/1/model", tmp_path / "model", up.append)
    store.replace("iris/aliases/production.json", b"1")
    store.replace("iris/aliases/production.json", b"2")
    store.download("iris/1/model", tmp_path / "copy", down.append)

    assert sum(up) == sum(down) == len(content)
    assert (tmp_path / "copy").read_bytes() == content
    assert store.read("iris/aliases/production.json") == b"2"
    assert list(store.keys("")) == ["iris/1/golden.json", "iris/1/model", "iris/aliases/production.json"]
    assert store.modified("iris/1/model").tzinfo
    store.delete("iris/1/model")
    store.delete("iris/1/model")
    assert list(store.keys("")) == ["iris/1/golden.json", "iris/aliases/production.json"]


def test_the_emulator_misses_an_object_as_cloud_storage_does(emulated_gcs_store: Store, tmp_path: Path) -> None:
    with pytest.raises(ObjectRefused, match=r"^gs://models/team/a b/iris/7/m was refused \(404\)"):
        emulated_gcs_store.read("iris/7/m")
    with pytest.raises(ObjectRefused, match="was refused"):
        emulated_gcs_store.download("iris/7/m", tmp_path / "m", lambda _: None)

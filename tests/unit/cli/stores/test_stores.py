"""One suite for all stores: moto's S3 server, the fake of Cloud Storage and a folder, through the real clients.

gcp-storage-emulator runs the part that needs no conditions (`test_stores_emulator.py`), the faults of each store are in
`test_stores_s3.py`, `test_stores_gcs.py` and `test_stores_folder.py`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pilotlight.errors import ObjectRefused, PilotlightError, StoreError
from pilotlight_cli.stores import AlreadyExists, Store, StoreUrlError, open_store

LARGE = 12_345_678  # three parts of S3's smallest, two chunks of Cloud Storage's


@pytest.fixture(params=["s3_store", "gcs_store", "folder_store"])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(request.param)
    return found


def nothing(_: int) -> None:
    """No progress wanted."""


def at_once(count: int, act: Callable[[int], None]) -> list[PilotlightError | None]:
    """Return what `act` raised in each of `count` threads that start together."""
    results: list[PilotlightError | None] = [None] * count
    barrier = threading.Barrier(count)

    def run(index: int) -> None:
        barrier.wait()
        try:
            act(index)
        except PilotlightError as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.fixture
def large(tmp_path: Path) -> Path:
    file = tmp_path / "large.bin"
    file.write_bytes(os.urandom(LARGE))
    return file


def test_what_was_created_is_read_back(store: Store) -> None:
    store.create("iris/1/manifest.json", b'{"version": 1}')

    assert store.read("iris/1/manifest.json") == b'{"version": 1}'


def test_an_empty_object_is_an_object(store: Store) -> None:
    store.create("iris/1/empty", b"")

    assert store.read("iris/1/empty") == b""
    assert list(store.keys("")) == ["iris/1/empty"]


def test_a_key_may_hold_any_letters(store: Store) -> None:
    store.create("iris/1/größe %41+&?#.bin", b"x")

    assert list(store.keys("iris")) == ["iris/1/größe %41+&?#.bin"]
    assert store.read("iris/1/größe %41+&?#.bin") == b"x"


def test_a_second_create_leaves_the_first_as_it_is(store: Store) -> None:
    store.create("iris/1/manifest.json", b"first")

    with pytest.raises(AlreadyExists, match=f"^{store.url}/iris/1/manifest.json exists already"):
        store.create("iris/1/manifest.json", b"second")
    assert store.read("iris/1/manifest.json") == b"first"


def test_of_many_creates_at_once_exactly_one_wins(store: Store) -> None:
    def create(index: int) -> None:
        store.create("iris/1/manifest.json", f"publisher {index}".encode())

    results = at_once(12, create)

    assert [type(result) for result in results if result] == [AlreadyExists] * 11
    assert store.read("iris/1/manifest.json") == f"publisher {results.index(None)}".encode()


def test_of_many_large_creates_at_once_exactly_one_wins(store: Store, tmp_path: Path) -> None:
    for index in range(3):
        (tmp_path / f"{index}.bin").write_bytes(bytes([index]) * LARGE)

    results = at_once(3, lambda index: store.create_from("m/1/model", tmp_path / f"{index}.bin", nothing))

    assert [type(result) for result in results if result] == [AlreadyExists] * 2
    store.download("m/1/model", tmp_path / "copy", nothing)
    assert (tmp_path / "copy").read_bytes() == bytes([results.index(None)]) * LARGE


def test_a_large_file_goes_up_and_comes_down_with_progress(store: Store, large: Path, tmp_path: Path) -> None:
    up: list[int] = []
    down: list[int] = []

    store.create_from("iris/1/model.bin", large, up.append)
    store.download("iris/1/model.bin", tmp_path / "copy.bin", down.append)

    assert (tmp_path / "copy.bin").read_bytes() == large.read_bytes()
    assert sum(up) == sum(down) == LARGE
    assert len(up) > 1
    assert len(down) > 1


def test_a_small_file_goes_up_with_progress(store: Store, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"123")
    up: list[int] = []

    store.create_from("iris/1/small", tmp_path / "small", up.append)

    assert sum(up) == 3
    assert store.read("iris/1/small") == b"123"


@pytest.mark.parametrize("size", [3, LARGE])
def test_a_file_never_replaces_an_object(store: Store, tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(b"x" * size)
    store.create("iris/1/model.bin", b"first")

    with pytest.raises(AlreadyExists):
        store.create_from("iris/1/model.bin", tmp_path / "file", nothing)
    assert store.read("iris/1/model.bin") == b"first"


def test_replace_writes_over_what_is_there(store: Store) -> None:
    store.replace("iris/aliases/production.json", b"1")
    store.replace("iris/aliases/production.json", b"2")

    assert store.read("iris/aliases/production.json") == b"2"


def test_a_deleted_object_is_gone_and_its_neighbours_are_not(store: Store) -> None:
    for key in ("iris/1/golden.json", "iris/1/model.onnx", "iris/2/model.onnx"):
        store.create(key, b"x")

    store.delete("iris/1/golden.json")
    assert list(store.keys("")) == ["iris/1/model.onnx", "iris/2/model.onnx"]
    store.delete("iris/1/model.onnx")
    store.delete("iris/1/model.onnx")
    assert list(store.keys("")) == ["iris/2/model.onnx"]
    store.create("iris/1/model.onnx", b"y")
    assert store.read("iris/1/model.onnx") == b"y"


def test_an_object_knows_when_it_was_written(store: Store) -> None:
    store.create("iris/1/golden.json", b"x")

    written = store.modified("iris/1/golden.json")
    assert datetime(2023, 1, 1, tzinfo=UTC) < written <= datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(ObjectRefused):
        store.modified("iris/1/model.onnx")


def test_keys_below_a_folder_are_not_those_of_its_neighbour(store: Store) -> None:
    for key in ("iris/2/a", "iris/10/a", "iris-2/1/a", "iris.json"):
        store.create(key, b"x")

    assert list(store.keys("iris")) == list(store.keys("iris/")) == ["iris/10/a", "iris/2/a"]
    assert list(store.keys("")) == ["iris-2/1/a", "iris.json", "iris/10/a", "iris/2/a"]
    assert list(store.keys("nothing")) == []


def test_two_stores_in_one_place_do_not_see_each_other(store: Store) -> None:
    neighbour = open_store(f"{store.url}/inner")
    neighbour.create("key", b"inner")

    assert list(neighbour.keys("")) == ["key"]
    assert list(store.keys("")) == ["inner/key"]
    with pytest.raises(ObjectRefused):
        store.read("key")


def test_a_missing_object_is_named_with_both_causes(store: Store) -> None:
    with pytest.raises(
        ObjectRefused, match=rf"^{store.url}/iris/7/manifest.json was refused \(.*\)\. Either .*, or th"
    ):
        store.read("iris/7/manifest.json")


def test_a_missing_object_leaves_no_file(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()

    with pytest.raises(ObjectRefused, match=f"^{store.url}/iris/7/model.bin was refused"):
        store.download("iris/7/model.bin", folder / "model.bin", nothing)
    assert list(folder.iterdir()) == []


def test_an_upload_that_its_caller_ends_leaves_nothing(store: Store, large: Path) -> None:
    def end(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.create_from("iris/1/model.bin", large, end)
    assert list(store.keys("")) == []


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../../b", "./a", "a\\b", "a\nb"])
def test_a_key_that_leads_elsewhere_is_refused(store: Store, key: str) -> None:
    with pytest.raises(StoreError, match="cannot be a key"):
        store.create(key, b"x")
    with pytest.raises(StoreError, match="cannot be a key"):
        store.read(key)
    with pytest.raises(StoreError, match="cannot be a key"):
        store.delete(key)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("models", "expected s3://bucket/prefix, gs://bucket/prefix or file:///folder"),
        ("http://models/a", "'http://models/a' is not a model store"),
        ("S3://models", "is not a model store"),
        ("s3:models", "'s3:models' is not a model store"),
        ("s3://", "names the bucket ''; expected s3://bucket"),
        ("gs:///prefix", "names the bucket ''; expected gs://bucket or gs://bucket/prefix"),
        ("s3://user:pw@models", "names the bucket 'user:pw@models'"),
        ("gs://models//a", "has the prefix '/a'"),
        ("s3://models/a/../b", "has the prefix 'a/../b'"),
        ("file://models/a", "expected an absolute path: file:///folder"),
        ("file:models", "expected an absolute path: file:///folder"),
        ("file://./models", "expected an absolute path"),
        ("file:///", "expected an absolute path"),
        ("file:///a%00b", "does not decode to a path"),
        ("file:///a%ff", "does not decode to a path"),
    ],
)
def test_a_wrong_url_is_explained(url: str, says: str) -> None:
    with pytest.raises(StoreUrlError) as caught:
        open_store(url)
    assert says in str(caught.value)


def test_a_slash_at_the_end_of_a_url_says_nothing(store: Store) -> None:
    store.create("key", b"x")

    same = open_store(f"{store.url}/")
    assert same.url == store.url
    assert same.read("key") == b"x"

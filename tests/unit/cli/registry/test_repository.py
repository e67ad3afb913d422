"""Versions in a store come into being whole or not at all, and never change: in a folder, S3 and Cloud Storage."""

from __future__ import annotations

import os
import re
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

import descriptions
from pilotlight.errors import DigestMismatch, FormatError, ObjectRefused, StoreError
from pilotlight.model.lock import LAST_VERSION, VERSION
from pilotlight_cli.registry.manifest import Manifest, NameRefused
from pilotlight_cli.registry.publish import PublishRefused, VersionTaken, copy, publish
from pilotlight_cli.registry.versions import (
    Aliases,
    NotPublished,
    Unreadable,
    aliases,
    catalog,
    resolve,
    set_alias,
    show,
    version_numbers,
    versions,
)
from pilotlight_cli.sandbox.inspection import Inspection
from pilotlight_cli.stores import Progress, Store, open_store

NAME = "breast-cancer"
NOON = datetime(2026, 7, 31, 12, 0, 0, 999, tzinfo=UTC)


@pytest.fixture(params=["folder_store", "s3_store", "gcs_store"])
def any_store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def store(folder_store: Store) -> Store:
    return folder_store


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return open_store((tmp_path / "other").as_uri())


@pytest.fixture
def model(tmp_path: Path) -> Inspection:
    return descriptions.inspection(tmp_path / "model")


def put(store: Store, inspection: Inspection, name: str = NAME, alias: str | None = None) -> Manifest:
    return publish(store, inspection, name, alias=alias, clock=lambda: NOON, progress=nothing)


def nothing(_: int) -> None:
    """No progress wanted."""


def test_a_published_model_is_there_with_all_its_files(any_store: Store, model: Inspection) -> None:
    manifest = put(any_store, model)

    assert list(any_store.keys("")) == [
        f"{NAME}/1/golden.json",
        f"{NAME}/1/manifest.json",
        f"{NAME}/1/model.onnx",
        f"{NAME}/1/weights.bin",
    ]
    assert show(any_store, NAME, 1) == manifest
    assert [any_store.read(manifest.model.key(file.name)) for file in manifest.model.files] == [b"graph", b"weights"]
    assert catalog(any_store) == {NAME: (1,)}


def test_a_large_file_is_published_piece_by_piece(store: Store, model: Inspection) -> None:
    with model.files[1].open("wb") as weights:
        weights.truncate(50_000_000)  # no place on the disk
    tracemalloc.start()
    try:
        manifest = put(store, model)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert manifest.model.files[1].size == 50_000_000
    assert peak < 10_000_000


def test_versions_count_up(any_store: Store, model: Inspection) -> None:
    assert [put(any_store, model).model.version for _ in range(3)] == [1, 2, 3]
    assert put(any_store, model, "other").model.version == 1
    assert version_numbers(any_store, NAME) == (1, 2, 3)


def test_publishers_at_once_get_a_version_each(any_store: Store, tmp_path: Path) -> None:
    count = 6
    barrier = threading.Barrier(count)

    def run(index: int) -> tuple[int, bytes]:
        weights = b"weights of publisher %d" % index
        inspection = descriptions.inspection(tmp_path / str(index), weights)
        barrier.wait()
        return put(any_store, inspection).model.version, weights

    with ThreadPoolExecutor(count) as pool:
        published = dict(pool.map(run, range(count)))
    assert sorted(published) == [1, 2, 3, 4, 5, 6]
    assert {version: any_store.read(f"{NAME}/{version}/weights.bin") for version in published} == published
    assert len(versions(any_store, NAME)) == count


@dataclass(frozen=True)
class Interrupted:
    """A store whose user presses Ctrl-C when it is about to create a certain file."""

    inner: Store
    at: str

    @property
    def url(self) -> str:
        return self.inner.url

    def read(self, key: str) -> bytes:
        return self.inner.read(key)

    def download(self, key: str, file: Path, progress: Progress) -> None:
        self.inner.download(key, file, progress)

    def create(self, key: str, content: bytes) -> None:
        self._maybe_end(key)
        self.inner.create(key, content)

    def create_from(self, key: str, file: Path, progress: Progress) -> None:
        self._maybe_end(key)
        self.inner.create_from(key, file, progress)

    def replace(self, key: str, content: bytes) -> None:
        self._maybe_end(key)
        self.inner.replace(key, content)

    def keys(self, prefix: str) -> Iterator[str]:
        return self.inner.keys(prefix)

    def modified(self, key: str) -> datetime:
        return self.inner.modified(key)

    def delete(self, key: str) -> None:
        self.inner.delete(key)

    def _maybe_end(self, key: str) -> None:
        if key.endswith(self.at):
            raise KeyboardInterrupt


@pytest.mark.parametrize("at", ["model.onnx", "weights.bin", "manifest.json"])
def test_an_interrupted_publisher_leaves_no_version_and_its_number_is_not_used_again(
    any_store: Store, model: Inspection, at: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        put(Interrupted(any_store, at), model)

    assert catalog(any_store) == {}
    assert versions(any_store, NAME) == ()
    with pytest.raises(NotPublished, match=r"has no model 'breast-cancer'; it is empty"):
        resolve(any_store, NAME)
    assert put(any_store, model).model.version == 2
    assert version_numbers(any_store, NAME) == (2,)


LEFT = ["999999999/golden.json", "1000000000/golden.json", "99999999999999999999/weights.bin", "0/x", "007/golden.json"]


@pytest.mark.parametrize("left", [*LEFT, "1000000000/manifest.json", "next/golden.json", "3"])
def test_what_was_left_under_another_number_does_not_hide_the_next_version(
    any_store: Store, model: Inspection, left: str
) -> None:
    any_store.create(f"{NAME}/{left}", b"{}")
    assert [put(any_store, model).model.version for _ in range(2)] == [1, 2]
    assert version_numbers(any_store, NAME) == (1, 2)


def test_a_number_is_passed_over_whatever_is_under_it(any_store: Store, model: Inspection) -> None:
    put(any_store, model)
    any_store.create(f"{NAME}/2/weights.bin", b"of a publisher at work")
    assert put(any_store, model).model.version == 3
    assert any_store.read(f"{NAME}/2/weights.bin") == b"of a publisher at work"


def test_the_last_number_is_published_and_none_after_it(any_store: Store, model: Inspection) -> None:
    any_store.create(f"{NAME}/{LAST_VERSION - 1}/manifest.json", b"{}")
    assert put(any_store, model).model.version == LAST_VERSION
    assert resolve(any_store, NAME).model.version == LAST_VERSION
    before = list(any_store.keys(""))
    with pytest.raises(
        StoreError, match=r"has no free version number for 'breast-cancer' .* publish it under another name"
    ):
        put(any_store, model)
    assert list(any_store.keys("")) == before


def test_the_pattern_of_a_version_and_its_bound_are_one_rule() -> None:
    assert re.fullmatch(VERSION, str(LAST_VERSION))
    assert not re.fullmatch(VERSION, str(LAST_VERSION + 1))


def test_a_file_that_changes_meanwhile_is_not_published(store: Store, model: Inspection) -> None:
    def change(_: int) -> None:
        model.files[0].write_bytes(b"other")

    with pytest.raises(PublishRefused, match=r"model.onnx changed while it was being published"):
        publish(store, model, NAME, clock=lambda: NOON, progress=change)
    assert catalog(store) == {}


def test_progress_counts_the_artifact(store: Store, model: Inspection) -> None:
    seen: list[int] = []
    publish(store, model, NAME, clock=lambda: NOON, progress=seen.append)
    assert sum(seen) == len(b"graph" + b"weights")


def test_the_time_is_in_utc_to_the_second(store: Store, model: Inspection) -> None:
    there = NOON.astimezone(timezone(timedelta(hours=5)))
    manifest = publish(store, model, NAME, clock=lambda: there, progress=nothing)
    assert manifest.created_at == "2026-07-31T12:00:00Z"


@pytest.mark.parametrize("name", ["Breast", "a b", "../x", "", "1st", "a" * 42, "name\n"])
def test_a_name_that_cannot_be_one_is_refused_before_anything_is_uploaded(
    store: Store, model: Inspection, name: str
) -> None:
    with pytest.raises(NameRefused, match="cannot be a model's name"):
        put(store, model, name)
    with pytest.raises(NameRefused, match="cannot be an alias"):
        put(store, model, alias=name)
    assert list(store.keys("")) == []


def test_a_description_that_would_not_be_read_back_is_refused_before_anything_is_uploaded(
    store: Store, model: Inspection
) -> None:
    wrong = replace(model, runtime=descriptions.SKLEARN)
    with pytest.raises(
        FormatError, match=r"the description of breast-cancer: \$\.runtime\.engine: expected one of onnx"
    ):
        put(store, wrong)
    assert list(store.keys("")) == []


@pytest.mark.parametrize("name", ["golden.json", "manifest.json"])
def test_an_artifact_cannot_have_the_name_of_another_file(
    store: Store, model: Inspection, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(b"{}")
    with pytest.raises(PublishRefused, match=f"the name {name} is reserved in the store; rename the file"):
        put(store, replace(model, files=(path,)))


def test_references_lead_to_versions(any_store: Store, model: Inspection) -> None:
    put(any_store, model, alias="production")
    put(any_store, model)

    assert resolve(any_store, NAME).model.version == 2
    assert resolve(any_store, f"{NAME}:1").model.version == 1
    assert resolve(any_store, f"{NAME}@production").model.version == 1


def test_the_tenth_version_is_newer_than_the_ninth(store: Store, model: Inspection) -> None:
    for _ in range(10):
        put(store, model)
    assert resolve(store, NAME).model.version == 10
    with pytest.raises(
        NotPublished, match=r"has no version 11 of 'breast-cancer'; it has 10, 9, 8, 7, 6, 5, 4, 3, 2, 1$"
    ):
        resolve(store, f"{NAME}:11")


@pytest.mark.parametrize(
    "reference", ["", "A", "a:0", "a:01", "a:-1", "a:1@b", "a@", "a:x", "a/b", "a:1 ", "a@B", "a\n"]
)
def test_a_reference_that_is_none_is_refused(store: Store, reference: str) -> None:
    with pytest.raises(NameRefused, match="expected NAME, NAME:VERSION or NAME@ALIAS"):
        resolve(store, reference)


def test_what_is_not_there_is_said_with_what_is(store: Store, model: Inspection) -> None:
    put(store, model, alias="staging")

    for reference in ("other", "other:1", "other@staging"):
        with pytest.raises(NotPublished, match=r"has no model 'other'; it has breast-cancer$"):
            resolve(store, reference)
    with pytest.raises(
        NotPublished, match=r"has no alias 'production' of 'breast-cancer'; it has staging \(1\)\. Set one"
    ):
        resolve(store, f"{NAME}@production")


def test_an_alias_moves(any_store: Store, model: Inspection) -> None:
    put(any_store, model, alias="production")
    put(any_store, model)

    assert set_alias(any_store, NAME, 2, "production") == 1
    assert set_alias(any_store, NAME, 1, "previous") is None
    assert aliases(any_store, NAME) == Aliases({"previous": 1, "production": 2})
    assert resolve(any_store, f"{NAME}@production").model.version == 2


def test_an_alias_stands_only_for_a_version_that_exists(store: Store, model: Inspection) -> None:
    put(store, model, alias="production")

    with pytest.raises(NotPublished, match="no version 7"):
        set_alias(store, NAME, 7, "production")
    assert aliases(store, NAME) == Aliases({"production": 1})


def test_an_alias_of_a_version_that_is_gone_says_so(store: Store, model: Inspection) -> None:
    put(store, model)
    store.create(f"{NAME}/aliases/old.json", b'{"format": 1, "alias": "old", "version": 9}')
    with pytest.raises(NotPublished, match="the alias 'old' points to version 9: .* has no version 9"):
        resolve(store, f"{NAME}@old")


def test_an_alias_that_says_another_name_is_refused_and_can_be_set_again(store: Store, model: Inspection) -> None:
    put(store, model)
    store.create(f"{NAME}/aliases/old.json", b'{"format": 1, "alias": "new", "version": 1}')
    with pytest.raises(FormatError, match=r"aliases/old\.json: found the alias 'new', expected 'old'; set it again"):
        resolve(store, f"{NAME}@old")
    set_alias(store, NAME, 1, "old")
    assert aliases(store, NAME) == Aliases({"old": 1})


WRONG = {
    "garbage": b"garbage",
    "no-text": b"\xff\xfe",
    "nothing": b"",
    "number": b"7",
    "half": b'{"format": 1, "alias": "half", "version": "\\ud800"}',
    "zero": b'{"format": 1, "alias": "zero", "version": 0}',
    "huge": b'{"format": 1, "alias": "huge", "version": %d}' % (LAST_VERSION + 1),
    "digits": b'{"format": 1, "alias": "digits", "version": %s}' % (b"9" * 5000),
    "infinite": b'{"format": 1, "alias": "infinite", "version": 1e999}',
    "deep": b"[" * 100_000,
    "moved": b'{"format": 1, "alias": "other", "version": 1}',
    "large": b" " * 5000,
}


def test_what_is_wrong_with_one_alias_hides_no_other(
    any_store: Store, model: Inspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(any_store, model, alias="production")
    for name, content in WRONG.items():
        any_store.create(f"{NAME}/aliases/{name}.json", content)
    for foreign in ("Production.json", "notes.txt", "folder.json/x", "\x85.json"):
        any_store.create(f"{NAME}/aliases/{foreign}", b"{}")
    found = aliases(any_store, NAME)
    assert found.versions == {"production": 1}
    assert [problem.partition("/aliases/")[2].partition(".json: ")[0] for problem in found.problems] == sorted(WRONG)
    with pytest.raises(NotPublished, match=r"no alias 'staging' of 'breast-cancer'; it has production \(1\)"):
        resolve(any_store, f"{NAME}@staging")

    monkeypatch.setattr("pilotlight_cli.stores.LARGEST", 4000)
    large = [problem for problem in aliases(any_store, NAME).problems if "has more than 4,000 bytes" in problem]
    assert [problem.partition("/aliases/")[2].split()[0] for problem in large] == [
        "deep.json",
        "digits.json",
        "large.json",
    ]


def test_what_is_wrong_with_one_version_hides_no_other(
    any_store: Store, model: Inspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in (b"", b"\xff", b"[1]", b'{"format": 1}', b" " * 50_000):
        any_store.create(f"{NAME}/{1 + len(version_numbers(any_store, NAME))}/manifest.json", content)
    any_store.create("foreign.txt", b"")
    any_store.create("Foreign/1/manifest.json", b"")
    monkeypatch.setattr("pilotlight_cli.stores.LARGEST", 40_000)
    assert put(any_store, model).model.version == 6
    *wrong, right = versions(any_store, NAME)
    assert isinstance(right, Manifest)
    assert all(isinstance(version, Unreadable) and f"/{version.version}/" in version.problem for version in wrong)
    assert catalog(any_store) == {NAME: (1, 2, 3, 4, 5, 6)}


def test_a_link_to_nothing_a_pipe_and_a_folder_hide_no_version(store: Store, model: Inspection, tmp_path: Path) -> None:
    put(store, model)
    folder = tmp_path / "a store" / "100%" / NAME
    for number in (2, 3, 4, 5):
        (folder / str(number)).mkdir()
    (folder / "2" / "manifest.json").symlink_to("nowhere")
    os.mkfifo(folder / "3" / "manifest.json")
    (folder / "4" / "manifest.json").mkdir()
    (folder / "5" / "manifest.json").symlink_to("/dev/zero")
    (folder / "aliases").mkdir()
    (folder / "aliases" / "pipe.json").symlink_to("../3/manifest.json")
    found = versions(store, NAME)
    assert [type(version) for version in found] == [Manifest, Unreadable, Unreadable, Unreadable]
    assert "a pipe or a device, expected a file" in aliases(store, NAME).problems[0]
    assert put(store, model).model.version == 6


def test_a_published_version_whose_alias_fails_says_that_it_is_published(store: Store, model: Inspection) -> None:
    store.create(f"{NAME}/aliases", b"a file where a folder should be")
    with pytest.raises(StoreError, match="breast-cancer:1 is published, but the alias 'production' could not be set: "):
        put(store, model, alias="production")
    assert version_numbers(store, NAME) == (1,)


def test_a_manifest_in_another_place_is_refused(store: Store, model: Inspection) -> None:
    put(store, model)
    content = store.read(f"{NAME}/1/manifest.json")
    store.create(f"{NAME}/2/manifest.json", content)
    store.create("other/1/manifest.json", content)

    for name, version in ((NAME, 2), ("other", 1)):
        with pytest.raises(
            FormatError, match=rf"/{name}/{version}/manifest\.json: found breast-cancer:1, expected {name}"
        ):
            show(store, name, version)


def test_a_manifest_that_cannot_be_read_does_not_hide_the_others(store: Store, model: Inspection) -> None:
    put(store, model)
    store.create(f"{NAME}/2/manifest.json", b'{"format": 2}')

    first, second = versions(store, NAME)
    assert isinstance(first, Manifest)
    assert isinstance(second, Unreadable)
    assert second.problem.startswith(f"{store.url}/{NAME}/2/manifest.json: $.format: format 2 is not supported")
    assert resolve(store, f"{NAME}:1") == first


def test_what_is_no_version_is_not_listed(store: Store, model: Inspection) -> None:
    put(store, model)
    for key in (f"{NAME}/07/manifest.json", f"{NAME}/latest/manifest.json", "README.md", f"{NAME}/3/a/manifest.json"):
        store.create(key, b"{}")
    assert catalog(store) == {NAME: (1,)}


def test_one_model_s_name_may_begin_another_s(any_store: Store, model: Inspection) -> None:
    put(any_store, model, "rent")
    put(any_store, model, "rents")
    put(any_store, model, "rents")
    assert version_numbers(any_store, "rent") == (1,)
    assert put(any_store, model, "rent").model.version == 2


def test_a_copy_has_the_number_and_the_bytes(any_store: Store, other: Store, model: Inspection) -> None:
    put(any_store, model)
    put(any_store, model)

    assert copy(any_store, other, NAME, 2, nothing)
    keys = list(any_store.keys(f"{NAME}/2"))
    assert list(other.keys("")) == keys
    assert [other.read(key) for key in keys] == [any_store.read(key) for key in keys]
    assert not copy(any_store, other, NAME, 2, nothing), "the second copy finds all there"


def test_a_copy_tells_its_progress_coming_and_going(store: Store, other: Store, model: Inspection) -> None:
    manifest = put(store, model)
    seen: list[int] = []
    copy(store, other, NAME, 1, seen.append)
    assert sum(seen) == 2 * sum(file.size for file in (manifest.model.golden, *manifest.model.files))


@pytest.mark.parametrize("at", ["golden.json", "weights.bin", "manifest.json"])
def test_an_interrupted_copy_leaves_no_version_and_can_be_repeated(
    any_store: Store, other: Store, model: Inspection, at: str
) -> None:
    put(other, model)
    with pytest.raises(KeyboardInterrupt):
        copy(other, Interrupted(any_store, at), NAME, 1, nothing)
    assert catalog(any_store) == {}

    assert copy(other, any_store, NAME, 1, nothing)
    assert show(any_store, NAME, 1) == show(other, NAME, 1)


def test_a_copy_never_replaces_another_version(store: Store, other: Store, tmp_path: Path) -> None:
    put(store, descriptions.inspection(tmp_path / "ours", b"ours"))
    put(other, descriptions.inspection(tmp_path / "theirs", b"theirs"))
    before = {key: other.read(key) for key in other.keys("")}

    with pytest.raises(
        VersionTaken, match=r"manifest\.json differs from the file to be written; .* never overwritten: publish"
    ):
        copy(store, other, NAME, 1, nothing)
    assert {key: other.read(key) for key in other.keys("")} == before


def test_a_copy_does_not_mix_with_what_another_publisher_left(store: Store, other: Store, tmp_path: Path) -> None:
    put(store, descriptions.inspection(tmp_path / "ours", b"ours"))
    with pytest.raises(KeyboardInterrupt):
        put(Interrupted(other, "manifest.json"), descriptions.inspection(tmp_path / "theirs", b"theirs"))

    with pytest.raises(
        VersionTaken, match=r"weights\.bin has different content, left by an interrupted or concurrent publish"
    ):
        copy(store, other, NAME, 1, nothing)
    assert catalog(other) == {}


@pytest.mark.parametrize("content", [b"Weights", b"weight", b"weights and more", b""])
@pytest.mark.parametrize("name", ["weights.bin", "golden.json"])
def test_a_copy_finds_altered_bytes(store: Store, other: Store, model: Inspection, name: str, content: bytes) -> None:
    put(store, model)
    store.replace(f"{NAME}/1/{name}", content)

    with pytest.raises(
        DigestMismatch, match=rf"/{NAME}/1/{name}: found {len(content)} bytes .* publish the model again"
    ):
        copy(store, other, NAME, 1, nothing)
    assert catalog(other) == {}


def test_a_store_that_refuses_says_so(s3_store: Store, model: Inspection) -> None:
    put(s3_store, model)
    with pytest.raises(ObjectRefused):
        s3_store.read(f"{NAME}/1/nothing.json")
    with pytest.raises(NotPublished, match="has no version 2 of 'breast-cancer'; it has 1$"):
        show(s3_store, NAME, 2)

"""file:// and what else lies in its folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pilotlight.errors import ObjectRefused, StoreError
from pilotlight_cli.stores import Store, open_store


def nothing(_: int) -> None:
    """No progress wanted."""


def test_the_path_of_a_url_is_percent_decoded(tmp_path: Path) -> None:
    open_store(f"file://{tmp_path}/a%20b%2Bc").create("k", b"x")

    assert (tmp_path / "a b+c" / "k").read_bytes() == b"x"


def test_localhost_is_this_machine(tmp_path: Path) -> None:
    open_store(f"file://localhost{tmp_path}").create("k", b"x")

    assert (tmp_path / "k").read_bytes() == b"x"


def test_a_file_is_seen_only_when_it_is_complete(folder_store: Store, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x" * 3_000_000)
    seen: list[list[str]] = []

    folder_store.create_from("iris/1/model", tmp_path / "source", lambda _: seen.append(list(folder_store.keys(""))))

    assert seen == [[], [], []]
    assert list(folder_store.keys("")) == ["iris/1/model"]


def test_a_store_without_its_folder_is_empty(folder_store: Store) -> None:
    assert list(folder_store.keys("")) == []


def test_a_folder_is_not_an_object(folder_store: Store) -> None:
    folder_store.create("iris/1/model", b"x")

    with pytest.raises(ObjectRefused, match=r"/iris/1 was refused \(Is a directory\)"):
        folder_store.read("iris/1")
    with pytest.raises(StoreError, match=r"/iris/1/model/x cannot be written \(.*/iris/1/model: File exists\)"):
        folder_store.create("iris/1/model/x", b"x")


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"")
    store = open_store(f"file://{tmp_path}/store")

    with pytest.raises(ObjectRefused, match=r"store cannot be listed \(Not a directory\)"):
        list(store.keys(""))
    with pytest.raises(StoreError, match=r"/k cannot be written \(.*/store: File exists\)"):
        store.create("k", b"x")


def test_a_foreign_folder_that_this_user_may_not_read_hides_nothing(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("iris/1/model", "iris/2/model", "lost+found/1/model"):
        folder_store.create(key, b"x")
    forbid(monkeypatch, "lost+found")
    assert list(folder_store.keys("")) == ["iris/1/model", "iris/2/model"]
    forbid(monkeypatch, "2")
    with pytest.raises(ObjectRefused, match=r"iris/2 cannot be listed \(Permission denied\)"):
        list(folder_store.keys(""))


def forbid(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let nobody list folders of that name: permissions do not bind root."""
    scandir = os.scandir

    def refusing(path: str) -> Any:
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)


def test_other_publishers_temporary_files_are_no_keys(folder_store: Store, tmp_path: Path) -> None:
    folder_store.create("k", b"x")
    (tmp_path / "a store" / "100%" / ".k.0123.part").write_bytes(b"half")

    assert list(folder_store.keys("")) == ["k"]


def test_a_download_takes_the_place_of_an_older_one(folder_store: Store, tmp_path: Path) -> None:
    folder_store.create("k", b"new")
    (tmp_path / "copy").write_bytes(b"old")

    folder_store.download("k", tmp_path / "copy", nothing)

    assert (tmp_path / "copy").read_bytes() == b"new"


def test_a_download_that_its_caller_ends_leaves_the_old_file(folder_store: Store, tmp_path: Path) -> None:
    def full(_: int) -> None:
        raise OSError("no space left")

    folder_store.create("k", b"new")
    (tmp_path / "copy").write_bytes(b"old")

    with pytest.raises(OSError, match="no space left"):
        folder_store.download("k", tmp_path / "copy", full)
    assert [file.read_bytes() for file in tmp_path.iterdir() if file.is_file()] == [b"old"]


def test_a_folder_goes_with_its_last_file_and_the_stores_own_stays(folder_store: Store, tmp_path: Path) -> None:
    folder_store.create("iris/1/a", b"x")
    folder_store.delete("iris/1/a")
    assert list((tmp_path / "a store" / "100%").iterdir()) == []


def test_a_file_that_cannot_be_deleted_is_named(folder_store: Store, tmp_path: Path) -> None:
    (tmp_path / "a store" / "100%" / "iris/1/a").mkdir(parents=True)
    with pytest.raises(ObjectRefused, match=rf"^{folder_store.url}/iris/1/a cannot be deleted \("):
        folder_store.delete("iris/1/a")

"""The pinned version comes into a store where it is missing, and is held against the lock where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto

import onnx_models
from harness import Pinned, pinned
from pilotlight_cli.registry.availability import NotAvailable, ensure_published
from pilotlight_cli.registry.versions import NotPublished, show
from pilotlight_cli.stores import Store, open_store
from repository import LOCK, SAMPLE


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    """Return a model that is not the repository's sample, pinned."""
    folder = tmp_path_factory.mktemp("other")
    return pinned(onnx_models.identity(folder, TensorProto.FLOAT, "batch", 2), "other", folder)


def test_without_a_source_a_version_comes_from_the_store_of_the_project(folder_store: Store) -> None:
    assert ensure_published(LOCK, folder_store)
    assert show(folder_store, "breast-cancer", 1).model.name == "breast-cancer"


def test_what_is_there_stays_as_it_is(folder_store: Store) -> None:
    ensure_published(LOCK, folder_store)
    before = folder_store.read("breast-cancer/1/manifest.json")
    assert not ensure_published(LOCK, folder_store, "file:///nowhere")
    assert folder_store.read("breast-cancer/1/manifest.json") == before


def test_a_version_comes_from_the_store_that_is_named(other: Pinned, folder_store: Store) -> None:
    assert ensure_published(other.lock, folder_store, other.store.url)
    assert show(folder_store, "other", 1) == show(other.store, "other", 1)


def test_without_a_source_the_option_that_names_one_is_told(other: Pinned, folder_store: Store) -> None:
    message = "has no other:1, which model.lock pins; name the store that has it with --from"
    with pytest.raises(NotAvailable, match=message):
        ensure_published(other.lock, folder_store)


def test_a_source_that_lacks_it_too_is_named(other: Pinned, folder_store: Store, tmp_path: Path) -> None:
    empty = open_store((tmp_path / "empty").as_uri())
    with pytest.raises(NotPublished, match=f"{empty.url} has no model 'other'"):
        ensure_published(other.lock, folder_store, empty.url)


def test_another_version_of_that_number_is_refused_and_nothing_of_it_copied(
    other: Pinned, folder_store: Store, tmp_path: Path
) -> None:
    impostor = pinned(SAMPLE / "model.onnx", "other", tmp_path)
    with pytest.raises(NotAvailable, match=r"other:1 in .* differs from the pinned version: golden.json has SHA-256"):
        ensure_published(other.lock, folder_store, impostor.store.url)
    assert not list(folder_store.keys("other"))
    with pytest.raises(NotAvailable, match="other:1 in .* differs from the pinned version"):
        ensure_published(other.lock, impostor.store)

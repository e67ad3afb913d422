from __future__ import annotations

import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from doubles import CONTENT, MemoryStore, description
from pilotlight.errors import DigestMismatch, StoreUnavailable
from pilotlight.fetch import ObjectStore
from pilotlight.fetch.model_files import files_for

MODEL = description()
KEY = "example/3/model.onnx"


def fetch(store: ObjectStore, folder: Path, timeout: float = 60.0) -> int:
    """Fetch the model as one of eight processes; how many bytes came."""
    sizes: list[int] = []
    files_for(8, store, MODEL, folder).fetch(timeout, sizes.append)
    return sum(sizes)


def test_of_many_that_fetch_at_once_one_downloads(tmp_path: Path) -> None:
    store = MemoryStore({KEY: CONTENT})
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: fetch(store, tmp_path / "new"), range(8)))
    assert sorted(found) == [0] * 7 + [len(CONTENT)]
    assert store.fetched == [KEY]
    assert (tmp_path / "new/model.onnx").read_bytes() == CONTENT


def test_what_others_left_is_verified_and_replaced_by_one(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(CONTENT.upper())
    store = MemoryStore({KEY: CONTENT})
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: fetch(store, tmp_path), range(8)))
    assert sorted(found) == [0] * 7 + [len(CONTENT)]


def test_whoever_fails_lets_the_next_one_try(tmp_path: Path) -> None:
    with pytest.raises(DigestMismatch):
        fetch(MemoryStore({KEY: CONTENT.upper()}), tmp_path)
    assert fetch(MemoryStore({KEY: CONTENT}), tmp_path) == len(CONTENT)


def test_a_download_of_a_process_that_has_not_the_lock_is_left_over(tmp_path: Path) -> None:
    """A dead process may still be in the table of processes, as long as its parent does not look."""
    (tmp_path / f".model.onnx.{os.getppid()}.00ff00ff.part").write_bytes(CONTENT)
    fetch(MemoryStore({KEY: CONTENT}), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", ".lock"}


def test_the_wait_for_another_one_ends(tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreUnavailable, match="waited in vain for another one to fetch the model"):
            fetch(MemoryStore({KEY: CONTENT}), tmp_path, timeout=0.1)

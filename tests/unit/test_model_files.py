from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from doubles import CONTENT, MemoryStore, describe
from pilotlight.boot import open_store
from pilotlight.description import Description, File
from pilotlight.errors import DigestMismatch, ObjectRefused, StoreUnavailable
from pilotlight.model_files import ModelFiles
from pilotlight.store import FolderStore, ObjectStore

MODEL = describe()
KEY = "example/3/model.onnx"


def fetch_from(store: ObjectStore, folder: Path, model: Description = MODEL) -> int:
    """Fetch a model; how many bytes came."""
    sizes: list[int] = []
    ModelFiles(store, model, folder).fetch(5.0, sizes.append)
    return sum(sizes)


def fetch(content: bytes, folder: Path) -> MemoryStore:
    store = MemoryStore({KEY: content})
    fetch_from(store, folder)
    return store


def test_the_pinned_bytes_end_up_in_the_folder(tmp_path: Path) -> None:
    fetch(CONTENT, tmp_path / "new")
    assert [file.read_bytes() for file in (tmp_path / "new").iterdir()] == [CONTENT]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT[:-1], "expected 20 bytes, found 19"),
        (b"", "expected 20 bytes, found 0"),
        (CONTENT + b"!", "expected 20 bytes, the store sends more"),
        (CONTENT.replace(b"m", b"n"), "expected SHA-256 [0-9a-f]{64}, found [0-9a-f]{64}"),
    ],
)
def test_other_bytes_are_refused_and_leave_no_file(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DigestMismatch, match=message):
        fetch(content, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_fault_before_the_first_byte_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        fetch_from(MemoryStore({}, [StoreUnavailable("reset")]), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_with_the_right_digest_is_not_fetched_again(tmp_path: Path) -> None:
    fetch(CONTENT, tmp_path)
    assert fetch(CONTENT, tmp_path).fetched == []


@pytest.mark.parametrize("left", [CONTENT[:5], CONTENT.upper(), b""])
def test_a_file_that_a_crash_left_with_other_bytes_is_replaced(left: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(left)
    assert fetch(CONTENT, tmp_path).fetched == [KEY]
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT


def test_a_model_of_several_files_is_complete_or_refused(tmp_path: Path) -> None:
    weights = File("weights.bin", len(CONTENT), MODEL.files[0].sha256)
    model = dataclasses.replace(MODEL, files=(*MODEL.files, weights))
    store = MemoryStore({KEY: CONTENT})
    with pytest.raises(ObjectRefused):
        fetch_from(store, tmp_path, model)
    store.objects["example/3/weights.bin"] = CONTENT
    assert fetch_from(store, tmp_path, model) == len(CONTENT)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.onnx", "weights.bin"]


def test_a_folder_is_a_store_too(tmp_path: Path) -> None:
    (tmp_path / "store/example/3").mkdir(parents=True)
    (tmp_path / "store" / KEY).write_bytes(CONTENT)
    fetch_from(FolderStore(tmp_path / "store"), tmp_path / "here")
    assert (tmp_path / "here/model.onnx").read_bytes() == CONTENT


def test_the_url_of_a_folder_is_percent_encoded_and_may_name_this_host(tmp_path: Path) -> None:
    folder = tmp_path / "my models"
    (folder / "example/3").mkdir(parents=True)
    (folder / KEY).write_bytes(CONTENT)
    for url in (folder.as_uri(), folder.as_uri().replace("file:///", "file://localhost/")):
        fetch_from(open_store(url, {}), tmp_path / url.replace("/", ""))


def test_a_folder_without_the_file_refuses_it_by_name(tmp_path: Path) -> None:
    with pytest.raises(ObjectRefused, match="model.onnx cannot be read: No such file or directory"):
        fetch_from(FolderStore(tmp_path), tmp_path / "here")


def test_what_a_killed_process_left_of_a_download_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    names = {owner: f".model.onnx.{owner}.00ff00ff.part" for owner in (ended.pid, os.getpid(), os.getppid())}
    for name in names.values():
        (tmp_path / name).write_bytes(CONTENT)
    fetch(CONTENT, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", names[os.getppid()]}

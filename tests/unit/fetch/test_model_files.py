from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from doubles import CONTENT, MemoryStore, description
from pilotlight.boot import open_store
from pilotlight.errors import DigestMismatch, ObjectRefused, StoreUnavailable
from pilotlight.fetch import FolderStore, ObjectStore, Sink, UseSdk
from pilotlight.fetch.model_files import ModelFiles
from pilotlight.model.lock import Description, File

MODEL = description()
KEY = "example/3/model.onnx"


def fetch_from(store: ObjectStore, folder: Path, model: Description = MODEL) -> int:
    """Fetch a model; how many bytes came."""
    sizes: list[int] = []
    ModelFiles(store, model, folder).fetch(60.0, sizes.append)
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
    foreign = {".part.part", "..part", ".model.onnx.0123456789abcdef.part", f".model.onnx.{'9' * 30}.00ff00ff.part"}
    for name in {*names.values(), *foreign}:
        (tmp_path / name).write_bytes(CONTENT)
    fetch(CONTENT, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", names[os.getppid()], *foreign}


SMALL_DISK = """
import sys
from pathlib import Path
from doubles import MemoryStore, description
from pilotlight.errors import NoRoom
from pilotlight.fetch.model_files import ModelFiles
content = bytes(int(sys.argv[2]))
if int(sys.argv[3]):
    import os
    os.fstatvfs = lambda _: os.statvfs_result((0,) * 10)  # as a file system says that has no limit of its own
class Store:
    def fetch(self, key, sink, timeout):
        sink.restart("")
        sink.write(0, content)
files = ModelFiles(Store(), description(content=content), Path(sys.argv[1]))
try:
    files.fetch(60.0, print)
except NoRoom as error:
    print(error)
print([file.name for file in Path(sys.argv[1]).iterdir()])
"""


@pytest.mark.parametrize("unknown", [0, 1])
def test_a_disk_without_room_ends_the_fetch_with_its_name_and_what_is_needed(unknown: int, tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=64k tmpfs {tmp_path} && exec {sys.executable} -c '{SMALL_DISK}' {tmp_path}"
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f"{mount} 100000 {unknown}"]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    if "unshare:" in done.stderr:
        pytest.skip("this machine lets nobody mount a small disk")
    said, left = done.stdout.splitlines()
    assert said.startswith(f"{tmp_path} has no room for model.onnx, which has 100,000 bytes (")
    assert ("No space left on device" in said) == bool(unknown)
    assert left == "[]"


def test_files_come_at_the_same_time(tmp_path: Path) -> None:
    together = threading.Barrier(2)

    class Both(MemoryStore):
        def fetch(self, key: str, sink: Sink, timeout: float) -> None:
            together.wait(60)
            super().fetch(key, sink, timeout)

    weights = File("weights.bin", len(CONTENT), MODEL.files[0].sha256)
    model = dataclasses.replace(MODEL, files=(*MODEL.files, weights))
    assert fetch_from(Both({KEY: CONTENT, "example/3/weights.bin": CONTENT}), tmp_path, model) == 2 * len(CONTENT)


def test_a_store_that_never_comes_back_is_left_alone_in_time(tmp_path: Path) -> None:
    go_on, late = threading.Event(), list[Exception]()

    class Hanging:
        def fetch(self, key: str, sink: Sink, timeout: float) -> None:
            go_on.wait(60)
            try:
                sink.restart("")
            except StoreUnavailable as error:
                late.append(error)
            ended.set()

    ended = threading.Event()
    with pytest.raises(StoreUnavailable, match=f"{KEY}: the store did not deliver within 0.2 s"):
        ModelFiles(Hanging(), MODEL, tmp_path).fetch(0.2, lambda _: None)
    assert not ended.is_set()
    go_on.set()
    assert ended.wait(60)
    assert len(late) == 1
    assert list(tmp_path.iterdir()) == []


def test_another_store_goes_on_where_the_first_cannot(tmp_path: Path) -> None:
    class First:
        def fetch(self, key: str, sink: Sink, timeout: float) -> None:
            sink.restart("pin")
            sink.write(0, CONTENT[:5])
            raise UseSdk("it cannot", lambda: MemoryStore({KEY: CONTENT}))

    assert fetch_from(First(), tmp_path) == len(CONTENT)


def test_what_came_is_gone_on_with_by_the_next_try_and_only_in_the_process_that_has_it(tmp_path: Path) -> None:
    seen: list[tuple[str, list[tuple[int, int]]]] = []

    class Halting:
        def fetch(self, key: str, sink: Sink, timeout: float) -> None:
            seen.append((sink.pin, list(sink.missing())))
            if not sink.pin:
                sink.restart("one")
                sink.write(5, CONTENT[5:9])
                raise StoreUnavailable("reset")
            for start, end in list(sink.missing()):
                sink.write(start, CONTENT[start:end])

    files = ModelFiles(Halting(), MODEL, tmp_path)
    for _ in range(2):
        try:
            files.fetch(60.0, lambda _: None)
        except StoreUnavailable:
            (part,) = tmp_path.iterdir()
    assert seen == [("", [(0, 20)]), ("one", [(0, 5), (9, 20)])]
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [CONTENT]
    again = ModelFiles(Halting(), MODEL, tmp_path / "other")
    with pytest.raises(StoreUnavailable):
        again.fetch(60.0, lambda _: None)
    (part,) = (tmp_path / "other").iterdir()
    part.unlink()  # as if another process had taken it
    with pytest.raises(StoreUnavailable):
        again.fetch(60.0, lambda _: None)
    assert seen[2:] == [("", [(0, 20)])] * 2

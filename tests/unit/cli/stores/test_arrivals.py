"""What a killed writer left goes with the next one; what somebody still writes stays."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import descriptions
from pilotlight_cli.registry.publish import publish
from pilotlight_cli.stores import Store
from pilotlight_cli.stores.arrivals import arriving, working_folder
from unit.cli.registry.test_repository import NAME, NOON, nothing

WRITER = """
import sys, time
from pathlib import Path
from pilotlight_cli.stores.arrivals import arriving, working_folder
folder = Path(sys.argv[1])
with arriving(folder / "model.onnx") as out, working_folder(folder / "result") as work:
    out.write(b"half")
    out.flush()
    (work / "large").write_bytes(b"half")
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process that is in the middle of a file and of a folder in `tmp_path`."""
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        yield process
        process.kill()


def write(folder: Path) -> None:
    with arriving(folder / "other") as out:
        out.write(b"whole")


def parts(folder: Path) -> list[Path]:
    return sorted(folder.rglob(".*.part"))


def test_what_somebody_still_writes_is_left_alone(writer: subprocess.Popen[bytes], tmp_path: Path) -> None:
    before = parts(tmp_path)
    write(tmp_path)
    with working_folder(tmp_path / "result"):
        assert len(parts(tmp_path)) == 3
    assert parts(tmp_path) == before
    assert writer.poll() is None


def test_what_a_killed_writer_left_goes_with_the_next_one(writer: subprocess.Popen[bytes], tmp_path: Path) -> None:
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(parts(tmp_path)) == 2
    write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_foreign_files_of_a_like_name_are_left_alone(tmp_path: Path) -> None:
    names = [".model.part", "model.0123456789abcdef.part", ".model.0123456789ABCDEF.part", ".git", ".x.5.00ff00ff.part"]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".link.0123456789abcdef.part").symlink_to(tmp_path / ".git")
    write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*names, ".link.0123456789abcdef.part", "other"}


def test_a_file_that_was_taken_for_a_leftover_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, seen = fcntl.flock, list[str]()

    def removed_before(descriptor: int, operation: int) -> None:
        if not seen:  # as another writer does between the making and the locking
            (left,) = parts(tmp_path)
            seen.append(left.name)
            left.unlink()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_before)
    write(tmp_path)
    assert (tmp_path / "other").read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert seen


def test_a_file_system_without_locks_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / ".model.0123456789abcdef.part").write_bytes(b"of somebody, perhaps")
    write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".model.0123456789abcdef.part", "other"}


def test_the_next_version_removes_what_a_killed_publisher_left(folder_store: Store, tmp_path: Path) -> None:
    model = descriptions.inspection(tmp_path / "model")
    folder = tmp_path / "a store" / "100%"
    publish(folder_store, model, NAME, clock=lambda: NOON, progress=nothing)
    (folder / NAME / ".weights.bin.0123456789abcdef.part").write_bytes(b"half")
    publish(folder_store, model, NAME, clock=lambda: NOON, progress=nothing)
    assert parts(folder) == []
    assert (folder / NAME / "2" / "weights.bin").stat().st_nlink == 1


def test_a_folder_that_cannot_be_written_is_named() -> None:
    """Not the temporary file, whose name nobody knows."""
    for place in (arriving, working_folder):
        with pytest.raises(OSError, match=r"nothing can be written here: .*: '/proc'$"), place(Path("/proc/model")):
            pass

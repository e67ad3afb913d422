"""A large object comes from S3 in ranges, over several connections: all of one object, and what came is kept."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from doubles import description
from fakes.fake_s3 import FakeS3, Fault
from pilotlight.errors import DigestMismatch, ObjectRefused, StoreUnavailable
from pilotlight.fetch import Span, UseSdk, ranges
from pilotlight.fetch.download import Partial
from pilotlight.fetch.model_files import ModelFiles
from pilotlight.model.lock import File
from s3_store import S3Store
from waiting import wait_until

CONTENT = b"".join(number.to_bytes(4) for number in range(4_250_000)) + b"!"
OTHER = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
KEY = "team/example/3/model.onnx"
RANGES = 5  # of 4 MiB, the last one of what is left
STALLED = 100_000  # bytes that come of a range before it stalls

pytestmark = pytest.mark.usefixtures("patient_fetch")


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    with FakeS3() as fake:
        fake.put(KEY, CONTENT)
        yield fake


@pytest.fixture
def warned() -> list[str]:
    return []


@pytest.fixture
def environ(s3: FakeS3) -> dict[str, str]:
    return s3.environ()


@pytest.fixture
def files(environ: dict[str, str], tmp_path: Path, warned: list[str]) -> ModelFiles:
    store = S3Store("s3://models/team", environ, warn=warned.append)
    return ModelFiles(store, description(content=CONTENT), tmp_path / "models")


def fetch(files: ModelFiles, timeout: float = 120.0) -> None:
    files.fetch(timeout, lambda _: None)


def content(folder: Path) -> bytes:
    (file,) = (folder / "models").iterdir()
    return file.read_bytes() if file.name == "model.onnx" else b""


def fetch_in_vain(files: ModelFiles, s3: FakeS3) -> None:
    """Fetch until some of every range could have come, from a store that stalls; each time it is over too early."""
    s3.inject(Fault("stall", after=STALLED), times=10_000)

    def some_came() -> bool:
        with pytest.raises(StoreUnavailable):
            fetch(files, 1.0)
        missing = files._partials["model.onnx"].missing
        return sum(end - start for start, end in missing) <= len(CONTENT) - RANGES * STALLED

    wait_until(some_came, limit=60)
    s3.faults.clear()


def requested_spans(s3: FakeS3) -> list[tuple[int, int]]:
    """Return the ranges of the requests so far, in order of their beginnings."""
    return sorted((int(start), int(end)) for start, end in re.findall(r"bytes=(\d+)-(\d+)", " ".join(s3.ranges)))


def test_the_ranges_cover_the_object_and_are_of_the_one_that_the_first_answer_tells(
    files: ModelFiles, s3: FakeS3, tmp_path: Path
) -> None:
    fetch(files)
    assert content(tmp_path) == CONTENT
    ranges = requested_spans(s3)
    assert len(ranges) == len(s3.ranges) == RANGES
    assert [start for start, _ in ranges] == [0, *(end + 1 for _, end in ranges[:-1])]
    assert ranges[-1][1] == len(CONTENT) - 1
    first, *others = s3.conditions
    assert first == ""
    assert set(others) == {others[0]}
    assert others[0].startswith('"')


def test_they_come_at_the_same_time(files: ModelFiles, s3: FakeS3) -> None:
    together = threading.Barrier(RANGES - 1)
    s3.before_body = lambda number: number == 1 or together.wait(60)
    fetch(files)
    assert RANGES - 1 <= s3.connections <= RANGES  # one that found nothing left to ask for may be seen late, or never


@pytest.mark.parametrize(("now", "kind"), [(OTHER, DigestMismatch), (CONTENT, None)])
def test_an_object_that_is_replaced_between_two_ranges_is_not_mixed_with_the_other(
    now: bytes, kind: type[Exception] | None, files: ModelFiles, s3: FakeS3, tmp_path: Path
) -> None:
    s3.put(KEY, OTHER if now is CONTENT else CONTENT)
    s3.faults.meanwhile = lambda number: s3.put(KEY, now) if number == 3 else None
    with pytest.raises(StoreUnavailable, match="replaced during the fetch"):
        fetch(files)
    if kind is None:
        fetch(files)
        assert content(tmp_path) == CONTENT
        return
    with pytest.raises(kind):
        fetch(files)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_range_that_fails_is_left_to_the_others(
    files: ModelFiles, s3: FakeS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back = threading.Event()
    give_back = ranges._Transfer._give_back

    def record_span(transfer: ranges._Transfer, span: Span) -> None:
        give_back(transfer, span)
        given_back.set()

    monkeypatch.setattr(ranges._Transfer, "_give_back", record_span)
    s3.faults.meanwhile = lambda number: s3.inject(Fault("status", status=503)) if number == 2 else None
    s3.before_body = lambda number: number != 1 or given_back.wait(60)  # there is somebody left to take it over
    fetch(files)
    assert content(tmp_path) == CONTENT
    assert len(s3.ranges) == RANGES + 1


def test_a_reset_inside_a_range_asks_for_its_rest_alone(files: ModelFiles, s3: FakeS3, tmp_path: Path) -> None:
    s3.inject(Fault("reset", after=1_000_000))
    fetch(files)
    assert content(tmp_path) == CONTENT
    assert (1_000_000, 4_194_303) in requested_spans(s3)


def test_what_came_before_the_deadline_is_not_fetched_again(
    files: ModelFiles, s3: FakeS3, environ: dict[str, str], tmp_path: Path
) -> None:
    fetch_in_vain(files, s3)
    assert content(tmp_path) == b""
    with FakeS3() as again:  # at which no request of before can arrive late
        again.put(KEY, CONTENT)
        environ.update(again.environ())
        fetch(files)
    assert content(tmp_path) == CONTENT
    assert sum(end + 1 - start for start, end in requested_spans(again)) <= len(CONTENT) - RANGES * STALLED
    assert all(again.conditions)


def test_after_a_deadline_another_object_is_fetched_from_its_beginning(
    files: ModelFiles, s3: FakeS3, tmp_path: Path
) -> None:
    s3.put(KEY, OTHER)
    fetch_in_vain(files, s3)
    s3.put(KEY, CONTENT)
    with pytest.raises(StoreUnavailable, match="replaced"):
        fetch(files)
    fetch(files)
    assert content(tmp_path) == CONTENT


def test_threads_that_are_left_alone_write_nothing_any_more(files: ModelFiles, s3: FakeS3, tmp_path: Path) -> None:
    go_on = threading.Event()
    s3.before_body = lambda _: go_on.wait(60)
    with pytest.raises(StoreUnavailable):
        fetch(files, 0.3)
    s3.put(KEY, OTHER)
    go_on.set()
    with pytest.raises((StoreUnavailable, DigestMismatch)):
        fetch(files)
    s3.put(KEY, CONTENT)
    fetch(files)
    assert content(tmp_path) == CONTENT


@pytest.mark.parametrize("size", [16_000_000, 18_000_000])
def test_an_object_of_another_size_is_refused_before_it_comes(
    size: int, files: ModelFiles, s3: FakeS3, tmp_path: Path
) -> None:
    s3.put(KEY, bytes(size))
    with pytest.raises(DigestMismatch, match=f"expected {len(CONTENT)} bytes, the store has {size}"):
        fetch(files)
    assert len(s3.ranges) == 1
    assert list((tmp_path / "models").iterdir()) == []


def test_a_store_that_knows_no_ranges_sends_all_of_it(files: ModelFiles, s3: FakeS3, tmp_path: Path) -> None:
    s3.inject(Fault("odd"), times=100)
    fetch(files)
    assert content(tmp_path) == CONTENT
    assert len(s3.ranges) == 1


def test_ranges_that_cannot_be_held_together_are_for_boto3(s3: FakeS3, tmp_path: Path) -> None:
    s3.inject(Fault("truncated", after=len(CONTENT), without=("ETag",)))
    partial = Partial(tmp_path, File("model.onnx", len(CONTENT), ""))
    incoming = partial.begin(lambda: None)
    with pytest.raises(UseSdk, match="does not identify its object"):
        S3Store("s3://models/team", s3.environ()).fetch("example/3/model.onnx", incoming, 60.0)
    partial.end(incoming)


def test_no_permission_ends_all_of_them_at_once(files: ModelFiles, s3: FakeS3) -> None:
    s3.faults.meanwhile = lambda number: s3.inject(Fault("status", status=403)) if number == 2 else None
    with pytest.raises(ObjectRefused):
        fetch(files)


FEW_THREADS = """
import sys, threading
from pathlib import Path
from pilotlight.model.lock import File
from pilotlight.fetch.download import Partial
from s3_store import S3Store
partial = Partial(Path(sys.argv[1]), File("model.onnx", int(sys.argv[2]), sys.argv[3]))
incoming = partial.begin(lambda: None)
threading.stack_size(1 << 47)  # more than a process can address: no thread can be started
S3Store("s3://models/team").fetch("example/3/model.onnx", incoming, 100.0)
partial.finish()
"""


def test_where_no_more_threads_can_be_started_one_gets_all_of_it(s3: FakeS3, tmp_path: Path) -> None:
    digest = description(content=CONTENT).files[0].sha256
    command = [sys.executable, "-c", FEW_THREADS, str(tmp_path), str(len(CONTENT)), digest]
    environ = {**s3.environ(), "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    subprocess.run(command, env=environ, check=True, timeout=180)
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT
    assert (len(s3.ranges), s3.connections) == (RANGES, 1)

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from doubles import CONTENT, MemoryStore, Records, StepClock, describe
from pilotlight.errors import DigestMismatch, NotReady, ObjectRefused, PilotlightError, StoreUnavailable
from pilotlight.loading import Loader, Plan

KEY = "example/3/model.onnx"
SAMPLE = Path(__file__).parents[2] / "examples/breast-cancer/model.onnx"


@pytest.fixture
def records() -> Records:
    return Records()


class Case:
    """A loader on a store in memory and a clock that only sleeping moves."""

    def __init__(self, folder: Path, records: Records, faults: list[PilotlightError], content: bytes = b"") -> None:
        self.content = content or SAMPLE.read_bytes()
        self.model = describe(content=SAMPLE.read_bytes())
        self.store = MemoryStore({KEY: self.content}, faults)
        self.clock = StepClock()
        plan = Plan(self.model, self.store, folder, 1, self.clock, self.clock.sleep)
        self.loader = Loader(plan, records, {"import": 1.0}, self.clock.now)


def test_a_start_ends_ready_with_its_phases_reported(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [])
    case.loader.start(9.0)
    (record,) = records.cold_starts
    assert case.loader.state == record.state == "ready"
    assert record.phases_ms.keys() >= {"import", "fetch", "load", "total"}
    assert (record.fetched_bytes, record.attempts, record.error) == (len(case.content), 1, "")


def test_a_passing_fault_is_tried_again_inside_the_deadline(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [StoreUnavailable("503"), ObjectRefused("403, the role is fresh")])
    case.loader.start(9.0)
    assert (case.loader.state, records.cold_starts[0].attempts) == ("ready", 3)


def test_past_the_deadline_a_passing_fault_waits_for_the_next_request(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [StoreUnavailable("503")] * 99)
    case.loader.start(9.0)
    assert case.loader.state == "waiting"
    with pytest.raises(NotReady) as caught:
        case.loader.model(case.clock.now + 0.05)
    assert caught.value.headers() == {"retry-after": "1"}
    case.store.faults.clear()
    assert case.loader.model(case.clock.now + 5.0) is not None
    assert [record.state for record in records.cold_starts] == ["waiting", "waiting", "ready"]


def test_a_store_that_keeps_refusing_fails_the_start_for_good_with_both_causes_tried(
    tmp_path: Path, records: Records
) -> None:
    case = Case(tmp_path, records, [ObjectRefused("403")] * 99)
    with pytest.raises(ObjectRefused):
        case.loader.start(9.0)
    assert case.loader.state == records.cold_starts[0].state == "failed"
    assert case.clock.now <= 109.0
    assert records.cold_starts[0].attempts > 5


def test_wrong_bytes_fail_the_start_at_once_and_for_good(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [], content=CONTENT)
    with pytest.raises(DigestMismatch):
        case.loader.start(9.0)
    assert records.cold_starts[0].attempts == 1
    with pytest.raises(NotReady, match="cannot serve its model"):
        case.loader.model(case.clock.now + 5.0)
    assert len(case.store.fetched) == 1


def test_a_file_that_is_no_model_fails_the_start_with_the_librarys_words_in_the_log(
    tmp_path: Path, records: Records
) -> None:
    case = Case(tmp_path, records, [], content=CONTENT)
    plan = Plan(describe(), case.store, tmp_path, 1, case.clock, case.clock.sleep)
    loader = Loader(plan, records, {}, 0.0)
    with pytest.raises(Exception, match="Protobuf parsing failed"):
        loader.start(9.0)
    assert "Protobuf parsing failed" in records.cold_starts[0].error


def test_many_threads_that_ask_at_once_share_one_load(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [])
    models: list[object] = []
    threads = [
        threading.Thread(target=lambda: models.append(case.loader.model(case.clock.now + 60.0))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(models) == 16
    assert len({id(model) for model in models}) == len(records.cold_starts) == len(case.store.fetched) == 1


def test_after_a_fork_a_load_that_was_under_way_begins_again(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [StoreUnavailable("503")] * 99)
    case.loader.start(0.0)
    case.store.faults.clear()
    case.loader.after_fork()
    assert case.loader.model(case.clock.now + 5.0) is not None


def test_a_session_with_threads_of_its_own_is_made_anew_after_a_fork(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [])
    plan = Plan(case.model, case.store, tmp_path, 2, case.clock, case.clock.sleep)
    loader = Loader(plan, records, {}, 0.0)
    loader.start(9.0)
    before = loader.model(case.clock.now)
    loader.after_fork()
    assert loader.model(case.clock.now) is not before

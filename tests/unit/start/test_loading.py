from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from doubles import CONTENT, MemoryStore, Records, StepClock, description
from pilotlight.errors import DigestMismatch, ModelError, NotReady, ObjectRefused, PilotlightError, StoreUnavailable
from pilotlight.fetch import Sink
from pilotlight.start import loading
from pilotlight.start.loading import Loader, Plan
from pilotlight.telemetry import Record
from waiting import wait_until

KEY = "example/3/model.onnx"
SAMPLE = Path(__file__).parents[3] / "examples/breast-cancer/model.onnx"
MINUTE = 60.0


@pytest.fixture(autouse=True)
def a_minute_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only sleeping moves the tests' clock, but threads and stores are waited for in real time: a machine may stall."""
    monkeypatch.setattr(loading, "_MIN_TRY", loading._MIN_TRY * MINUTE)
    monkeypatch.setattr(loading, "_BACKOFF", tuple(pause * MINUTE for pause in loading._BACKOFF))


@pytest.fixture
def records() -> Records:
    return Records()


class Case:
    """A loader on a store in memory and a clock that only sleeping moves."""

    def __init__(self, folder: Path, records: Records, faults: list[PilotlightError], content: bytes = b"") -> None:
        self.folder = folder
        self.content = content or SAMPLE.read_bytes()
        self.model = description(content=SAMPLE.read_bytes())
        self.store = MemoryStore({KEY: self.content}, faults)
        self.clock = StepClock()
        plan = Plan(self.model, self.store, folder, 1, self.clock, self.clock.sleep)
        self.loader = Loader(plan, records, {"import": 1.0}, self.clock.now)


def settle(loader: Loader) -> None:
    """Wait for the end of an attempt that outlived its caller."""
    wait_until(lambda: loader.state != "starting", limit=60)


class WaitedFor(threading.Condition):
    """The loader's condition, with an event for the first wait on it that takes time."""

    def __init__(self) -> None:
        super().__init__()
        self.has_begun = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait as a condition does: nobody else can have the lock between the event and the wait."""
        if timeout != 0:
            self.has_begun.set()
        return super().wait(timeout)


def once_waited_for(loader: Loader, act: Callable[[], object]) -> None:
    """Act in another thread once a caller waits for the loader's state."""
    loader._changed = waited_for = WaitedFor()

    def wait() -> None:
        assert waited_for.has_begun.wait(60)
        act()

    threading.Thread(target=wait).start()


def test_a_start_ends_ready_with_its_phases_reported(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [])
    case.loader.start(9 * MINUTE)
    (record,) = records.cold_starts
    assert case.loader.state == record.state == "ready"
    assert record.phases_ms.keys() >= {"import", "fetch", "load", "total"}
    assert (record.fetched_bytes, record.attempts, record.error) == (len(case.content), 1, "")


def test_a_passing_fault_is_tried_again_inside_the_deadline(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [StoreUnavailable("503"), ObjectRefused("403, the role is fresh")])
    case.loader.start(9 * MINUTE)
    assert (case.loader.state, records.cold_starts[0].attempts) == ("ready", 3)


def test_past_the_deadline_a_passing_fault_waits_for_the_next_request(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [StoreUnavailable("503")] * 99)
    case.loader.start(9 * MINUTE)
    assert case.loader.state == "waiting"
    with pytest.raises(NotReady) as caught:
        case.loader.model(case.clock.now + 0.05)
    assert caught.value.headers() == {"retry-after": "1"}
    settle(case.loader)
    case.store.faults.clear()
    assert case.loader.model(case.clock.now + 5 * MINUTE) is not None
    assert [record.state for record in records.cold_starts] == ["waiting", "waiting", "ready"]


def test_a_store_that_keeps_refusing_fails_the_start_for_good_with_both_causes_tried(
    tmp_path: Path, records: Records
) -> None:
    case = Case(tmp_path, records, [ObjectRefused("403")] * 99)
    with pytest.raises(ObjectRefused):
        case.loader.start(9 * MINUTE)
    assert case.loader.state == records.cold_starts[0].state == "failed"
    assert case.clock.now <= 100 + 9 * MINUTE
    assert records.cold_starts[0].attempts > 5


@pytest.mark.parametrize("took", [0.02, 0.13, 0.3, 0.7])
def test_a_store_that_refuses_slowly_is_found_out_before_the_deadline(
    took: float, tmp_path: Path, records: Records
) -> None:
    class Slow(MemoryStore):
        def fetch(self, key: str, sink: Sink, timeout: float) -> None:
            clock.sleep(took * MINUTE)
            super().fetch(key, sink, timeout)

    clock = StepClock()
    loader = Loader(Plan(description(), Slow({}), tmp_path, 1, clock, clock.sleep), records, {}, clock.now)
    with pytest.raises(ObjectRefused):
        loader.start(9 * MINUTE)
    assert records.cold_starts[0].attempts > 3
    assert clock.now <= 100 + 9 * MINUTE


def test_wrong_bytes_fail_the_start_at_once_and_for_good(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [], content=CONTENT)
    with pytest.raises(DigestMismatch):
        case.loader.start(9 * MINUTE)
    assert records.cold_starts[0].attempts == 1
    with pytest.raises(NotReady, match="cannot serve its model"):
        case.loader.model(case.clock.now + 5 * MINUTE)
    assert len(case.store.fetched) == 1


def test_a_file_that_is_no_model_fails_the_start_with_the_librarys_words_in_the_log(
    tmp_path: Path, records: Records
) -> None:
    case = Case(tmp_path, records, [], content=CONTENT)
    plan = Plan(description(), case.store, tmp_path, 1, case.clock, case.clock.sleep)
    loader = Loader(plan, records, {}, 0.0)
    with pytest.raises(Exception, match="Protobuf parsing failed"):
        loader.start(9 * MINUTE)
    assert "Protobuf parsing failed" in records.cold_starts[0].error


def test_many_threads_that_ask_at_once_share_one_load(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [])
    models: list[object] = []
    threads = [
        threading.Thread(target=lambda: models.append(case.loader.model(case.clock.now + 60 * MINUTE)))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(models) == 16
    assert len({id(model) for model in models}) == len(records.cold_starts) == len(case.store.fetched) == 1


class Parked(MemoryStore):
    """A store whose first fetch waits until somebody lets it go on."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        super().__init__(objects)
        self.go_on = threading.Event()

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """See `pilotlight.fetch.ObjectStore.fetch`."""
        if not self.fetched:
            self.fetched.append(key)
            self.go_on.wait(600)
            raise StoreUnavailable("reset")
        super().fetch(key, sink, timeout)


def start_in_vain(loader: Loader, clock: StepClock) -> None:
    """Start, and let the store's first response come after the start."""
    loader.begin(30 * MINUTE)
    clock.sleep(30 * MINUTE)
    loader.finish()
    assert loader.state == "starting"


def test_after_a_fork_a_load_that_was_under_way_begins_again(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [])
    store = Parked({KEY: case.content})
    plan = Plan(case.model, store, tmp_path, 1, case.clock, case.clock.sleep)
    loader = Loader(plan, records, {}, 0.0)
    start_in_vain(loader, case.clock)
    loader.after_fork()  # the parked thread stands for one that is not there in the child
    assert loader.model(case.clock.now + 5 * MINUTE) is not None
    store.go_on.set()


def test_a_request_with_time_left_makes_an_older_attempt_go_on(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [])
    store = Parked({KEY: case.content})
    plan = Plan(case.model, store, tmp_path, 1, case.clock, case.clock.sleep)
    loader = Loader(plan, records, {}, 0.0)
    start_in_vain(loader, case.clock)
    once_waited_for(loader, store.go_on.set)
    assert loader.model(case.clock.now + 20 * MINUTE) is not None
    assert [record.attempts for record in records.cold_starts] == [2]


class Held(Records):
    """A log that takes nothing until somebody lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __call__(self, record: Record) -> None:
        """Take a record."""
        super().__call__(record)
        self.reached.set()
        self.go_on.wait(600)


def test_a_request_that_comes_while_an_attempt_gives_up_begins_another(tmp_path: Path) -> None:
    records = Held()
    case = Case(tmp_path, records, [StoreUnavailable("503")])
    case.loader.retry(case.clock.now)  # a request without time, whose attempt has none either
    assert records.reached.wait(60)
    assert case.loader.state == "starting"
    once_waited_for(case.loader, records.go_on.set)
    assert case.loader.model(case.clock.now + 20 * MINUTE) is not None
    assert [record.state for record in records.cold_starts] == ["waiting", "ready"]


def test_a_request_waits_for_an_attempt_that_gives_up_as_long_as_it_has_time(tmp_path: Path) -> None:
    records = Held()
    case = Case(tmp_path, records, [StoreUnavailable("503")] * 99)
    case.loader.retry(case.clock.now)
    assert records.reached.wait(60)
    with pytest.raises(NotReady):
        case.loader.model(case.clock.now + 0.05)
    records.go_on.set()
    settle(case.loader)
    assert case.loader.state == "waiting"


def test_a_refusal_all_through_the_init_phase_fails_it_however_late_the_log_takes_it(tmp_path: Path) -> None:
    records = Held()
    case = Case(tmp_path, records, [ObjectRefused("403")] * 99)
    case.loader.begin(9 * MINUTE)
    wait_until(lambda: case.loader._has_given_up, limit=60)
    assert len(case.store.fetched) == 9
    case.clock.sleep(9 * MINUTE)
    once_waited_for(case.loader, records.go_on.set)
    with pytest.raises(ObjectRefused):
        case.loader.finish()
    assert case.loader.state == "failed"


def test_a_refusal_after_the_init_phase_is_not_for_good(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [StoreUnavailable("503")] * 99)
    case.loader.start(9 * MINUTE)
    case.store.faults[:] = [ObjectRefused("403")] * 99
    with pytest.raises(NotReady):
        case.loader.model(case.clock.now + 0.05)
    settle(case.loader)
    assert case.loader.state == "waiting"
    case.store.faults.clear()
    assert case.loader.model(case.clock.now + 5 * MINUTE) is not None


def test_a_log_that_cannot_be_written_does_not_hold_up_the_start(tmp_path: Path, records: Records) -> None:
    class Broken(Records):
        def __call__(self, record: object) -> None:
            raise BrokenPipeError

    case = Case(tmp_path, Broken(), [])
    case.loader.start(9 * MINUTE)
    assert case.loader.state == "ready"


def test_each_attempt_reports_its_own_time_tries_and_bytes(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [StoreUnavailable("503")] * 99)
    case.loader.start(9 * MINUTE)
    case.clock.sleep(60 * MINUTE)
    case.store.faults.clear()
    case.loader.model(case.clock.now + 5 * MINUTE)
    first, second = records.cold_starts
    assert {"import", "fetch", "total"} <= first.phases_ms.keys() <= {"import", "runtime", "fetch", "total"}
    assert (first.attempts > 5, first.fetched_bytes) == (True, 0)
    assert second.phases_ms.keys() == {"fetch", "load", "total"}
    assert second.phases_ms["total"] < 60_000
    assert (second.attempts, second.fetched_bytes) == (1, len(case.content))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise ValueError('numpy.dtype size changed')", "ValueError: numpy.dtype size changed"),
        (
            "raise SystemExit('no licence')",
            "ModelError: a library that the model needs exited the process while it was loading (no licence)",
        ),
    ],
)
def test_a_library_that_breaks_on_import_is_a_failed_start_with_a_line(
    code: str, error: str, tmp_path: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    case = Case(tmp_path / "model", records, [])
    with pytest.raises((ValueError, ModelError)) as caught:
        case.loader.start(9 * MINUTE)
    assert f"{type(caught.value).__name__}: {caught.value}" == error
    assert (case.loader.state, records.cold_starts[0].error) == ("failed", error)


def forking(case: Case, records: Records, threads: int) -> Loader:
    """Return a loader in a process that is forked after its start."""
    plan = Plan(case.model, case.store, case.folder, threads, case.clock, case.clock.sleep, forks=True)
    return Loader(plan, records, {}, 0.0)


def test_a_session_without_threads_of_its_own_survives_a_fork(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [])
    loader = forking(case, records, threads=1)
    loader.start(9 * MINUTE)
    before = loader.model(case.clock.now)
    loader.after_fork()
    assert loader.model(case.clock.now) is before


def test_a_session_with_threads_of_its_own_is_tried_and_let_go_before_a_fork_and_made_anew_after_it(
    tmp_path: Path, records: Records
) -> None:
    case = Case(tmp_path, records, [])
    loader = forking(case, records, threads=2)
    loader.start(9 * MINUTE)
    assert (loader.state, len(case.store.fetched), records.cold_starts) == ("ready", 1, [])
    with pytest.raises(NotReady):
        loader.model(case.clock.now)
    case.clock.sleep(5.0)
    loader.after_fork()
    assert loader.model(case.clock.now) is not None
    assert len(case.store.fetched) == 1
    (record,) = records.cold_starts
    assert (record.state, record.fetched_bytes) == ("ready", len(case.content))
    assert record.phases_ms["total"] >= 5000.0 + record.phases_ms["reload"]
    assert "load" in record.phases_ms


def test_a_session_that_cannot_be_made_anew_fails_the_child_with_a_line(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [])
    loader = forking(case, records, threads=2)
    loader.start(9 * MINUTE)
    (tmp_path / "model.onnx").unlink()
    with pytest.raises(Exception, match="model.onnx"):
        loader.after_fork()
    (record,) = records.cold_starts
    assert (loader.state, record.state) == ("failed", "failed")
    assert "model.onnx" in record.error


def test_no_start_returns_to_a_fork_while_its_attempt_is_under_way(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [])
    case.store = store = Parked({KEY: case.content})
    loader = forking(case, records, threads=1)
    once_waited_for(loader, store.go_on.set)
    loader.start(0.0)
    assert loader.state == "waiting"


def test_the_record_of_an_attempt_has_the_trace_of_the_request_that_began_it(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [StoreUnavailable("503")] * 99)
    case.loader.start(9 * MINUTE)
    case.store.faults.clear()
    case.loader.model(case.clock.now + 5 * MINUTE, {"trace": "a"})
    assert [record.trace for record in records.cold_starts] == [{}, {"trace": "a"}]


def test_a_request_that_begins_an_attempt_is_the_first_prediction_itself(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [StoreUnavailable("503")] * 99)
    plan = Plan(case.model, case.store, case.folder, 1, case.clock, case.clock.sleep, golden=tmp_path / "none.json")
    loader = Loader(plan, records, {}, case.clock.now)
    loader.start(9 * MINUTE)
    case.store.faults.clear()
    assert loader.model(case.clock.now + 5 * MINUTE) is not None
    assert "prime" not in records.cold_starts[-1].phases_ms


def test_what_is_done_while_the_store_is_waited_for_is_a_part_of_the_start(tmp_path: Path, records: Records) -> None:
    case = Case(tmp_path, records, [])
    case.loader.begin(9 * MINUTE)
    case.loader.timed("import", lambda: case.clock.sleep(2.0))
    wait_until(lambda: case.loader._model is not None, limit=60)
    assert (case.loader.state, records.cold_starts) == ("starting", [])
    case.loader.finish()
    (record,) = records.cold_starts
    assert (case.loader.state, record.phases_ms["import"]) == ("ready", 2001.0)
    assert record.phases_ms["total"] >= 2000.0

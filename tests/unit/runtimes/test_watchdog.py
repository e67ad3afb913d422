from __future__ import annotations

import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from pilotlight.runtimes.watchdog import Watchdog


@pytest.fixture(autouse=True)
def alone() -> None:
    """No thread of another test's is left: each ends at its last deadline."""
    end = time.monotonic() + 60
    while watchdogs() and time.monotonic() < end:
        time.sleep(0.01)


def watchdogs() -> int:
    return sum(thread.name == "watchdog" for thread in threading.enumerate())


def test_a_run_that_ends_in_time_is_left_alone() -> None:
    watchdog, terminated = Watchdog(time.monotonic), threading.Event()
    run = watchdog.begin(0.05, terminated.set)
    assert not watchdog.end(run)
    assert not terminated.wait(0.15)


def test_a_late_run_is_terminated_once_and_told_so() -> None:
    watchdog, calls, terminated = Watchdog(time.monotonic), [], threading.Event()

    def terminate() -> None:
        calls.append(1)
        terminated.set()

    run = watchdog.begin(0.05, terminate)
    assert terminated.wait(5)
    time.sleep(0.1)
    assert watchdog.end(run)
    assert calls == [1]


def test_the_nearest_deadline_counts_whenever_it_came() -> None:
    watchdog, near, far = Watchdog(time.monotonic), threading.Event(), threading.Event()
    slow = watchdog.begin(2, far.set)
    quick = watchdog.begin(0.05, near.set)
    assert near.wait(5)
    assert (watchdog.end(quick), watchdog.end(slow), far.is_set()) == (True, False, False)


def test_one_thread_watches_all_runs() -> None:
    watchdog = Watchdog(time.monotonic)
    for _ in range(100):
        watchdog.end(watchdog.begin(1, lambda: None))
    assert watchdogs() == 1


def test_who_ends_a_run_waits_until_it_was_terminated_and_it_never_is_later() -> None:
    """Runs end when their time is over, so that both are always near to one another."""
    watchdog = Watchdog(time.monotonic)

    def run(_: int) -> bool:
        over, late = threading.Event(), []
        watched = watchdog.begin(0.002, lambda: late.append(over.is_set()))
        time.sleep(0.002)
        ended_late = watchdog.end(watched)
        over.set()
        return late == ([False] if ended_late else [])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(1000)))


def test_where_no_thread_can_be_started_no_run_begins_and_later_ones_are_watched_again() -> None:
    watchdog = Watchdog(time.monotonic)
    before = threading.stack_size(1 << 47)  # more than a process can address
    try:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="start new thread"):
                watchdog.begin(0.05, lambda: None)
    finally:
        threading.stack_size(before)
    terminated = threading.Event()
    run = watchdog.begin(0.05, terminated.set)
    assert terminated.wait(10)
    assert watchdog.end(run)


def test_a_watchdog_that_nobody_has_any_more_is_gone_with_its_thread() -> None:
    watchdog = Watchdog(time.monotonic)
    watchdog.end(watchdog.begin(0.05, lambda: None))
    gone = weakref.ref(watchdog)
    del watchdog
    end = time.monotonic() + 5
    while (gone() is not None or watchdogs()) and time.monotonic() < end:
        gc.collect()
        time.sleep(0.01)
    assert gone() is None
    assert not watchdogs()

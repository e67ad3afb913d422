from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from doubles import StepClock
from pilotlight.runtimes.watchdog import Watchdog
from waiting import wait_until

Watchdogs = Callable[[], int]


@pytest.fixture
def watchdogs() -> Watchdogs:
    """How many threads watch that were not there before the test: another's ends at its last deadline."""
    before = set(threading.enumerate())
    return lambda: sum(thread.name == "watchdog" for thread in set(threading.enumerate()) - before)


def wake(watchdog: Watchdog) -> None:
    """Have its thread look up from a deadline that is far away; it ends where nothing runs."""
    watchdog.end(watchdog.begin(0, lambda: None))


def test_a_run_that_ends_in_time_is_left_alone(watchdogs: Watchdogs) -> None:
    clock, terminated = StepClock(), threading.Event()
    watchdog = Watchdog(clock)
    run = watchdog.begin(0.05, terminated.set)
    assert not watchdog.end(run)
    clock.sleep(1)
    wait_until(lambda: not watchdogs(), limit=60)
    assert not terminated.is_set()


def test_a_late_run_is_terminated_once_and_told_so(watchdogs: Watchdogs) -> None:
    watchdog, calls, terminated = Watchdog(time.monotonic), [], threading.Event()

    def terminate() -> None:
        calls.append(1)
        terminated.set()

    run = watchdog.begin(0.05, terminate)
    assert terminated.wait(60)
    wait_until(lambda: not watchdogs(), limit=60)
    assert watchdog.end(run)
    assert calls == [1]


def test_the_nearest_deadline_counts_whenever_it_came() -> None:
    watchdog, near, far = Watchdog(time.monotonic), threading.Event(), threading.Event()
    slow = watchdog.begin(600, far.set)
    quick = watchdog.begin(0.05, near.set)
    assert near.wait(60)
    assert (watchdog.end(quick), watchdog.end(slow), far.is_set()) == (True, False, False)
    wake(watchdog)


def test_one_thread_watches_all_runs(watchdogs: Watchdogs) -> None:
    watchdog = Watchdog(time.monotonic)
    for _ in range(100):
        watchdog.end(watchdog.begin(600, lambda: None))
    assert watchdogs() == 1
    wake(watchdog)


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
    assert terminated.wait(60)
    assert watchdog.end(run)


def test_a_watchdog_that_nobody_has_any_more_is_gone_with_its_thread(watchdogs: Watchdogs) -> None:
    watchdog = Watchdog(time.monotonic)
    watchdog.end(watchdog.begin(0.05, lambda: None))
    gone = weakref.ref(watchdog)
    del watchdog
    end = time.monotonic() + 60
    while (gone() is not None or watchdogs()) and time.monotonic() < end:
        gc.collect()
        time.sleep(0.01)
    assert gone() is None
    assert not watchdogs()

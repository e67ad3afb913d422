"""A rollout that is killed, or cut off, at every one of its calls: the next one ends with one good revision on all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from gcp.deploy.rolling import NEW, OLD, Killed, Process, World, assert_whole, unavailable
from pilotlight_cli.gcp import GcpError, RolledBack
from pilotlight_cli.gcp.state import BEFORE

GOOD: dict[str, Any] = {}
BAD: dict[str, Any] = {"broken": {NEW}}
QUIET: dict[str, Any] = {"rate": 0}


def calls_of(world: dict[str, Any]) -> range:
    """Return the numbers of all calls that a rollout in such a world makes."""
    process = Process(World(**world))
    attempt(process)
    return range(1, process.calls + 1)


def attempt(process: Process) -> None:
    """Do what a deployment does once the new revision exists."""
    with suppress(GcpError, Killed):
        process.rollout().start(OLD, NEW)


def again(process: Process) -> None:
    """`pilotlight rollout gcp`."""
    with suppress(RolledBack):
        process.rollout().run()


def back(process: Process) -> None:
    """`pilotlight rollout gcp --rollback`."""
    process.rollout().roll_back()


def between(world: World, number: int) -> None:
    """Assert what holds at any moment of a kill: traffic goes to these two revisions by name, as a step says."""
    steps: list[dict[str, int]] = [{OLD: 100}, {OLD: 90, NEW: 10}, {OLD: 50, NEW: 50}, {NEW: 100}]
    assert world.service.split in steps, f"killed at call {number}"
    assert world.service.pinned, f"killed at call {number}"


@pytest.mark.parametrize("kind", [GOOD, BAD, QUIET], ids=["good", "bad", "quiet"])
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("restart", [again, back])
def test_a_rollout_killed_at_any_call_ends_whole(
    kind: dict[str, Any], late: bool, restart: Callable[[Process], None]
) -> None:
    for number in calls_of(kind):
        world = World(**kind)
        attempt(Process(world, at=number, late=late))
        between(world, number)
        under_way = bool(world.service.annotations.keys() - {BEFORE})
        if not under_way:  # it never began, or was over
            assert list(world.service.split.values()) == [100], f"killed at call {number}"
        good = world.service.split if not under_way else {OLD: 100} if restart is back or kind is BAD else {NEW: 100}
        restart(Process(world))
        assert_whole(world, *good)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_restart_that_is_killed_at_any_call_ends_whole_the_third_time(late: bool) -> None:
    for number in calls_of(GOOD):
        world = World()
        attempt(Process(world, at=14))
        with suppress(Killed):
            Process(world, at=number, late=late).rollout().run()
        between(world, number)
        again(Process(world))
        assert_whole(world, NEW)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_one_lost_answer_at_any_call_leaves_nothing_to_do(late: bool) -> None:
    for number in calls_of(GOOD):
        world = World()
        attempt(Process(world, at=number, late=late, trouble=unavailable, forever=False))
        assert not world.service.annotations.keys() - {BEFORE}, f"lost at call {number}"
        assert world.service.split in [{OLD: 100}, {NEW: 100}], f"lost at call {number}"


def test_a_connection_lost_for_good_leaves_what_the_next_one_ends() -> None:
    for number in calls_of(GOOD):
        world = World()
        attempt(Process(world, at=number, trouble=unavailable))
        between(world, number)
        if world.service.annotations.keys() - {BEFORE}:
            again(Process(world))
            assert_whole(world, NEW)


def test_answers_lost_after_each_write_are_no_reason_to_go_back() -> None:
    writes = 0
    world = World()

    class Losing(Process):
        def patch(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
            nonlocal writes
            super().patch(path, document)
            writes += 1
            raise unavailable()

    Losing(world).rollout().start(OLD, NEW)
    assert writes == 5
    assert_whole(world, NEW)

"""The rollout: its steps, what ends them, and who may interfere."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.cloud_run import RunService, Target
from gcp.deploy.rolling import LOCK, NEW, NOON, OLD, PLAN, Process, World, assert_whole, started, unavailable
from pilotlight_cli.gcp import GcpError, RolledBack, UnexpectedState
from pilotlight_cli.gcp.plan import Plan
from pilotlight_cli.gcp.rollout import Outcome
from pilotlight_cli.gcp.settings import TAG
from pilotlight_cli.gcp.state import ANNOTATION, BEFORE


def percentages(world: World) -> list[int]:
    """Return what the new revision had, one after the other."""
    found = [split.get(NEW, 0) for split in world.service.history]
    return [percent for index, percent in enumerate(found) if index == 0 or percent != found[index - 1]]


def test_the_traffic_moves_in_the_steps_of_the_plan() -> None:
    world = started()
    assert Process(world).rollout().run() == Outcome("done", NEW)
    assert_whole(world, NEW)
    assert percentages(world) == [0, 10, 50, 100]


def test_the_note_on_the_service_says_where_the_rollout_is() -> None:
    world = started()
    note = json.loads(world.service.annotations[ANNOTATION])
    assert note == {
        "format": 1,
        "old": OLD,
        "new": NEW,
        "percent": 0,
        "started": "2026-07-31T12:00:00+00:00",
        "lock": LOCK,
    }
    assert world.service.split == {OLD: 100}


def test_other_annotations_and_tags_stay() -> None:
    world = World()
    world.service.annotations["team"] = "fraud"
    world.service.send(Target(OLD, 100), Target(OLD, tag="audit"), Target(NEW, tag=TAG))
    Process(world).rollout().start(OLD, NEW)
    assert world.service.annotations == {"team": "fraud", BEFORE: f"{NEW}/{OLD}"}
    assert world.service.tags == {"audit": OLD}


@pytest.mark.parametrize("kind", ["broken", "slow", "wrong", "refusing"])
def test_a_revision_that_is_not_good_loses_its_traffic(kind: str) -> None:
    world = started(**{kind: {NEW}})
    with pytest.raises(RolledBack, match=f"{OLD} has all traffic again"):
        Process(world).rollout().run()
    assert_whole(world, OLD)


@pytest.mark.parametrize("kind", ["slow", "refusing"])
def test_a_revision_that_is_worse_than_the_one_beside_it_goes_back_at_the_first_step(kind: str) -> None:
    world = started(**{kind: {NEW}})
    with pytest.raises(RolledBack, match="with 10 % of the traffic it "):
        Process(world).rollout(replace(PLAN, latency_budget_ms=60_000)).run()
    assert percentages(world) == [0, 10, 0]


def test_golden_samples_that_fail_leave_the_new_revision_without_any_traffic() -> None:
    world = started(wrong={NEW})
    with pytest.raises(RolledBack, match="the golden samples fail: sample 1: nonsense"):
        Process(world).rollout().run()
    assert percentages(world) == [0]


def test_what_both_revisions_refuse_alike_stops_no_rollout() -> None:
    world = started(refusing={OLD, NEW})
    assert Process(world).rollout().run() == Outcome("done", NEW)


def test_failures_end_a_step_before_its_time() -> None:
    world = started(broken={NEW}, rate=1000)
    with pytest.raises(RolledBack, match=r"requests failed, expected at most 10.0%"):
        Process(world).rollout().run()
    assert world.now < NOON + timedelta(seconds=PLAN.seconds)


def test_without_callers_the_golden_samples_make_the_data() -> None:
    world = started(rate=0)
    assert Process(world).rollout().run() == Outcome("done", NEW)
    assert len(world.probes) == 3 * (1 + len(PLAN.steps))
    assert world.now > NOON + timedelta(seconds=len(PLAN.steps) * PLAN.seconds)


@pytest.mark.parametrize("kind", ["broken", "slow"])
def test_without_callers_a_bad_revision_is_found_all_the_same(kind: str) -> None:
    world = started(rate=0, **{kind: {NEW}})
    with pytest.raises(RolledBack):
        Process(world).rollout().run()
    assert_whole(world, OLD)


@pytest.mark.parametrize("rate", [0, 1000])
def test_a_log_that_shows_nothing_is_never_good(rate: float) -> None:
    world = started(lag=None, rate=rate)
    with pytest.raises(RolledBack, match="without data a step does not succeed"):
        Process(world).rollout().run()
    assert_whole(world, OLD)


def test_a_log_that_is_late_is_waited_for() -> None:
    world = started(lag=100)
    assert Process(world).rollout().run() == Outcome("done", NEW)


def test_a_signal_at_any_moment_gives_the_old_revision_all_traffic_or_comes_too_late() -> None:
    calm = Process(started())
    calm.rollout().run()
    for number in range(1, calm.calls + 1):
        world = started()
        process = Process(world, at=number, trouble=KeyboardInterrupt, forever=False)
        try:
            process.rollout().run()
        except RolledBack as error:
            assert "interrupted" in str(error)
            assert_whole(world, OLD)
        except KeyboardInterrupt:  # before the rollout was looked at: as if the command had never run
            assert number == 1
        else:
            assert_whole(world, NEW)


def test_a_second_signal_while_going_back_does_not_keep_from_it() -> None:
    world = started(broken={NEW})
    calm = Process(started(broken={NEW}))
    with pytest.raises(RolledBack):
        calm.rollout().run()
    for number in range(calm.calls - 4, calm.calls + 1):
        world = started(broken={NEW})
        with pytest.raises(RolledBack):
            Process(world, at=number, trouble=KeyboardInterrupt, forever=False).rollout().run()
        assert_whole(world, OLD)


def test_a_bug_of_ours_gives_the_old_revision_all_traffic_too() -> None:
    world = started()
    with pytest.raises(ZeroDivisionError):
        Process(world, at=12, trouble=ZeroDivisionError, forever=False).rollout().run()
    assert_whole(world, OLD)


def test_a_revision_deployed_by_hand_is_noticed() -> None:
    world = started()

    def by_hand() -> None:
        world.service.deploy()

    world.meanwhile = by_hand
    with pytest.raises(
        RolledBack, match=r"predict-00003-abc was deployed during the rollout; deploy again; .*00001.*again"
    ):
        Process(world).rollout().run()
    assert_whole(world, OLD)


@pytest.mark.parametrize(
    "targets",
    [
        (Target(OLD, 70), Target(NEW, 30)),
        (Target(OLD, 90), Target(percent=10)),
        (Target(OLD, 100),),
        (Target(percent=100),),
    ],
    ids=["another split", "to the latest", "all back", "all to the latest"],
)
def test_traffic_that_somebody_changes_by_hand_is_left_alone(targets: tuple[Target, ...]) -> None:
    world = started()
    world.meanwhile = lambda: world.service.send(*targets)
    with pytest.raises(
        UnexpectedState,
        match=r"the traffic of predict was changed outside of the rollout of .*: found .*, expected .*00001.* 90 %",
    ):
        Process(world).rollout().run()
    assert world.service.traffic == list(targets)


@pytest.mark.parametrize("back", [False, True])
def test_a_rollout_that_somebody_ended_by_hand_is_over(back: bool) -> None:
    world = started()
    world.meanwhile = lambda: world.service.send(Target(percent=100))
    with pytest.raises(UnexpectedState):
        Process(world).rollout().run()
    next_one = Process(world).rollout()
    assert (next_one.roll_back() if back else next_one.run()) == Outcome("idle", NEW)
    assert world.service.annotations == {}
    assert world.service.traffic == [Target(percent=100)]


def test_where_nothing_is_under_way_nothing_is_done() -> None:
    world = World()
    world.service.send(Target(OLD, 100))
    version = world.service.version
    assert Process(world).rollout().run() == Outcome("idle", OLD)
    assert Process(world).rollout().roll_back() == Outcome("idle", OLD)
    assert world.service.version == version


@pytest.mark.parametrize("back", [False, True])
def test_a_tag_that_a_killed_deployment_left_goes_with_the_next_one(back: bool) -> None:
    world = World()
    world.service.send(Target(OLD, 100), Target(OLD, tag="audit"), Target(NEW, tag=TAG))
    rollout = Process(world).rollout()
    assert (rollout.roll_back() if back else rollout.run()) == Outcome("idle", OLD)
    assert world.service.traffic == [Target(OLD, 100), Target(OLD, tag="audit")]


def test_a_deployment_that_fails_takes_back_its_own_revision_and_not_anothers() -> None:
    world = started()
    version = world.service.version
    assert Process(world).rollout().roll_back("predict-00009-abc") == Outcome("idle", OLD)
    assert world.service.version == version
    assert Process(world).rollout().roll_back(NEW) == Outcome("back", OLD)
    assert_whole(world, OLD)


def test_a_rollout_begins_only_where_the_old_revision_has_all_traffic_by_name() -> None:
    world = World()
    world.service.send(Target(OLD, 50), Target(NEW, 50))
    with pytest.raises(UnexpectedState, match="changed outside of the rollout"):
        Process(world).rollout().start(OLD, NEW)
    world.service = RunService("predict")
    world.service.deploy()
    with pytest.raises(UnexpectedState, match="changed outside of the rollout"):
        Process(world).rollout().start(OLD, NEW)


def test_a_second_rollout_does_not_begin() -> None:
    world = started()
    with pytest.raises(UnexpectedState, match=r"a rollout of predict-00002-abc is in progress, at 0 %; .* --rollback"):
        Process(world).rollout().start(OLD, NEW)


def test_two_processes_do_not_both_move_a_rollout_on() -> None:
    world = started()

    def other() -> None:
        assert Process(world).rollout().run() == Outcome("done", NEW)

    world.meanwhile = other
    with pytest.raises(UnexpectedState, match="was ended by somebody else"):
        Process(world).rollout().run()
    assert_whole(world, NEW)


def test_a_change_of_something_else_comes_between_and_does_no_harm() -> None:
    world = started()

    def label() -> None:
        world.service.version += 1

    class Busy(Process):
        def _call(self, effect: object) -> object:  # type: ignore[override]
            found = super()._call(effect)  # type: ignore[arg-type, var-annotated]
            if self.calls % 7 == 0:
                label()
            return found

    assert Busy(world).rollout().run() == Outcome("done", NEW)
    assert_whole(world, NEW)


def test_a_rollout_goes_on_only_with_the_lock_that_was_deployed() -> None:
    world = started()
    with pytest.raises(
        UnexpectedState, match="was deployed with another model.lock; check out that commit, or roll back"
    ):
        Process(world).rollout(lock="another").run()
    assert Process(world).rollout(lock="another").roll_back() == Outcome("back", OLD)
    assert_whole(world, OLD)


def test_a_plan_that_was_changed_meanwhile_is_gone_on_with_from_where_the_traffic_is() -> None:
    world = started()
    with pytest.raises(BaseException):  # noqa: B017, PT011 - killed in the first step
        Process(world, at=20).rollout().run()
    assert world.service.split == {OLD: 90, NEW: 10}
    other = Plan(steps=(5, 75, 100), seconds=60, requests=20, error_budget=0.1, latency_budget_ms=1000)
    assert Process(world).rollout(other).run() == Outcome("done", NEW)
    assert percentages(world) == [0, 10, 75, 100]


def test_a_note_that_nobody_can_read_is_not_guessed_at() -> None:
    world = World()
    world.service.annotations[ANNOTATION] = '{"format": 2}'
    for act in (Process(world).rollout().run, Process(world).rollout().roll_back):
        with pytest.raises(UnexpectedState, match=r"the annotation pilotlight.dev/rollout .* is malformed .*format 2"):
            act()


def test_when_going_back_fails_too_the_message_says_what_to_do() -> None:
    world = started()
    process = Process(world, at=16, trouble=unavailable)
    with pytest.raises(GcpError, match=r"the rollback failed too, so the traffic is unchanged: .*--rollback"):
        process.rollout().run()
    assert world.service.split == {OLD: 90, NEW: 10}
    assert Process(world).rollout().roll_back() == Outcome("back", OLD)
    assert_whole(world, OLD)


def test_whoever_watches_is_told_of_each_step() -> None:
    process = Process(started())
    process.rollout().run()
    assert [step.state.percent for step in process.steps if "requests," in step.reason or "agree" in step.reason] == [
        0,
        10,
        50,
        100,
    ]


def test_the_revision_before_comes_back_once_during_a_rollout_and_after_it() -> None:
    for runs in (True, False):
        world = started()
        rollout = Process(world).rollout()
        if runs:
            rollout.run()
        with pytest.raises(UnexpectedState, match="nothing was changed"):
            rollout.put_back(lambda _: False)
        assert rollout.put_back(lambda _: True) == Outcome("back", OLD)
        assert_whole(world, OLD)
        with pytest.raises(UnexpectedState, match="no rollout of predict recorded a revision before"):
            rollout.put_back(lambda _: True)

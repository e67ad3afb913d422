"""Shift traffic from the old revision to the new one in steps, and roll back if a step fails.

    start ─► 0 %: golden samples at the tag's URL ──────┐
             n %: requests in the log, see plan.decide ─┴─ success ─► next step; after 100 % remove the record ─► done
                                                        └─ failure, error, interrupt ─► old 100 %, no record ─► back

Each arrow is one write of the traffic split together with the rollout's record, an annotation of the service. A write
is made only while the service matches the record. A killed process leaves a split with its record, from which the next
`run` or `roll_back` continues.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pilotlight.errors import PilotlightError
from pilotlight_cli.gcp import Conflict, GcpError, RevisionFailed, RolledBack, UnexpectedState
from pilotlight_cli.gcp.plan import Observation, Plan, Probe, Verdict, decide
from pilotlight_cli.gcp.services import Service, Share
from pilotlight_cli.gcp.state import (
    State,
    all_traffic,
    annotations_after,
    annotations_with,
    check_traffic,
    full_traffic_revision,
    is_tagged,
    revision_before,
    rollout_on,
    traffic_of,
    untagged,
)

_POLL_SECONDS = 10.0  # the Logging API allows 60 reads a minute
_WRITE_ATTEMPTS = 5  # of a write that conflicts with other changes of the service

_Change = Callable[[Service], tuple[dict[str, str], tuple[Share, ...]]]


class Platform(Protocol):
    """Google Cloud as a rollout uses it. Every method raises GcpError."""

    def read(self) -> Service:
        """Return the current service."""
        ...

    def write(self, service: Service, annotations: dict[str, str], traffic: tuple[Share, ...]) -> None:
        """Replace both in one write. Raises Conflict if the service changed since `service` was read."""
        ...

    def observe(self, revision: str, old: str, since: datetime, probe_id: str) -> Observation:
        """Return a revision's requests in the log; of Pilotlight's own only those of this probe.

        `old` is the revision to compare its errors with, or "".
        """
        ...

    def probe(self, service: Service, probe_id: str) -> tuple[int, Sequence[str]]:
        """Send the golden samples to the tag's URL; return how many got a response, and the problems found."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """The progress of a rollout."""

    state: State
    observed: Observation
    elapsed: float
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result (`done`, `back`, or `idle` without a rollout) and the revision with all traffic, or ""."""

    kind: str
    revision: str


@dataclass(frozen=True, slots=True)
class Rollout:
    """The rollout on one service. `lock` is the digest of this working copy's model.lock, as in State."""

    platform: Platform
    plan: Plan
    lock: str
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    on_step: Callable[[Step], None]

    def start(self, old: str, new: str) -> Outcome:
        """Shift all traffic from `old`, which has all of it, to `new`. Raises as `run` does."""
        state = State(old, new, 0, self._now(), self.lock)
        return self._or_roll_back(new, lambda: self._advance(self._record(state)))

    def run(self) -> Outcome:
        """Resume the current rollout. Raises RolledBack, or UnexpectedState after changing nothing."""
        service, state = self._read_rollout()
        if state is None:
            return Outcome("idle", full_traffic_revision(service))
        if state.lock != self.lock:
            raise UnexpectedState(
                f"{state.new} was deployed with another model.lock; check out that commit, or roll back"
            )
        return self._or_roll_back(state.new, lambda: self._advance(state))

    def roll_back(self, new: str = "") -> Outcome:
        """Route all traffic to the old revision, if a rollout (of `new`, unless empty) is running.

        Raises UnexpectedState.
        """
        service, state = self._read_rollout()
        if state is None or new not in ("", state.new):
            return Outcome("idle", full_traffic_revision(service))
        self._finish(state, state.old)
        return Outcome("back", state.old)

    def put_back(self, confirm: Callable[[str], bool]) -> Outcome:
        """Route all traffic to the revision before: that of the rollout in progress, or of the last one.

        Raises UnexpectedState after changing nothing, Conflict.
        """
        service, state = self._read_rollout()
        before = state.old if state else revision_before(service)
        if not before:
            raise UnexpectedState(f"no rollout of {service.name} recorded a revision before the one with all traffic")
        if not confirm(f"Give {before} all traffic of {service.name} again?"):
            raise UnexpectedState("nothing was changed")
        if state:
            return self.roll_back(state.new)
        self.platform.write(service, annotations_with(service, None), all_traffic(service, before))
        return Outcome("back", before)

    def _advance(self, state: State) -> Outcome:
        while True:
            self._complete_step(state)
            percent = self.plan.next_step(state.percent)
            if percent is None:
                self._finish(state, state.new)
                return Outcome("done", state.new)
            state = self._move_to(state, percent)

    def _complete_step(self, state: State) -> None:
        """Return when the step has succeeded. Raises RevisionFailed."""
        probe_id = f"{state.percent}-{self.clock():%H%M%S%f}"
        probe: Probe | None = None
        while True:
            service = self._read_expected(state, state)
            if service.created != state.new:
                raise RevisionFailed(f"{service.created} was deployed during the rollout; deploy again")
            old = state.old if state.percent < 100 else ""
            observed = Observation()
            if state.percent:
                observed = self.platform.observe(state.new, old, state.started, probe_id)
            elapsed = (self.clock() - state.started).total_seconds()
            verdict, reason = decide(self.plan, state.percent, observed, elapsed, probe)
            self.on_step(Step(state, observed, elapsed, reason))
            match verdict:
                case Verdict.ADVANCE:
                    return
                case Verdict.ROLL_BACK:
                    raise RevisionFailed(reason)
                case Verdict.PROBE:
                    probe = Probe(*self.platform.probe(service, probe_id), elapsed)
                case Verdict.WAIT:
                    self.sleep(_POLL_SECONDS)

    def _or_roll_back(self, new: str, work: Callable[[], Outcome]) -> Outcome:
        """Do the work; roll back however it fails, unless with UnexpectedState."""
        try:
            return work()
        except UnexpectedState:
            raise
        except BaseException as cause:  # whatever it is: callers come first
            revision = self._roll_back_after(new, str(cause) or "interrupted", cause)
            if revision == new:  # the rollout was done; only the last response was lost
                return Outcome("done", new)
            if isinstance(cause, (PilotlightError, KeyboardInterrupt)):
                reason = f"{str(cause) or 'interrupted'}; {revision or 'no single revision'} has all traffic again"
                raise RolledBack(reason) from cause
            raise

    def _roll_back_after(self, new: str, reason: str, cause: BaseException) -> str:
        try:
            try:
                return self.roll_back(new).revision
            except KeyboardInterrupt:  # only the first signal interrupts, and this was it
                return self.roll_back(new).revision
        except PilotlightError as error:
            raise GcpError(
                f"{reason}; the rollback failed too, so the traffic is unchanged: {error}. Fix that, then run "
                "'pilotlight rollout gcp' with --rollback"
            ) from cause

    def _read_rollout(self) -> tuple[Service, State | None]:
        """Return the service and the current rollout, after removing the remains of an abandoned one.

        Those are a record that somebody overruled by routing all traffic to one revision, and a tag without a record,
        which a deployment leaves that was killed in between.
        """
        service = self.platform.read()
        state = rollout_on(service)
        overruled = state and full_traffic_revision(service) and service.split != state.split
        if overruled or (state is None and is_tagged(service)):
            self.platform.write(service, annotations_with(service, None), untagged(service))
            return service, None
        return service, state

    def _record(self, state: State) -> State:
        self._write(None, state, lambda service: (annotations_with(service, state), traffic_of(service, state)))
        return state

    def _move_to(self, state: State, percent: int) -> State:
        after = state.moved_to(percent, self._now())
        self._write(state, state, lambda service: (annotations_with(service, after), traffic_of(service, after)))
        return after

    def _finish(self, state: State, revision: str) -> None:
        self._write(
            state, state, lambda service: (annotations_after(service, state, revision), all_traffic(service, revision))
        )

    def _write(self, recorded: State | None, split: State, change: _Change) -> None:
        """Write the change, provided that the service is as expected. Raises UnexpectedState, Conflict."""
        for _ in range(_WRITE_ATTEMPTS):
            service = self._read_expected(recorded, split)
            try:
                self.platform.write(service, *change(service))
            except Conflict:
                continue
            return
        raise Conflict(f"{_WRITE_ATTEMPTS} writes conflicted with other changes of the service; try again")

    def _read_expected(self, recorded: State | None, split: State) -> Service:
        service = self.platform.read()
        found = rollout_on(service)
        if found != recorded:
            raise UnexpectedState(
                f"a rollout of {found.new} is in progress, at {found.percent} %; resume it with 'pilotlight rollout "
                "gcp', or add --rollback"
                if found
                else f"the rollout of {split.new} was ended by somebody else"
            )
        check_traffic(service, split)
        return service

    def _now(self) -> datetime:
        return self.clock().replace(microsecond=0)

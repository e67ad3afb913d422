"""Traffic from the old revision to the new one in steps, and back where a step is not good.

    start ─► 0 %: golden samples at the tag's URL ──────┐
             n %: requests in the log, see plan.decide ─┴─ good ─► the next step; after 100 % the note goes ─► done
                                                        └─ not good, failed, interrupted ─► old 100 %, no note ─► back

Each arrow is one write of the split and of the note on the service together, made only while the service is as the note
says. A process that is killed leaves a split with its note, and the next `run` or `back` goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pilotlight.errors import PilotlightError
from pilotlight_cli.gcp import Conflict, Foreign, GcpError, NotGood, RolledBack
from pilotlight_cli.gcp.plan import Plan, Probe, Seen, Verdict, decide
from pilotlight_cli.gcp.services import Service, Share
from pilotlight_cli.gcp.state import (
    State,
    all_traffic,
    annotations_with,
    check_ours,
    full_traffic_revision,
    is_tagged,
    rollout_on,
    traffic_of,
    untagged,
)

_GLANCE = 10.0  # seconds between two looks; the Logging API may be asked 60 times a minute
_TRIES = 5  # of a write that another change of the service came before

_Change = Callable[[Service], tuple[dict[str, str], tuple[Share, ...]]]


class Platform(Protocol):
    """What a rollout needs of Google Cloud. Every method raises GcpError."""

    def read(self) -> Service:
        """The service as it is now."""
        ...

    def write(self, seen: Service, annotations: dict[str, str], traffic: tuple[Share, ...]) -> None:
        """Change both in one step. Raises Conflict where the service is no longer as it was `seen`."""
        ...

    def seen(self, revision: str, since: datetime, mark: str) -> Seen:
        """What the request log says of a revision; of our own requests only those with this mark count."""
        ...

    def probe(self, service: Service, mark: str) -> tuple[int, Sequence[str]]:
        """Send the golden samples to the tag's URL: how many were answered, and sentences for what was wrong."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """Where a rollout is, for whoever watches it."""

    state: State
    seen: Seen
    elapsed: float
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended (`done`, `back`; `idle`: nothing is under way) and which revision has all traffic, if one has."""

    kind: str
    revision: str


@dataclass(frozen=True, slots=True)
class Rollout:
    """The rollout on one service. `lock` is the digest of this checkout's model.lock, as in State."""

    platform: Platform
    plan: Plan
    lock: str
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    tell: Callable[[Step], None]

    def start(self, old: str, new: str) -> Outcome:
        """Let `new` take over from `old`, which has all traffic. Raises as `run` does."""
        state = State(old, new, 0, self._now(), self.lock)
        return self._guarded(new, lambda: self._advance(self._note(state)))

    def run(self) -> Outcome:
        """Take the rollout that is under way to its end. Raises RolledBack; Foreign, which leaves all as it is."""
        service, state = self._under_way()
        if state is None:
            return Outcome("idle", full_traffic_revision(service))
        if state.lock != self.lock:
            raise Foreign(f"{state.new} was deployed with another model.lock; check out that commit, or roll back")
        return self._guarded(state.new, lambda: self._advance(state))

    def back(self, new: str = "") -> Outcome:
        """Give the old revision of the rollout under way, or only of that of `new`, all traffic. Raises Foreign."""
        service, state = self._under_way()
        if state is None or new not in ("", state.new):
            return Outcome("idle", full_traffic_revision(service))
        self._end(state, state.old)
        return Outcome("back", state.old)

    def _advance(self, state: State) -> Outcome:
        while True:
            self._prove(state)
            percent = self.plan.after(state.percent)
            if percent is None:
                self._end(state, state.new)
                return Outcome("done", state.new)
            state = self._shift(state, percent)

    def _prove(self, state: State) -> None:
        """Return once the step is good. Raises NotGood."""
        mark = f"{state.percent}-{self.clock():%H%M%S%f}"
        probe: Probe | None = None
        while True:
            service = self._expect(state, state)
            if service.created != state.new:
                raise NotGood(f"{service.created} was deployed by hand meanwhile; deploy again")
            seen = self.platform.seen(state.new, state.started, mark) if state.percent else Seen()
            elapsed = (self.clock() - state.started).total_seconds()
            verdict, why = decide(self.plan, state.percent, seen, elapsed, probe)
            self.tell(Step(state, seen, elapsed, why))
            match verdict:
                case Verdict.ON:
                    return
                case Verdict.BACK:
                    raise NotGood(why)
                case Verdict.PROBE:
                    probe = Probe(*self.platform.probe(service, mark), elapsed)
                case Verdict.WAIT:
                    self.sleep(_GLANCE)

    def _guarded(self, new: str, work: Callable[[], Outcome]) -> Outcome:
        """Go back to the old revision however the work fails, unless the traffic is somebody else's."""
        try:
            return work()
        except Foreign:
            raise
        except BaseException as cause:  # whatever it is: the callers come first
            revision = self._give_up(new, str(cause) or "interrupted", cause)
            if revision == new:  # it was done, and only the last answer was lost
                return Outcome("done", new)
            if isinstance(cause, (PilotlightError, KeyboardInterrupt)):
                why = f"{str(cause) or 'interrupted'}; {revision or 'no revision alone'} has all traffic again"
                raise RolledBack(why) from cause
            raise

    def _give_up(self, new: str, why: str, cause: BaseException) -> str:
        try:
            try:
                return self.back(new).revision
            except KeyboardInterrupt:  # of the signals only the first interrupts, and that was this one
                return self.back(new).revision
        except PilotlightError as error:
            raise GcpError(
                f"{why}; and going back failed too, so the traffic stays as it is: {error}. Once that is mended, run "
                "'pilotlight rollout gcp' with --rollback"
            ) from cause

    def _under_way(self) -> tuple[Service, State | None]:
        """The rollout under way, if any. What is left of none goes: a note that somebody overruled, a tag without one.

        The first by giving one revision all traffic; the second is left where a deployment was killed before its note.
        """
        service = self.platform.read()
        state = rollout_on(service)
        overruled = state and full_traffic_revision(service) and service.split != state.split
        if overruled or (state is None and is_tagged(service)):
            self.platform.write(service, annotations_with(service, None), untagged(service))
            return service, None
        return service, state

    def _note(self, state: State) -> State:
        self._write(None, state, lambda service: (annotations_with(service, state), traffic_of(service, state)))
        return state

    def _shift(self, state: State, percent: int) -> State:
        after = state.at(percent, self._now())
        self._write(state, state, lambda service: (annotations_with(service, after), traffic_of(service, after)))
        return after

    def _end(self, state: State, revision: str) -> None:
        self._write(state, state, lambda service: (annotations_with(service, None), all_traffic(service, revision)))

    def _write(self, note: State | None, split: State, change: _Change) -> None:
        """Write the change while the service is as expected. Raises Foreign where it is not, Conflict."""
        for _ in range(_TRIES):
            service = self._expect(note, split)
            try:
                self.platform.write(service, *change(service))
            except Conflict:
                continue
            return
        raise Conflict(f"the service is changed by somebody else again and again; {_TRIES} writes came too late")

    def _expect(self, note: State | None, split: State) -> Service:
        service = self.platform.read()
        found = rollout_on(service)
        if found != note:
            raise Foreign(
                f"the rollout of {found.new} is under way, at {found.percent} %; 'pilotlight rollout gcp' finishes it, "
                "and with --rollback goes back"
                if found
                else f"somebody else ended the rollout of {split.new}"
            )
        check_ours(service, split)
        return service

    def _now(self) -> datetime:
        return self.clock().replace(microsecond=0)

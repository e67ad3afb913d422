"""One cold start: fetch, verify, load; and the states in which that can be.

starting ─► ready
         ├► failed    for good: wrong bytes, a wrong library, a store that refuses all through the init phase
         └► waiting   for now: the store did not deliver in time; the next request tries again
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar

from pilotlight import runtimes
from pilotlight.errors import NotReady, ObjectRefused, StoreUnavailable
from pilotlight.fetch.model_files import ModelFiles
from pilotlight.fetch.protocol import ObjectStore
from pilotlight.frozen import EMPTY, dataclass
from pilotlight.model.lock import Description
from pilotlight.runtimes import Model
from pilotlight.start.machine import Machine, check_memory
from pilotlight.telemetry import ColdStart, Report

Result = TypeVar("Result")
State = Literal["starting", "ready", "failed", "waiting"]

# Between two tries of a store that does not deliver: seconds, the last one again and again.
_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)

# What a try may take at least, in seconds. None begins that could still be under way at the deadline: a store that
# refuses all through the start has to be found out within it.
_TRY = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a cold start works on. `clock` is a monotonic clock and `sleep` waits on it, both in seconds.

    `forks`: after the start this process is forked, and its children serve. `golden` is the file with the sample that
    is predicted at the end of the start, or None where nothing is.
    """

    model: Description
    store: ObjectStore
    folder: Path
    threads: int
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    forks: bool = False
    machine: Machine = Machine()
    golden: Path | None = None


class _Counts:
    """What one attempt did so far."""

    def __init__(self) -> None:
        self.tries = 0
        self.fetched_bytes = 0

    def add(self, size: int) -> None:
        self.fetched_bytes += size


class Loader:
    """Gets the model ready, once, whoever asks and however often. Safe for threads."""

    def __init__(self, plan: Plan, report: Report, phases_ms: Mapping[str, float], started: float) -> None:
        """`phases_ms` are the phases before this one, `started` is when the first of them began."""
        self._plan = plan
        self._files = ModelFiles(plan.store, plan.model, plan.folder)
        self._report = report
        self._phases = dict(phases_ms)
        self._started: float | None = started
        self._error: Exception | None = None
        self._model: Model | None = None
        self._state: State = "waiting"
        self._deadline = 0.0
        self._in_init = False
        self._has_given_up = False  # the attempt under way; it has still to say so
        self._is_finishing = threading.Event()
        self._is_finishing.set()
        self._changed = threading.Condition()

    @property
    def state(self) -> State:
        """Where the cold start stands."""
        return self._state

    def start(self, seconds: float) -> None:
        """Load within the deadline of this platform's init phase: `begin`, and `finish`."""
        self.begin(seconds)
        self.finish()

    def begin(self, seconds: float) -> None:
        """Set the fetch going, in a thread of its own, and get the runtime ready meanwhile.

        Until `finish` there is time for other parts of the start.
        """
        self._in_init = True
        self._is_finishing.clear()
        self._begin(self._plan.clock() + seconds)
        self.timed("runtime", lambda: runtimes.preload(self._plan.model))

    def finish(self) -> None:
        """Wait for the model until the deadline of the init phase.

        Raises what made the start fail for good, so that no traffic reaches this version. Past the deadline it returns,
        and requests go on from there.

        Where a fork follows it returns only when the attempt has ended: a child would inherit the locks that its thread
        holds, and not the thread. The store keeps to the deadline, and what the load takes it would take in the child.
        """
        self._is_finishing.set()
        self._wait(None if self._plan.forks else self._deadline)
        with self._changed:
            # What gave up within this phase is a part of it, and has no more to do than to say so.
            self._changed.wait_for(lambda: not self._has_given_up, _TRY)
            self._in_init = False
        if self._state == "failed" and self._error is not None:
            raise self._error
        if self._plan.forks and self._plan.threads > 1:
            self._model = None  # it has shown that it loads; a session's own threads would not survive the fork

    def timed(self, phase: str, work: Callable[[], Result]) -> Result:
        """Do a part of the start, which its record tells of; parts of one phase add up."""
        began = self._plan.clock()
        try:
            return work()
        finally:
            self._phases[phase] = self._phases.get(phase, 0.0) + (self._plan.clock() - began) * 1000

    def model(self, deadline: float, trace: Mapping[str, object] = EMPTY) -> Model:
        """The loaded model, waited for until `deadline`. Raises NotReady when there is none by then.

        `trace` goes into the record of an attempt that begins here.
        """
        if self._model is None:
            self.retry(deadline, trace)
        if self._model is None:
            raise self.not_ready()
        return self._model

    def retry(self, deadline: float, trace: Mapping[str, object] = EMPTY) -> None:
        """Wait for the state to settle until `deadline`; where an attempt gave up for now, begin another."""
        while not self._begin(deadline, trace):
            if not self._wait(deadline):
                return
        self._wait(deadline)

    def not_ready(self) -> NotReady:
        """The reply for whoever asks while there is no model."""
        if self._state == "failed":
            return NotReady("this version of the function cannot serve its model; its log says why", retry_after=60)
        return NotReady("the model is not loaded yet; try again")

    def after_fork(self) -> None:
        """Make a forked child whole: threads do not survive a fork, neither ours nor those of a session.

        Raises what makes the load fail, after a line in the log.
        """
        self._changed = threading.Condition()
        self._has_given_up = False
        if self._state == "starting":
            self._state = "waiting"
        elif self._state == "ready" and self._model is None:
            self._load_again()

    def _begin(self, deadline: float, trace: Mapping[str, object] = EMPTY) -> bool:
        """Begin an attempt if none is under way; whoever waits longest says how long it goes on.

        False where the one under way has given up before it could know of this deadline.
        """
        with self._changed:
            self._deadline = max(self._deadline, deadline)
            if self._state != "waiting":
                return not self._has_given_up
            began = self._plan.clock() if self._started is None else self._started
            attempt = threading.Thread(target=self._attempt, args=(began, trace), name="cold-start", daemon=True)
            self._state = "starting"
            try:
                attempt.start()
            except RuntimeError:
                self._state = "waiting"
                raise
            return True

    def _wait(self, deadline: float | None) -> bool:
        """Whether the state has settled by the deadline."""
        left = None if deadline is None else max(deadline - self._plan.clock(), 0)
        with self._changed:
            return self._changed.wait_for(lambda: self._state != "starting", left)

    def _attempt(self, began: float, trace: Mapping[str, object]) -> None:
        """Fetch and load, trying again until the deadline, and settle the state."""
        counts = _Counts()
        state: State = "waiting"
        try:
            check_memory(self._plan.model, self._plan.machine, self._plan.folder)
            self.timed("fetch", lambda: self._fetch(counts))
            model = self.timed("load", self._load)
            self._prime(model)
            self._model = model
            state, self._error = "ready", None
        except StoreUnavailable as error:
            self._error = error
        except ObjectRefused as error:
            # Whoever refuses all through the init phase means it. Later it may be a passing fault of theirs.
            state, self._error = "failed" if self._in_init else "waiting", error
        except Exception as error:  # noqa: BLE001 - a thread has no caller; `start` raises it where there is one
            state, self._error = "failed", error
        self._is_finishing.wait()  # the start is not over, and its time not known, before its other parts are
        self._phases["total"] = (self._plan.clock() - began) * 1000
        with suppress(Exception):  # a log that cannot be written must not leave the state unsettled
            self._report(self._record(state, counts, trace))
        with self._changed:
            self._state, self._started, self._phases, self._has_given_up = state, None, {}, False
            self._changed.notify_all()

    def _fetch(self, counts: _Counts) -> None:
        """Fetch until it works or the deadline has passed: a fresh role's permissions take seconds to work."""
        while True:
            counts.tries += 1
            try:
                self._files.fetch(max(self._deadline - self._plan.clock(), _TRY), counts.add)
                return
            except (StoreUnavailable, ObjectRefused):
                pause = _PAUSES[min(counts.tries, len(_PAUSES)) - 1]
                with self._changed:  # whoever asks from here on either moved the deadline or knows that it is too late
                    self._has_given_up = self._plan.clock() + pause + _TRY > self._deadline
                if self._has_given_up:
                    raise
                self._plan.sleep(pause)

    def _load(self) -> Model:
        return runtimes.load(self._plan.model, self._plan.folder, self._plan.threads)

    def _prime(self, model: Model) -> None:
        """A first prediction, in the init phase alone: after it a request waits, which would be the first itself."""
        golden = self._plan.golden
        if golden is not None and self._in_init:
            from pilotlight.start.warm_up import prime  # noqa: PLC0415 - on demand no start does it

            self.timed("prime", lambda: prime(model, self._plan.model, golden))

    def _load_again(self) -> None:
        try:
            self._model = self._load()
        except Exception as error:
            self._state, self._error = "failed", error
            self._report(self._record("failed", _Counts(), EMPTY))
            raise

    def _record(self, state: State, counts: _Counts, trace: Mapping[str, object]) -> ColdStart:
        return ColdStart(
            state=state,
            model_name=self._plan.model.name,
            model_version=self._plan.model.version,
            phases_ms={phase: round(took, 1) for phase, took in dict(self._phases).items()},
            fetched_bytes=counts.fetched_bytes,
            attempts=counts.tries,
            error="" if self._error is None else f"{type(self._error).__name__}: {self._error}",
            trace=trace,
        )

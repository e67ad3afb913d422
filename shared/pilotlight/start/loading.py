"""One cold start: fetch, verify and load the model; and its states.

starting ─► ready
         ├► failed    permanently: wrong bytes, a wrong library, a store that refuses throughout the init phase
         └► waiting   for now: the store did not deliver in time; the next request starts another attempt
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar

from pilotlight import runtimes
from pilotlight.errors import NotReady, ObjectRefused, StoreUnavailable
from pilotlight.fetch import ObjectStore
from pilotlight.fetch.model_files import files_for
from pilotlight.frozen import EMPTY, dataclass, replace
from pilotlight.model.formats import ENGINES, FORMATS
from pilotlight.model.lock import Description
from pilotlight.runtimes import Model
from pilotlight.start.machine import Machine, check_memory
from pilotlight.telemetry import ColdStart, Report

Result = TypeVar("Result")
State = Literal["starting", "ready", "failed", "waiting"]

# Seconds between two tries of a store that does not deliver; the last one repeats.
_BACKOFF = (0.1, 0.2, 0.4, 0.8, 1.6)

# The least timeout of a try, in seconds. No try begins that could still run at the deadline: a store that refuses
# throughout the start has to be known by then.
_MIN_TRY = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a cold start needs. `clock` is a monotonic clock and `sleep` waits on it, both in seconds.

    `forks`: after the start this process is forked, and its children serve. `golden` is the file with the sample for a
    first prediction at the end of the start, or None for a start without one. `device` is as `runtimes.load` has it.
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
    device: str = ""


class _Counts:
    """The tries and bytes of one attempt so far."""

    def __init__(self) -> None:
        self.tries = 0
        self.fetched_bytes = 0

    def add(self, size: int) -> None:
        self.fetched_bytes += size


class Loader:
    """Loads the model once, for all callers. Thread-safe."""

    def __init__(self, plan: Plan, report: Report, phases_ms: Mapping[str, float], started: float | None) -> None:
        """`phases_ms` are the phases before this one; `started` is when the first of them began, or None."""
        self._plan = plan
        self._files = files_for(plan.machine.processes, plan.store, plan.model, plan.folder)
        self._report = report
        self._phases = dict(phases_ms)
        self._started = started
        self._error: Exception | None = None
        self._model: Model | None = None
        self._state: State = "waiting"
        self._deadline = 0.0
        self._in_init = False
        self._has_given_up = False  # whether the attempt under way has, and has still to report it
        self._first: tuple[ColdStart, float] | None = None  # the record of a load that a fork makes anew, and its begin
        self._is_finishing = threading.Event()
        self._is_finishing.set()
        self._changed = threading.Condition()

    @property
    def state(self) -> State:
        """The state of the cold start."""
        return self._state

    def start(self, seconds: float) -> None:
        """Load by the deadline of this platform's init phase: `begin`, then `finish`."""
        self.begin(seconds)
        self.finish()

    def begin(self, seconds: float) -> None:
        """Start the fetch in a thread of its own, and meanwhile preload the runtime.

        The caller can do other parts of the start until it calls `finish`.
        """
        self._in_init = True
        self._is_finishing.clear()
        self.ensure_attempt(self._plan.clock() + seconds)
        self.timed("runtime", lambda: runtimes.preload(self._plan.model))

    def finish(self) -> None:
        """Wait for the model until the deadline of the init phase.

        Raises the error of a permanent failure, so that no traffic reaches this version. Returns at the deadline; then
        requests wait for the attempt, or start another.

        Before a fork it returns only when the attempt has ended: a child would inherit the locks that its thread holds,
        and not the thread. The store keeps to the deadline, and the load would take the same time in the child.
        """
        self._is_finishing.set()
        self.wait(None if self._plan.forks else self._deadline)
        with self._changed:
            # An attempt that gave up within this phase belongs to it, and has only to report that.
            self._changed.wait_for(lambda: not self._has_given_up, _MIN_TRY)
            self._in_init = False
        if self._state == "failed" and self._error is not None:
            raise self._error
        if self._first is not None:
            self._model = None  # it is known to load; a session's own threads would not survive the fork

    def timed(self, phase: str, work: Callable[[], Result]) -> Result:
        """Do a part of the start, and add its duration to the phase in the start's record."""
        began = self._plan.clock()
        try:
            return work()
        finally:
            self._phases[phase] = self._phases.get(phase, 0.0) + (self._plan.clock() - began) * 1000

    def model(self, deadline: float, trace: Mapping[str, object] = EMPTY) -> Model:
        """Return the loaded model, or wait for it until `deadline`. Raises NotReady if it is not loaded by then.

        `trace` goes into the record of an attempt that starts here.
        """
        if self._model is None:
            self.retry(deadline, trace)
        if self._model is None:
            raise self.not_ready()
        return self._model

    def retry(self, deadline: float, trace: Mapping[str, object] = EMPTY) -> None:
        """Wait until `deadline` for the state to settle; if the last attempt gave up for now, start another."""
        while not self.ensure_attempt(deadline, trace):
            if not self.wait(deadline):
                return
        self.wait(deadline)

    def not_ready(self) -> NotReady:
        """Return the error for a request while no model is loaded."""
        if self._state == "failed":
            return NotReady(
                "this version of the function cannot serve its model; see its log for the reason", retry_after=60
            )
        return NotReady("the model is not loaded yet; try again")

    def after_fork(self) -> None:
        """Restore the loader in a forked child, where neither its own threads nor a session's exist.

        Raises the load's error, after a line in the log.
        """
        self._changed = threading.Condition()
        self._has_given_up = False
        if self._state == "starting":
            self._state = "waiting"
        elif self._first is not None and self._model is None:
            self._reload(*self._first)

    def ensure_attempt(self, deadline: float, trace: Mapping[str, object] = EMPTY) -> bool:
        """Start an attempt unless one is running. The latest deadline of all waiting callers applies.

        Returns False if the running one has given up before it could know of this deadline.
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

    def wait(self, deadline: float | None) -> bool:
        """Return whether the state has settled by the deadline."""
        left = None if deadline is None else max(deadline - self._plan.clock(), 0)
        with self._changed:
            return self._changed.wait_for(lambda: self._state != "starting", left)

    def _attempt(self, began: float, trace: Mapping[str, object]) -> None:
        """Fetch and load, retrying until the deadline, and settle the state."""
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
            # A refusal throughout the init phase counts as permanent. A later one may be transient.
            state, self._error = "failed" if self._in_init else "waiting", error
        except Exception as error:  # noqa: BLE001 - a thread has no caller; `start` raises it where there is one
            state, self._error = "failed", error
        self._is_finishing.wait()  # the start ends, and its duration is known, only after its other parts
        self._phases["total"] = (self._plan.clock() - began) * 1000
        record = self._record(state, counts, trace)
        if state == "ready" and self._in_init and self._loads_anew():
            self._first = record, began  # reported with the second load
        else:
            with suppress(Exception):  # a log that cannot be written must not leave the state unsettled
                self._report(record)
        with self._changed:
            self._state, self._started, self._phases, self._has_given_up = state, None, {}, False
            self._changed.notify_all()

    def _fetch(self, counts: _Counts) -> None:
        """Fetch, retrying until the deadline: a new role's permissions take seconds to become effective."""
        while True:
            counts.tries += 1
            try:
                self._files.fetch(max(self._deadline - self._plan.clock(), _MIN_TRY), counts.add)
                return
            except (StoreUnavailable, ObjectRefused):
                pause = _BACKOFF[min(counts.tries, len(_BACKOFF)) - 1]
                with self._changed:  # a caller either moves the deadline before this, or sees that it is too late
                    self._has_given_up = self._plan.clock() + pause + _MIN_TRY > self._deadline
                if self._has_given_up:
                    raise
                self._plan.sleep(pause)

    def _load(self) -> Model:
        plan = self._plan
        return runtimes.load(plan.model, plan.folder, plan.threads, forks=plan.forks, device=plan.device)

    def _prime(self, model: Model) -> None:
        """Make a first prediction, in the init phase alone: after it a request waits, and makes the first itself."""
        golden = self._plan.golden
        if golden is not None and self._in_init:
            from pilotlight.start.warm_up import prime  # noqa: PLC0415 - an on-demand start does not need it

            self.timed("prime", lambda: prime(model, self._plan.model, golden))

    def _loads_anew(self) -> bool:
        """Whether a child of this process has to load again: threads of a session may not survive the fork."""
        engine = ENGINES[self._plan.model.runtime.engine]
        has_threads = self._plan.threads > 1 and FORMATS[self._plan.model.format].has_session
        return self._plan.forks and has_threads and not engine.forks

    def _reload(self, first: ColdStart, began: float) -> None:
        """Load in a child, and report the whole start: `reload` is the second load, and a part of `total`."""
        state, error, again = "ready", "", self._plan.clock()
        try:
            self._model = self._load()
        except Exception as caught:
            self._state, self._error = "failed", caught
            state, error = "failed", _text(caught)
            raise
        finally:
            now = self._plan.clock()
            took = {"reload": round((now - again) * 1000, 1), "total": round((now - began) * 1000, 1)}
            phases = {**first.phases_ms, **took}
            with suppress(Exception):
                self._report(replace(first, state=state, error=error, phases_ms=phases))

    def _record(self, state: State, counts: _Counts, trace: Mapping[str, object]) -> ColdStart:
        return ColdStart(
            state=state,
            model_name=self._plan.model.name,
            model_version=self._plan.model.version,
            phases_ms={phase: round(took, 1) for phase, took in dict(self._phases).items()},
            fetched_bytes=counts.fetched_bytes,
            attempts=counts.tries,
            error="" if self._error is None else _text(self._error),
            trace=trace,
            device=self._plan.device,
        )


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"

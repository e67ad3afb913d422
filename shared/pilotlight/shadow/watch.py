"""The shadow of a function's model: what it is sent, when it runs, and the line that says how far it is apart.

A request leaves its inputs and its answer in a queue with a bound, and waits for nothing. A thread takes them to the
shadow's process after the request, and counts what comes back.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from pilotlight.dataplane import DataPlane
from pilotlight.experiments.assignment import BUCKETS
from pilotlight.fetch.model_files import ModelFiles
from pilotlight.frozen import dataclass, replace
from pilotlight.model.lock import Description, write_description
from pilotlight.model.signature import write_signature
from pilotlight.model.tensor import Tensor
from pilotlight.shadow.counts import Counts, fitted, merged
from pilotlight.shadow.lock import ShadowLock, load_shadow
from pilotlight.shadow.process import Process
from pilotlight.shadow.wire import processor_clock
from pilotlight.start.loading import Plan
from pilotlight.start.machine import UNBOUNDED, Machine, check_memory
from pilotlight.summaries import Summaries
from pilotlight.telemetry import ColdStart, Report, Summary

# What waits at most: calls of the model, and bytes of their inputs and outputs. More are dropped, and counted.
_MOST_WAITING = 64
_MOST_WAITING_BYTES = 16 << 20
_BYTES_OF_TEXT = 64

# Seconds: how long the thread lets a request go first; how long a load and an answer may take; how long a process that
# failed is not replaced; and how often the thread looks whether a line is due.
_BEHIND = 0.002
_LOAD = 60.0
_ANSWER = 5.0
_PAUSE = 30.0
_LOOK = 5.0

# A shadow that fails so often with no answer between is not started again.
_MOST_FAILURES = 5

# Bytes of the outputs' counts in a line.
_MOST_COUNTS = 8_000

# The share of the memory that a shadow's process leaves to the requests, of what is free.
_LEFT = 0.25


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the served model: its inputs, its outputs, and the seconds that it took."""

    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    seconds: float
    size: int


class Shadow:
    """Sees the calls of a data plane's model. Threads may call it at the same time; it may be made before a fork."""

    def __init__(
        self,
        lock: ShadowLock,
        plan: Plan,
        control: DataPlane,
        report: Report,
        *,
        machine: Callable[[], Machine],
        answer_seconds: float = _ANSWER,
    ) -> None:
        """`plan` is the shadow's. Its process starts with the first call, in the process that serves."""
        self._lock = lock
        self._plan = plan
        self._control = control.model
        self._predict = control.predict
        self._report = report
        self._machine = machine
        self._answer_seconds = answer_seconds
        self._clock = processor_clock(plan.threads)
        self._queue = SimpleQueue[Call]()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._waiting = self._waiting_bytes = 0
        self._counts, self._failed = Counter[str](), Counter[str]()
        self._outputs: list[Counts] = []
        self._summaries = Summaries(report, self._take, time.monotonic)
        self._process: Process | None = None
        self._next_start = 0.0
        self._failures = 0
        self._is_warm = False
        control.predict = self.predict

    def predict(self, model: Any, inputs: Sequence[Tensor], timeout: float) -> tuple[Tensor, ...]:  # noqa: ANN401
        """Do what the data plane's own does, and leave a sample of it to the shadow."""
        began = self._clock()
        outputs = self._predict(model, inputs, timeout)
        with suppress(Exception):  # what a shadow needs must never fail a request
            self._see(inputs, outputs, self._clock() - began)
        return outputs

    def wait(self, until: float) -> bool:
        """Return whether nothing is left to do, by `until` on the clock of `time.monotonic`."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, max(until - time.monotonic(), 0))

    def _see(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], seconds: float) -> None:
        is_taken = int.from_bytes(os.urandom(4)) * BUCKETS >> 32 < self._lock.sample
        size = sum(one.count * (one.datatype.size or _BYTES_OF_TEXT) for one in (*inputs, *outputs)) if is_taken else 0
        with self._changed:
            self._counts["calls"] += 1
            if not is_taken:
                return
            if self._waiting >= _MOST_WAITING or self._waiting_bytes + size > _MOST_WAITING_BYTES:
                self._counts["dropped"] += 1
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
                self._thread.start()
            self._waiting += 1
            self._waiting_bytes += size
        self._queue.put(Call(inputs, outputs, seconds, size))

    def _run(self) -> None:
        while True:
            try:
                call = self._queue.get(timeout=_LOOK if self._counts else None)
            except Empty:
                self._offer()
                continue
            if self._queue.empty():
                time.sleep(_BEHIND)
            try:
                self._show(call)
            except Exception as error:  # noqa: BLE001 - the thread has no caller, and goes on with the next call
                self._fail("error", f"{type(error).__name__}: {error}")
            with self._changed:
                self._waiting -= 1
                self._waiting_bytes -= call.size
                self._changed.notify_all()
            self._offer()

    def _offer(self) -> None:
        with suppress(Exception):  # a log that cannot be written; its line is lost
            self._summaries.offer()

    def _show(self, call: Call) -> None:
        """Send a call to the process, and count its answer."""
        process = self._process or self._start()
        if process is None:
            with self._changed:
                self._counts["dropped"] += 1
            return
        sides = [[(one.datatype.name, one.shape, one.data) for one in side] for side in (call.inputs, call.outputs)]
        try:
            found = process.ask((*sides, self._answer_seconds / 2), self._answer_seconds)
        except TimeoutError:
            self._fail("time", f"no answer within {self._answer_seconds:g} s")
        except (EOFError, OSError):
            self._fail("ended", "its process ended")
        else:
            if "failed" in found:
                self._failed[found["failed"]] += 1
                return
            self._failures = 0
            took = {"control_us": round(call.seconds * 1e6), "shadow_us": found["us"]} if self._is_warm else {}
            self._is_warm = True  # the first call of a model takes longer than all others, and counts in no ratio
            with self._changed:
                self._counts.update(compared=1, rows=found["rows"], **took)
            self._outputs = merged([self._outputs, found["outputs"]])

    def _start(self) -> Process | None:
        """Start the process and load the model in it, unless that has failed just now or too often."""
        now = time.monotonic()
        if self._failures >= _MOST_FAILURES or now < self._next_start:
            return None
        plan, model, machine = self._plan, self._lock.model, self._machine()
        try:
            check_memory(model, machine, plan.folder)
            ModelFiles(plan.store, model, plan.folder).fetch(_LOAD, lambda _: None)
            self._process = Process()
            limit = 0 if machine.free == UNBOUNDED else int(machine.free * (1 - _LEFT))
            job = {
                "model": write_description(model),
                "control": write_signature(self._control.signature),
                "folder": str(plan.folder),
                "threads": plan.threads,
                "memory": limit,
            }
            refusal: str = self._process.ask(job, _LOAD)["error"]
        except TimeoutError:
            self._fail("load", f"it is not loaded within {_LOAD:g} s")
        except EOFError:
            self._fail("load", "its process ended while it loaded the model")
        except Exception as error:  # noqa: BLE001 - of a store, a library or the system
            self._fail("load", f"{type(error).__name__}: {error}")
        else:
            if refusal:
                self._fail("load", refusal)
            else:
                self._say("ready", "", {"total": round((time.monotonic() - now) * 1000, 1)})
        return self._process

    def _fail(self, reason: str, error: str) -> None:
        """End the process; the next call starts another, after a while."""
        if self._process is not None:
            self._process.end()
        self._process = None
        self._failed[reason] += 1
        self._failures += 1
        self._next_start = time.monotonic() + _PAUSE
        self._say("failed" if self._failures >= _MOST_FAILURES else "waiting", error, {})

    def _say(self, state: str, error: str, phases: dict[str, float]) -> None:
        model = self._lock.model
        variant = f"{self._lock.variant} (shadow)"
        record = ColdStart(state, model.name, model.version, phases, 0, 1, error, variant=variant)
        with suppress(Exception):
            self._report(record)

    def _take(self) -> Summary | None:
        """Return what was counted since the last line."""
        with self._changed:
            counts, self._counts = self._counts, Counter()
        failed, self._failed = self._failed, Counter()
        outputs, self._outputs = self._outputs, []
        if not counts:
            return None
        line: dict[str, object] = {"shadow_version": self._lock.model.version, **counts} | (
            {"failed": dict(failed)} if failed else {}
        )
        line["outputs"] = fitted(outputs, _MOST_COUNTS)
        return Summary("shadow", self._control.name, self._control.version, line)


def open_shadow(
    path: Path,
    plan: Plan,
    report: Report,
    folder_of: Callable[[Description], Path],
    control: DataPlane,
    *,
    machine: Callable[[], Machine],
) -> Shadow:
    """Return the shadow in a file, which sees the calls of `control`. `plan` is the control's. Raise FormatError."""
    lock = load_shadow(path, plan.model)
    own = replace(plan, model=lock.model, folder=folder_of(lock.model), forks=False, golden=None)
    return Shadow(lock, own, control, report, machine=machine)

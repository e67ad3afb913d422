"""A cold start on a store that fails, held to its deadline and to the lock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from doubles import Records
from pilotlight.errors import PilotlightError
from pilotlight.fetch import ObjectStore, Sink
from pilotlight.model.lock import load_lock
from pilotlight.start.loading import Loader, Plan
from repository import LOCK, SAMPLE

MODEL = load_lock(LOCK).model
CONTENT = (SAMPLE / "model.onnx").read_bytes()
REST = f"bytes=1000-{len(CONTENT) - 1}"
MANY = 10_000

_DEADLINE = 60.0  # which no start comes near that gets what it needs, whatever else the machine does
_BUSY = 60.0  # what a start may take longer on a busy machine; without a deadline it goes on for hours or for ever
_IN_VAIN = 22.0
_TRY = 20.0  # none begins with less time left: no stall of the machine's ends one before the store does


class Open(Protocol):
    """Opens the store that has the model."""

    def __call__(self, *, warn: Callable[[str], object]) -> ObjectStore:
        """Open the store, which reports to `warn` what it leaves to a cloud's own client."""
        ...


@dataclass(frozen=True)
class Outcome:
    """How a start ended: the loader's state, its error and the text of it, and the store's warnings."""

    state: str
    raised: type[PilotlightError] | None
    said: str
    attempts: int
    fetched: bytes
    warned: list[str]


def start(open_store: Open, folder: Path, deadline: float = _DEADLINE) -> Outcome:
    """Start against a store, to the end."""
    warned = list[str]()
    store = open_store(warn=warned.append)
    return _started(Plan(MODEL, store, folder, 1, time.monotonic, time.sleep, forks=True), deadline, warned)


def start_in_vain(open_store: Open, folder: Path, most: float = _IN_VAIN) -> Outcome:
    """Start with pauses that take no time and tries of at most so many seconds."""
    clock, warned = _Clock(), list[str]()
    hurried = _Hurried(open_store(warn=warned.append), most)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pilotlight.start.loading._MIN_TRY", _TRY)
        outcome = _started(Plan(MODEL, hurried, folder, 1, clock, clock.sleep, forks=True), _IN_VAIN, warned)
    assert max(hurried.timeouts) <= _IN_VAIN - 0.5, "a store has time left to say why"
    return outcome


def _started(plan: Plan, deadline: float, warned: list[str]) -> Outcome:
    records, folder = Records(), plan.folder
    loader = Loader(plan, records, {}, 0.0)
    raised: type[PilotlightError] | None = None
    began = time.monotonic()
    try:
        loader.start(deadline)
    except PilotlightError as error:
        raised = type(error)
    assert time.monotonic() - began < deadline + _BUSY
    (record,) = records.cold_starts
    file = folder / "model.onnx"
    fetched = file.read_bytes() if file.exists() else b""
    assert fetched in (b"", CONTENT)
    assert (loader.state == "ready") == bool(fetched)
    left = list(folder.glob(".*"))
    assert not left or loader.state == "waiting"  # what came is gone on with by the next request
    return Outcome(loader.state, raised, record.error, record.attempts, fetched, warned)


class _Hurried:
    """A store that gets so many seconds at most, however long a start would wait; `timeouts` are those of the start."""

    def __init__(self, store: ObjectStore, most: float) -> None:
        self._store = store
        self._most = most
        self.timeouts: list[float] = []

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """See `pilotlight.fetch.ObjectStore.fetch`."""
        self.timeouts.append(timeout)
        self._store.fetch(key, sink, min(timeout, self._most))


class _Clock:
    """A clock on which sleep takes no time."""

    def __init__(self) -> None:
        self._slept = 0.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return time.monotonic() + self._slept

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._slept += seconds

"""Requests that arrive together, run together: one call of the model for the rows of several."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event, Lock
from typing import TYPE_CHECKING, TypeAlias

from pilotlight.codec.batches import joined, sliced
from pilotlight.dataplane import Predict, run_model
from pilotlight.errors import PredictionTimeout
from pilotlight.model.tensor import Tensor
from server_asgi import THREADS

if TYPE_CHECKING:
    from pilotlight.runtimes import Model
    from pilotlight.service import Service

Kind: TypeAlias = "tuple[tuple[tuple[int, ...], bool], ...]"
"""What the inputs of one batch have in common: the shapes without the rows, and whether the values are strings."""

Watch: TypeAlias = "Callable[[int, Sequence[float], int], None]"
"""Told of a run: its rows, how many seconds each of its requests waited, and how many requests waited as it began."""


# Each request that waits for its batch has a thread. More of them wait for a thread first.
_MAX_THREADS = 128


def threads(rows: int) -> int:
    """Return how many threads a server needs: for a batch that runs and the next one, of single rows."""
    return max(THREADS, min(2 * rows, _MAX_THREADS))


def join_requests(service: Service, rows: int, seconds: float, watch: Watch) -> None:
    """Run requests to this service's model together, where its batches may have any size; see `Batches`."""
    if rows > 1 and service.model.signature.batch == -1:
        service.plane.predict = Batches(rows, seconds, watch, service.plane.predict).predict
        service.may_wait = True


class Batches:
    """Joins predictions that threads ask for at the same time. Each gets its own rows, or its own error."""

    def __init__(self, rows: int, seconds: float, watch: Watch = lambda *_: None, predict: Predict = run_model) -> None:
        """Limit a batch to `rows` rows, and the time that the first of its callers waits for others.

        `predict` runs the model.
        """
        self._run_model = predict
        self._rows = rows
        self._seconds = seconds
        self._watch = watch
        self._waiting = 0  # callers whose batch does not run yet
        self._open: dict[Kind, _Batch] = {}
        self._lock = Lock()
        self._running = Lock()  # a prediction has all of this process's share: the next batch grows meanwhile
        self._took = 0.0  # seconds of the latest joined run

    def predict(self, model: Model, inputs: Sequence[Tensor], timeout: float) -> tuple[Tensor, ...]:
        """Return the model's outputs for these inputs. Raise what `Model.predict` does.

        Inputs run alone that have too many rows, or not the same number each; so do those whose timeout, in seconds, is
        too short to wait for others. If a joined run fails, all of its callers run alone.
        """
        counts = {tensor.shape[0] if tensor.shape else 0 for tensor in inputs}
        rows = counts.pop()
        if counts or not 0 < rows < self._rows or timeout <= self._seconds + self._took:
            return self._run_model(model, inputs, timeout)
        end = time.monotonic() + timeout
        batch, start = self._join(tuple(inputs), rows, end)
        if start == 0:
            self._lead(batch, model)
        elif not batch.is_done.wait(timeout):
            raise PredictionTimeout
        if batch.outputs is not None:
            return sliced(batch.outputs, start, start + rows)
        left = end - time.monotonic()
        if left <= 0:
            raise PredictionTimeout
        return self._run_model(model, inputs, left)

    def _join(self, inputs: tuple[Tensor, ...], rows: int, end: float) -> tuple[_Batch, int]:
        """Return the batch that takes these rows, and the first of them in it."""
        kind = tuple((tensor.shape[1:], isinstance(tensor.data, list)) for tensor in inputs)
        with self._lock:
            batch = self._open.get(kind)
            if batch is not None and batch.rows + rows > self._rows:
                batch.is_full.set()
                batch = None
            if batch is None:
                batch = self._open[kind] = _Batch(kind, end)
            start = batch.rows
            batch.inputs.append(inputs)
            batch.joined.append(time.monotonic())
            self._waiting += 1
            batch.rows += rows
            batch.end = min(batch.end, end)
            if batch.rows == self._rows:
                batch.is_full.set()
                del self._open[kind]
        return batch, start

    def _lead(self, batch: _Batch, model: Model) -> None:
        """Wait for others and for the batch before, and run them all; leave no outputs if that fails."""
        try:
            batch.is_full.wait(self._seconds)
            has_turn = self._running.acquire(timeout=max(0.0, batch.end - time.monotonic() - self._took))
            try:
                waiting, began = self._close(batch), time.monotonic()
                if len(batch.inputs) > 1:
                    self._run(batch, model)
            finally:
                if has_turn:
                    self._running.release()
        finally:
            batch.is_done.set()
        with suppress(Exception):  # a metric that cannot be written must not fail the request
            self._watch(batch.rows, [began - joined for joined in batch.joined], waiting)

    def _close(self, batch: _Batch) -> int:
        """Take a batch from the open ones; return how many callers waited, also for later batches."""
        with self._lock:
            if self._open.get(batch.kind) is batch:
                del self._open[batch.kind]
            waiting = self._waiting
            self._waiting -= len(batch.inputs)
        return waiting

    def _run(self, batch: _Batch, model: Model) -> None:
        began = time.monotonic()
        try:
            outputs = self._run_model(model, joined(batch.inputs), max(0.0, batch.end - began))
        except Exception:  # noqa: BLE001 - each caller runs alone, and gets its own error
            return
        self._took = time.monotonic() - began
        if all(tensor.shape and tensor.shape[0] == batch.rows for tensor in outputs):
            batch.outputs = outputs


class _Batch:
    """Rows that run together. It is no more among the open ones when they run."""

    def __init__(self, kind: Kind, end: float) -> None:
        self.kind = kind
        self.end = end  # of the caller with the least time
        self.inputs: list[tuple[Tensor, ...]] = []
        self.joined: list[float] = []  # when each did, on the monotonic clock
        self.rows = 0
        self.outputs: tuple[Tensor, ...] | None = None
        self.is_full = Event()
        self.is_done = Event()

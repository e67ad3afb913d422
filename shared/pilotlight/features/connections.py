"""Connections that requests share, opened in threads of their own: a request waits for no name server, only its budget.

A thread that a request no longer waits for opens the connection nevertheless, for the next request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

# Seconds after which an idle connection is not used again: many a balancer drops it silently some time later.
_MAX_IDLE = 50.0
_MOST_KEPT = 16
_MOST_OPENING = 8


class _Closable(Protocol):
    def close(self) -> None: ...


Connection = TypeVar("Connection", bound=_Closable)
Result = TypeVar("Result")


class Pool(Generic[Connection]):
    """Connections to one server. Thread-safe."""

    def __init__(self, open_one: Callable[[], Connection], clock: Callable[[], float]) -> None:
        """`open_one` bounds its own time; `clock` is monotonic, in seconds."""
        self._open_one = open_one
        self._clock = clock
        self._idle: list[tuple[Connection, float]] = []
        self._waiting = self._opening = self._failures = 0
        self._error: Exception | None = None
        self._most_kept = _MOST_KEPT
        self._changed = threading.Condition()

    def use(self, work: Callable[[Connection], Result], deadline: float) -> Result:
        """Do work on a connection; if the server has closed it meanwhile, once more on a new one.

        Raise TimeoutError at the deadline, and what opening a connection and the work do.
        """
        connection = self._take(deadline)
        try:
            result = work(connection)
        except TimeoutError:
            connection.close()
            raise
        except OSError:
            connection.close()
            self._forget()
            connection = self._take(deadline)
            try:
                result = work(connection)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            connection.close()
            raise
        self._give(connection)
        return result

    def connect(self) -> None:
        """Begin to open a connection, unless there is one."""
        with self._changed:
            if not self._idle and not self._opening:
                self._start()

    def close(self) -> None:
        """Close the idle connections, and each other one when it is idle."""
        self._most_kept = 0
        self._forget()

    def _take(self, deadline: float) -> Connection:
        with self._changed:
            failures = self._failures
            self._waiting += 1
            try:
                while True:
                    while self._idle:
                        connection, since = self._idle.pop()
                        if self._clock() - since < _MAX_IDLE:
                            return connection
                        connection.close()
                    if self._failures > failures and self._error is not None:
                        raise self._error
                    if self._opening < min(self._waiting, _MOST_OPENING):
                        self._start()
                    left = deadline - self._clock()
                    if left <= 0:
                        raise TimeoutError("no connection in time")
                    self._changed.wait(left)
            finally:
                self._waiting -= 1

    def _give(self, connection: Connection) -> None:
        with self._changed:
            if len(self._idle) < self._most_kept:
                self._idle.append((connection, self._clock()))
                self._changed.notify()
                return
        connection.close()

    def _forget(self) -> None:
        with self._changed:
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()

    def _start(self) -> None:
        self._opening += 1
        thread = threading.Thread(target=self._open, name="features", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._opening -= 1
            raise

    def _open(self) -> None:
        try:
            connection = self._open_one()
        except Exception as error:  # noqa: BLE001 - a thread has no caller; those who wait raise it
            with self._changed:
                self._opening -= 1
                self._failures += 1
                self._error = error
                self._changed.notify_all()
            return
        with self._changed:
            self._opening -= 1
        self._give(connection)

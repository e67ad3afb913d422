"""The processes that answer requests: one that starts, and workers forked from it that share what it has loaded."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import cloud_logging
from container_instance import SIGNALS, end_at_once

# A worker that exits with it ends them all: the next one would have the same model. Others are replaced.
CANNOT_SERVE = 3

# Seconds. A worker that ends sooner is not replaced at once.
_SOON = 1.0


def supervise(count: int, work: Callable[[], int], replaced: Callable[[], None] = lambda: None) -> int:
    """Run `work` in so many forked processes until SIGTERM or SIGINT, which they get too; return the exit code.

    `work` returns the exit code of its process; `replaced` hears of each that is replaced.
    """
    workers = _Workers(work, replaced)
    for number in SIGNALS:
        signal.signal(number, lambda *_: workers.stop())
    for _ in range(count):
        workers.start()
    return workers.wait()


class _Workers:
    def __init__(self, work: Callable[[], int], replaced: Callable[[], None]) -> None:
        self._work = work
        self._replaced = replaced
        self._began: dict[int, float] = {}  # by process id
        self._is_stopping = False

    def stop(self) -> None:
        """Start no more, and end all."""
        self._is_stopping = True
        for pid in self._began:
            with suppress(ProcessLookupError):  # one that has ended, as we are about to note
                os.kill(pid, signal.SIGTERM)

    def start(self) -> None:
        """Start one, unless they end."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until it has handlers of its own, and we its id
        if not self._is_stopping:
            pid = os.fork()
            if not pid:
                end_at_once()
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                _run(self._work)
            self._began[pid] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def wait(self) -> int:
        """Replace what ends, until all have to; return the exit code."""
        code = 0
        while self._began:
            pid, status = os.wait()
            lived = time.monotonic() - self._began.pop(pid)
            ended = os.waitstatus_to_exitcode(status)
            if ended == CANNOT_SERVE and not self._is_stopping:
                code = CANNOT_SERVE
                self.stop()
            if not self._is_stopping:
                cloud_logging.warn(f"a worker ended with exit code {ended} and is replaced")
                self._replaced()
                time.sleep(_SOON if lived < _SOON else 0)
                self.start()
        return code


def _run(work: Callable[[], int]) -> NoReturn:
    """Do a child's work and end it, without what the parent does at its own exit."""
    code = CANNOT_SERVE
    try:
        code = work()
    except BaseException:  # noqa: BLE001 - a child without its model must not serve, for whatever reason
        traceback.print_exc()
    finally:
        os._exit(code)

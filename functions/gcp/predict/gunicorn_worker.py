"""A worker of gunicorn, which functions-framework forks after it has imported the function: its first step, its end."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable

# gunicorn.arbiter.Arbiter.WORKER_BOOT_ERROR. A worker that ends with it, early or late, ends the master with it too.
# After any other exit code the master forks another worker from itself, which is as good or bad as the first.
_BOOT_ERROR = 3

# Seconds. A worker that was told to stop keeps idle connections open, in case a request is on its way on one: for two
# seconds, unless gunicorn is told otherwise, and nothing that functions-framework reads tells it so. Cloud Run sends no
# requests to an instance that it has told to stop, and leaves its connections open.
_LINGER = 0.5

# Seconds in which a request has to arrive, head and body, and its reply to be taken. With those that it waits for the
# model at most (`pilotlight.service`) they are less than the minute that a function may take by default.
_ARRIVAL = 30.0


def once(work: Callable[[], None]) -> Callable[[], None]:
    """Return what does the work at its first call in a process; calls at the same time wait for it."""
    lock = threading.Lock()
    is_done = False

    def do() -> None:
        nonlocal is_done
        if is_done:
            return
        with lock:
            if not is_done:
                work()
                is_done = True

    return do


def first_step(make_whole: Callable[[], None], arrival: float = _ARRIVAL) -> Callable[[], None]:
    """What a child does at its fork, for `os.register_at_fork`: that goes on whatever a hook raises, here it ends."""

    def step() -> None:
        try:
            worker = sys.modules.get("gunicorn.workers.gthread")
            if worker is not None:
                import gunicorn_callers  # noqa: PLC0415 - Flask's own server has no gunicorn

                worker.STOP_KEEPALIVE_LINGER = _LINGER  # type: ignore[attr-defined]
                gunicorn_callers.limit(arrival)
            make_whole()
        except BaseException:  # noqa: BLE001 - a child without its model must not serve, whatever took it
            traceback.print_exc()
            os._exit(_BOOT_ERROR)

    return step


def end_when_answered() -> None:
    """End the instance once the requests under way are answered, this one included; new ones are not taken.

    SIGTERM is how gunicorn's worker is told so. At its end it then has another exit code than it would have.
    """
    atexit.register(os._exit, _BOOT_ERROR)
    os.kill(os.getpid(), signal.SIGTERM)

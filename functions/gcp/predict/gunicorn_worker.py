"""The first step and the end of a gunicorn worker, which is forked after functions-framework imports the function."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping

Refuse = Callable[[int, str], tuple[Mapping[str, str], bytes]]
"""Takes a status from 400 to 499 and gunicorn's message; returns the headers and the body of the response."""

# gunicorn.arbiter.Arbiter.WORKER_BOOT_ERROR. A worker that exits with it, early or late, ends the master too. After any
# other exit code the master forks another worker, with the same model or without one.
_BOOT_ERROR = 3

# Seconds. A stopping worker keeps idle connections open, in case a request is on its way: for two seconds by default,
# and functions-framework has no setting for it. Cloud Run sends no requests to an instance that it has told to stop,
# and leaves its connections open.
_LINGER = 0.5

# Seconds for a client to send a request, head and body, and to receive its reply. With the longest wait for the model
# (`pilotlight.dataplane`) they are less than a function's default timeout of one minute.
_CLIENT_TIMEOUT = 30.0


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


def first_step(
    after_fork: Callable[[], None], client_timeout: float = _CLIENT_TIMEOUT, refuse: Refuse | None = None
) -> Callable[[], None]:
    """Return a hook for `os.register_at_fork`, which ignores a hook's errors: this hook ends the child on one.

    `refuse` answers what gunicorn cannot parse.
    """

    def step() -> None:
        try:
            worker = sys.modules.get("gunicorn.workers.gthread")
            if worker is not None:
                import gunicorn_clients  # noqa: PLC0415 - Flask's own server has no gunicorn

                worker.STOP_KEEPALIVE_LINGER = _LINGER  # type: ignore[attr-defined]
                gunicorn_clients.limit(client_timeout)
                if refuse is not None:
                    gunicorn_clients.refuse_with(refuse)
            after_fork()
        except BaseException:  # noqa: BLE001 - a child without its model must not serve, for whatever reason
            traceback.print_exc()
            os._exit(_BOOT_ERROR)

    return step


def end_when_answered() -> None:
    """End the instance after the requests under way, this one included, and accept no new ones.

    SIGTERM stops gunicorn's worker gracefully; the exit handler then changes its exit code, which ends the master.
    """
    atexit.register(os._exit, _BOOT_ERROR)
    os.kill(os.getpid(), signal.SIGTERM)

"""Managed Instances: an environment with several processes of the runtime, each with an init of its own.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-execution-environment.html: an environment gets
requests as soon as one of its processes is ready, and goes on without those that end; none of them is replaced. So that
it does not go on with fewer than it was given, a process without its model ends the environment: the runtime's main
process, which waits for the others. Lambda then starts another environment, or fails the version.
"""

from __future__ import annotations

import os
import signal
from multiprocessing import parent_process
from multiprocessing.util import Finalize

from pilotlight.start.loading import Loader

_END = list[Finalize]()


def begin_init() -> None:
    """End the environment when this process exits, until `end_init`: after the runtime has reported the error."""
    main = parent_process()
    if main is not None:
        _END.append(Finalize(None, _end_environment, (main.pid,), exitpriority=0))


def _end_environment(main: int) -> None:
    """End the runtime's main process and, where it leads a group, the others: Lambda may wait for their output too."""
    if os.getpgrp() == main:
        os.killpg(main, signal.SIGTERM)
    else:
        os.kill(main, signal.SIGTERM)


def end_init(loader: Loader) -> None:
    """Raise RuntimeError without a loaded model. With one, this process alone ends at its exit."""
    if loader.state != "ready":
        raise RuntimeError(
            f"no environment without the model: expected its state to be 'ready', found {loader.state!r}; see the log"
        )
    while _END:
        _END.pop().cancel()

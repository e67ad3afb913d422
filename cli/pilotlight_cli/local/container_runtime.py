"""Runs the server of a container on this machine, as its image does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.function import Function
from pilotlight_cli.local.functions_runtime import FunctionsRuntime

_START_SECONDS = 240

# https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination: SIGKILL follows 30 s after SIGTERM.
_STOP_SECONDS = 30


@contextmanager
def container_runtime(function: Function, port: int = 0, timeout: float = _START_SECONDS) -> Iterator[FunctionsRuntime]:
    """Run a staged server, with a worker for each processor; port 0 is any free one.

    Raise PortTaken, or ServeError with the server's last lines if it fails or takes longer than `timeout` seconds.
    """
    command = [*isolated_python(), "-m", "server_main"]
    environ = {"PILOTLIGHT_SERVER_HOST": "127.0.0.1", **function.environment}
    runtime = FunctionsRuntime(
        command, function.folder, environ, port=port, timeout=timeout, stop_seconds=_STOP_SECONDS
    )
    try:
        yield runtime
    finally:
        runtime.stop()

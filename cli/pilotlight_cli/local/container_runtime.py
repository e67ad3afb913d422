"""Runs what containers run on this machine, as their images do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.function import Function
from pilotlight_cli.local.functions_runtime import FunctionsRuntime
from pilotlight_cli.local.process import Child, Log

# The server's setting of the port for gRPC.
GRPC_PORT = "PILOTLIGHT_SERVER_GRPC_PORT"

_START_SECONDS = 240

# https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination: SIGKILL follows 30 s after SIGTERM.
_STOP_SECONDS = 30


class ContainerProcess:
    """The process of a staged package, with `log`, what it writes."""

    def __init__(self, module: str, function: Function, environ: Mapping[str, str]) -> None:
        """Start a module of the package. `environ` comes over the function's own."""
        self.log = Log()
        variables = {**function.environment, **environ, "PYTHONUNBUFFERED": "1"}
        self._child = Child([*isolated_python(), "-m", module], function.folder, variables, self.log)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._child.exit_code

    def stop(self) -> None:
        """Stop it as Kubernetes does."""
        self._child.stop(_STOP_SECONDS)


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

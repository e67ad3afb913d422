"""Runs the gRPC server of a container on this machine, as its image does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.function import Function
from pilotlight_cli.local.process import Child, Log, free_port

_START_SECONDS = 240

# https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination: SIGKILL follows 30 s after SIGTERM.
_STOP_SECONDS = 30


class GrpcRuntime:
    """A server that answers on `address`, a host and a port."""

    def __init__(self, function: Function) -> None:
        """Raise ServeError with the server's last lines if it does not start."""
        self.log = Log()
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        own = {"PILOTLIGHT_GRPC_HOST": "127.0.0.1", "PILOTLIGHT_GRPC_PORT": str(port), "PYTHONUNBUFFERED": "1"}
        command = [*isolated_python(), "-m", "grpc_main"]
        self._child = Child(command, function.folder, {**function.environment, **own}, self.log)
        try:
            self._child.wait_for_port(port, _START_SECONDS)
        except BaseException:  # including an interrupt, so that no process is left behind
            self.stop()
            raise

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
def grpc_runtime(function: Function) -> Iterator[GrpcRuntime]:
    """Run a staged server. Raise ServeError if it does not start."""
    runtime = GrpcRuntime(function)
    try:
        yield runtime
    finally:
        runtime.stop()

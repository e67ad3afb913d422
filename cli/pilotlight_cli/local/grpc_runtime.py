"""Runs the gRPC server of a container on this machine, as its image does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pilotlight_cli.local.container_runtime import ContainerProcess
from pilotlight_cli.local.function import Function
from pilotlight_cli.local.process import free_port

_START_SECONDS = 240


class GrpcRuntime(ContainerProcess):
    """A server that answers on `address`, a host and a port."""

    def __init__(self, function: Function) -> None:
        """Raise ServeError with the server's last lines if it does not start."""
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        own = {"PILOTLIGHT_GRPC_HOST": "127.0.0.1", "PILOTLIGHT_GRPC_PORT": str(port)}
        super().__init__("grpc_main", function, own)
        try:
            self._child.wait_for_port(port, _START_SECONDS)
        except BaseException:  # including an interrupt, so that no process is left behind
            self.stop()
            raise


@contextmanager
def grpc_runtime(function: Function) -> Iterator[GrpcRuntime]:
    """Run a staged server. Raise ServeError if it does not start."""
    runtime = GrpcRuntime(function)
    try:
        yield runtime
    finally:
        runtime.stop()

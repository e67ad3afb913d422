"""The server in a container: HTTP and gRPC in, replies out. `python -m server_main` starts it."""

from __future__ import annotations

import gc
import time

_STARTED = time.monotonic()  # the imports below are the first phase of a start
gc.disable()

import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import cloud_logging
import server_batching
import server_device
import server_metrics
import server_run
from container_instance import end_at_once, fail, platform
from pilotlight.boot import boot
from pilotlight.errors import PilotlightError, SettingsError
from pilotlight.service import Service
from pilotlight.start.loading import Loader
from pilotlight.start.machine import here
from server_settings import ServerSettings, take_settings
from server_workers import supervise

if TYPE_CHECKING:
    from grpc_server import GrpcServer


def main() -> NoReturn:
    """Serve until SIGTERM. Exit with 1, after a line in the log, if it cannot start."""
    end_at_once()
    try:
        settings = take_settings(os.environ, here().processors, server_device.find)
        _log_to(settings.log_file)
        if settings.device.refusal:
            cloud_logging.warn(f"the model runs on the processor, since no GPU can be used: {settings.device.refusal}")
        listener = _bound(settings.host, settings.port)
        reserved = _reserved(settings)
    except SettingsError as error:
        fail(error)
    metrics = server_metrics.open_metrics(os.environ)
    try:
        service, loader = boot(
            platform(
                _STARTED,
                server_metrics.counting(metrics, cloud_logging.reporter),
                forks=settings.workers > 1,
                device=settings.device.name,
            ),
            os.environ,
        )
    except PilotlightError:  # `boot` has written its line
        server_metrics.close_metrics(os.environ)
        sys.exit(1)
    threads = server_batching.threads(settings.batch)
    beside = None if reserved is None else _beside(service, loader, reserved, threads)
    gc.freeze()  # later collections skip these objects, and do not copy their pages into the workers
    gc.enable()
    ran = partial(metrics.ran, service.model.name, service.model.version)
    server_batching.join_requests(service, settings.batch, settings.wait, ran)

    def work(parent: int) -> int:
        """Answer requests in this process, of which no other is forked."""
        if settings.workers > 1:
            _log_to(settings.log_file)
        started = beside and beside()
        return server_run.serve(service, loader, listener, os.environ, parent, threads=threads, beside=started)

    replaced = metrics.replaced.labels(service.model.name, service.model.version).inc
    code = _run(work, loader, settings.workers, replaced)
    server_metrics.close_metrics(os.environ)
    sys.exit(code)


def _run(work: Callable[[int], int], loader: Loader, workers: int, replaced: Callable[[], None]) -> int:
    """Work in so many processes, each of which has to know its parent; return the exit code."""
    if workers == 1:
        return work(os.getppid())
    master = os.getpid()

    def forked() -> int:
        loader.after_fork()
        return work(master)

    return supervise(workers, forked, replaced)


def _log_to(file: str) -> None:
    if file:
        from server_log import log_to_files  # noqa: PLC0415 - seldom wanted, and 10 ms

        log_to_files(file)


def _beside(service: Service, loader: Loader, reserved: socket.socket, threads: int) -> Callable[[], GrpcServer]:
    """Return what starts the gRPC server in a process that serves."""
    from grpc_server import GrpcServer  # noqa: PLC0415 - only where there is one, and once for all workers

    host, port = reserved.getsockname()[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return partial(GrpcServer, service, loader, address, threads=threads)


def _bound(host: str, port: int, *, shares: bool = False) -> socket.socket:
    """Return a socket that has the port, and listens with the first worker that serves: when the model is loaded.

    `shares`: others have it too, each with a socket of its own. Raise SettingsError.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT if shares else socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise SettingsError(f"port {port} of {host} cannot be used: {error.strerror}") from None
    return listener


def _reserved(settings: ServerSettings) -> socket.socket | None:
    """Return a socket that keeps the port of gRPC and never listens: gRPC's library makes a socket in each worker."""
    if settings.grpc_port is None:
        return None
    with _bound(settings.host, settings.grpc_port):  # nobody else has it, whom we would share it with
        pass
    return _bound(settings.host, settings.grpc_port, shares=True)


if __name__ == "__main__":
    main()

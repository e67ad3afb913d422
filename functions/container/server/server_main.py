"""The server in a container: HTTP in, replies out. `python -m server_main` starts it."""

from __future__ import annotations

import gc
import time

_STARTED = time.monotonic()  # the imports below are the first phase of a start
gc.disable()

import os
import socket
import sys
from typing import NoReturn

import cloud_logging
import server_batching
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


def main() -> NoReturn:
    """Serve until SIGTERM. Exit with 1, after a line in the log, if it cannot start."""
    end_at_once()
    try:
        settings = take_settings(os.environ, here().processors)
        listener = _bound(settings)
    except SettingsError as error:
        fail(error)
    metrics = server_metrics.open_metrics(os.environ)
    try:
        service, loader = boot(
            platform(_STARTED, server_metrics.counting(metrics, cloud_logging.reporter), forks=settings.workers > 1),
            os.environ,
        )
    except PilotlightError:  # `boot` has written its line
        server_metrics.close_metrics(os.environ)
        sys.exit(1)
    gc.freeze()  # later collections skip these objects, and do not copy their pages into the workers
    gc.enable()
    server_batching.join_requests(service, settings.batch, settings.wait)
    code = _run(service, loader, listener, settings)
    server_metrics.close_metrics(os.environ)
    sys.exit(code)


def _run(service: Service, loader: Loader, listener: socket.socket, settings: ServerSettings) -> int:
    """Serve in as many processes as there are workers; return the exit code."""
    threads = server_batching.threads(settings.batch)
    if settings.workers == 1:
        return _serve(service, loader, listener, os.getppid(), threads)
    master = os.getpid()

    def work() -> int:
        loader.after_fork()
        return _serve(service, loader, listener, master, threads)

    return supervise(settings.workers, work)


def _serve(service: Service, loader: Loader, listener: socket.socket, parent: int, threads: int) -> int:
    """Answer requests in this process, of which no other is forked; what a server beside this one needs starts here."""
    return server_run.serve(service, loader, listener, os.environ, parent, threads=threads)


def _bound(settings: ServerSettings) -> socket.socket:
    """Return a socket that has the port, and listens with the first worker that serves: when the model is loaded."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        raise SettingsError(f"PORT {settings.port} of {settings.host} cannot be used: {error.strerror}") from None
    return listener


if __name__ == "__main__":
    main()

"""The gRPC server in a container. `python -m grpc_main` starts it; the server of another process calls `start`."""

from __future__ import annotations

import gc
import time

_STARTED = time.monotonic()  # the imports below are the first phase of a start
gc.disable()

import os
import signal
from threading import Event

from container_instance import SIGNALS, end_at_once, fail, platform
from grpc_server import GrpcServer
from grpc_settings import GrpcSettings, take_settings
from pilotlight.boot import boot
from pilotlight.errors import PilotlightError
from pilotlight.service import Service
from pilotlight.start.loading import Loader

# Seconds for what is under way at SIGTERM. Kubernetes kills 30 s after it.
GRACE = 25.0

# Seconds between two looks at whether the model can still be served.
_LOOK = 0.5


def main() -> None:
    """Answer calls until SIGTERM. Exit with 1 and a line in the log for what cannot go on."""
    end_at_once()  # until the server runs, nothing is under way
    try:
        settings = take_settings(os.environ)
    except PilotlightError as error:
        fail(error)
    service, loader = boot(platform(_STARTED), os.environ)
    gc.enable()
    stopping = Event()
    for number in SIGNALS:
        signal.signal(number, lambda *_: stopping.set())
    try:
        server = start(service, loader, settings)
    except PilotlightError as error:
        fail(error)
    while not stopping.wait(_LOOK) and loader.state != "failed":
        pass
    server.stop(GRACE)
    # A prediction that is still running after the grace must not hold the process.
    os._exit(int(loader.state == "failed"))


def start(service: Service, loader: Loader, settings: GrpcSettings, *, shares_port: bool = False) -> GrpcServer:
    """Answer calls for a service in this process, beside what it does already. Raise SettingsError.

    `shares_port`: other processes listen on the same port, each with a server of its own.
    """
    return GrpcServer(service, loader, settings.port, host=settings.host, shares_port=shares_port)


if __name__ == "__main__":
    main()

"""The gRPC server in a container. `python -m grpc_main` starts it; the server of another process calls `start`."""

from __future__ import annotations

import gc
import time

_STARTED = time.monotonic()  # the imports below are the first phase of a start
gc.disable()

import os
import signal
import sys
from pathlib import Path
from threading import Event
from typing import NoReturn

import cloud_logging
from grpc_server import GrpcServer
from grpc_settings import GrpcSettings, take_settings
from pilotlight.boot import Platform, boot
from pilotlight.errors import PilotlightError
from pilotlight.fetch import ObjectStore
from pilotlight.service import Service
from pilotlight.start.loading import Loader
from pilotlight.start.machine import here

# Seconds for what is under way at SIGTERM. Kubernetes kills 30 s after it.
GRACE = 25.0

# Seconds between two looks at whether the model can still be served.
_LOOK = 0.5

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main() -> None:
    """Answer calls until SIGTERM. Exit with 1 and a line in the log for what cannot go on."""
    for number in _SIGNALS:  # until the server runs, nothing is under way
        signal.signal(number, lambda number, _: os._exit(128 + number))
    try:
        settings = take_settings(os.environ)
    except PilotlightError as error:
        _fail(error)
    service, loader = boot(
        Platform(
            folder=Path(__file__).parent,
            stores={"s3": _s3_store, "gs": _gcs_store},
            reporter=cloud_logging.reporter,
            deadline=60.0,
            started=_STARTED,
            machine=here,
        ),
        os.environ,
    )
    gc.enable()
    stopping = Event()
    for number in _SIGNALS:
        signal.signal(number, lambda *_: stopping.set())
    try:
        server = start(service, loader, settings)
    except PilotlightError as error:
        _fail(error)
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


def _s3_store(url: str) -> ObjectStore:
    from s3_store import S3Store  # noqa: PLC0415 - one of two stores is used

    return S3Store(url, warn=cloud_logging.warn)


def _gcs_store(url: str) -> ObjectStore:
    from gcs_store import GcsStore  # noqa: PLC0415

    return GcsStore(url)


def _fail(error: PilotlightError) -> NoReturn:
    cloud_logging.fail(f"{type(error).__name__}: {error}")
    sys.exit(1)


if __name__ == "__main__":
    main()

"""A task of a batch job in a container, as Cloud Run jobs start them. `python -m batch_main INPUT OUTPUT` runs it."""

from __future__ import annotations

import gc
import time

_STARTED = time.monotonic()  # the imports below are the first phase of a start
gc.disable()

import os
import signal
import sys
from pathlib import Path

import cloud_logging
from batch_settings import read_arguments, read_task
from pilotlight.boot import Platform, boot
from pilotlight.errors import PilotlightError
from pilotlight.fetch import ObjectStore
from pilotlight.start.machine import here


def main() -> None:
    """Score this task's shards. Exit with 1, after a line in the log, for what failed: the platform tries again."""
    for number in (signal.SIGTERM, signal.SIGINT):  # the first process of a container would ignore them
        signal.signal(number, lambda number, _: os._exit(128 + number))
    folder = Path(__file__).parent
    asked = read_arguments(sys.argv[1:])
    try:
        index, count = read_task(os.environ)
        service, _ = boot(
            Platform(
                folder=folder,
                stores={"s3": _s3_store, "gs": _gcs_store},
                reporter=cloud_logging.reporter,
                deadline=60.0,
                started=_STARTED,
                machine=here,
            ),
            os.environ,
        )
        gc.enable()
        from batch_task import Task  # noqa: PLC0415 - pyarrow takes longer than the rest of a start

        lock = Path(os.environ.get("PILOTLIGHT_LOCK") or folder / "model.lock").read_bytes()
        Task(service.plane, lock, asked, index, count).run(cloud_logging.warn)
    except PilotlightError as error:
        cloud_logging.fail(f"{type(error).__name__}: {error}")
        sys.exit(1)


def _s3_store(url: str) -> ObjectStore:
    from s3_store import S3Store  # noqa: PLC0415 - one of two stores is used

    return S3Store(url, warn=cloud_logging.warn)


def _gcs_store(url: str) -> ObjectStore:
    from gcs_store import GcsStore  # noqa: PLC0415

    return GcsStore(url)


if __name__ == "__main__":
    main()

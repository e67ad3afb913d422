"""A task of a batch job in a container, as Cloud Run jobs start them. `python -m batch_main INPUT OUTPUT` runs it."""

from __future__ import annotations

import gc
import time

_STARTED = time.monotonic()  # the imports below are the first phase of a start
gc.disable()

import os
import sys
from pathlib import Path

import cloud_logging
from batch_settings import read_arguments, read_task
from container_instance import end_at_once, fail, platform
from pilotlight.boot import boot
from pilotlight.errors import PilotlightError


def main() -> None:
    """Score this task's shards. Exit with 1, after a line in the log, for what failed: the platform tries again."""
    end_at_once()
    asked = read_arguments(sys.argv[1:])
    try:
        index, count = read_task(os.environ)
        service, _ = boot(platform(_STARTED), os.environ)
        gc.enable()
        from batch_task import Task  # noqa: PLC0415 - pyarrow takes longer than the rest of a start

        lock = Path(os.environ.get("PILOTLIGHT_LOCK") or Path(__file__).with_name("model.lock")).read_bytes()
        Task(service.plane, lock, asked, index, count).run(cloud_logging.warn)
    except PilotlightError as error:
        fail(error)


if __name__ == "__main__":
    main()

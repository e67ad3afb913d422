"""The start of an instance, of either function: settings, model, service, and what a forked worker does first."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, MutableMapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cloud_logging
import gunicorn_worker
import wsgi_http
from gcs_store import GcsStore
from pilotlight.boot import Platform, boot
from pilotlight.start.loading import Loader
from pilotlight.start.machine import here

if TYPE_CHECKING:
    from pilotlight.features.plan import FeaturePlan
    from pilotlight.features.store import FeatureStore
    from pilotlight.service import Service


def start(
    folder: Path, started: float, environ: MutableMapping[str, str], *, scores_records: bool = False
) -> tuple[Service, Loader, Callable[[], None]]:
    """Return the service, its loader, and what every call of the function has to do first.

    `folder` is the root of the package. `started`, on `time.monotonic`'s clock, is when the process began.
    Raises what `boot` does.
    """
    # A container's first process ignores SIGTERM until it has a handler; gunicorn installs one after the start.
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    service, loader = boot(
        Platform(
            folder=folder,
            stores={"gs": GcsStore},
            reporter=cloud_logging.reporter,
            deadline=30.0,  # half of a function's default timeout: requests that wait for the start get a response
            started=started,
            forks=True,
            machine=partial(here, disk_is_memory="K_SERVICE" in environ),  # Cloud Run keeps files in memory
            scores_records=scores_records,
            feature_stores={"firestore": _firestore},
        ),
        environ,
    )
    gc.freeze()  # later collections skip these objects, and do not copy their pages into the workers
    gc.enable()

    # gunicorn forks its workers from this process. With --debug Flask answers here: its first request does as a fork.
    prepare = gunicorn_worker.once(loader.after_fork)
    os.register_at_fork(after_in_child=gunicorn_worker.first_step(prepare, refuse=partial(wsgi_http.refuse, service)))
    return service, loader, prepare


def _firestore(url: str, plan: FeaturePlan) -> FeatureStore:
    from firestore_features import FirestoreFeatures  # noqa: PLC0415 - few functions look features up

    return FirestoreFeatures(url, plan)

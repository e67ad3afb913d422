"""The model in a process that scores rows: fetched from its store, verified by its lock, with one thread."""

from __future__ import annotations

import time
from pathlib import Path

from pilotlight.boot import Platform, boot
from pilotlight.dataplane import DataPlane
from pilotlight.model.lock import Description
from pilotlight_cli.registry.publish import download
from pilotlight_cli.stores import Store

# Seconds to load the model, which is on this disk already.
_START = 600.0


def fetch(model: Description, source: Store, folder: Path) -> str:
    """Download a model's files, and return the URL of the store in `folder` that has them. Raise DigestMismatch."""
    files = folder / "store" / model.name / str(model.version)
    files.mkdir(parents=True)
    for file in model.files:
        download(source, model.key(file.name), file, files, lambda _: None)
    return (folder / "store").as_uri()


def open_plane(lock: Path, store: str, folder: Path) -> DataPlane:
    """Return the data plane of a lock's model, from the store at a URL. Raise what `boot` does.

    One thread is all that it takes: as many processes run as there are processors. `folder` is for its files.
    """
    platform = Platform(lock.parent, {}, lambda *_: lambda _: None, _START, time.monotonic())
    environ = {
        "PILOTLIGHT_STORE": store,
        "PILOTLIGHT_LOCK": str(lock),
        "PILOTLIGHT_THREADS": "1",
        "TMPDIR": str(folder),
    }
    return boot(platform, environ)[0].plane

"""The files of a model for processes that score rows, fetched from its store once."""

from __future__ import annotations

from pathlib import Path

from pilotlight.model.lock import Description
from pilotlight_cli.registry.publish import download
from pilotlight_cli.stores import Store


def fetch(model: Description, source: Store, folder: Path) -> str:
    """Download a model's files, and return the URL of the store in `folder` that has them. Raise DigestMismatch."""
    files = folder / "store" / model.name / str(model.version)
    files.mkdir(parents=True)
    for file in model.files:
        download(source, model.key(file.name), file, files, lambda _: None)
    return (folder / "store").as_uri()

"""Reading a stored version back: its manifest, its golden samples, and the digests of all its files."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from pilotlight.model.lock import Description
from pilotlight_cli.registry.golden_file import stored_golden, stored_reference
from pilotlight_cli.registry.manifest import Manifest
from pilotlight_cli.registry.publish import download
from pilotlight_cli.registry.versions import show
from pilotlight_cli.stores import Progress, Store


def verify_stored(store: Store, name: str, version: int, progress: Progress) -> Manifest:
    """Return the manifest of a version whose files all have their digests.

    Raise NotPublished, FormatError for a manifest or golden samples that cannot be read, DigestMismatch for other
    bytes, or StoreError for a file that is missing.
    """
    manifest = show(store, name, version)
    check_stored_files(store, manifest.model, progress)
    return manifest


def check_stored_files(store: Store, model: Description, progress: Progress) -> None:
    """Read all files of a version back. Raise as `verify_stored` does."""
    stored_golden(store, model)
    if model.reference:
        stored_reference(store, model)
    with TemporaryDirectory(prefix="pilotlight-") as folder:
        for file in model.files:  # one file at a time takes the least room
            download(store, model.key(file.name), file, Path(folder), progress).unlink()

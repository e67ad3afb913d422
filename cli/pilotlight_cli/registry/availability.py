"""Copying the pinned version into a model store that lacks it, and checking one that has it."""

from __future__ import annotations

from pathlib import Path

from pilotlight.errors import PilotlightError
from pilotlight.model.lock import Description, load_lock
from pilotlight_cli import console
from pilotlight_cli.experimenting.beside import versions_beside
from pilotlight_cli.project import ProjectUsageError
from pilotlight_cli.project.folders import find_project
from pilotlight_cli.registry.publish import copy
from pilotlight_cli.registry.versions import NotPublished, show
from pilotlight_cli.stores import Store, StoreUrlError, open_store


class NotAvailable(PilotlightError):
    """The store lacks the pinned version and no source is given, or has different files under its number."""


def project_store(folder: Path) -> str:
    """Return the URL of the store of a folder's project; empty if it is in no project. Raise FormatError."""
    try:
        return find_project(folder).store
    except ProjectUsageError:
        return ""


def store_of(lock: Path) -> str:
    """Return the URL of the store of a lock's project. Raise StoreUrlError if it is in no project, or FormatError."""
    store = project_store(lock.parent)
    if not store:
        raise StoreUrlError(f"{lock} is in no project, which would name its model store; name one with --store URL")
    return store


def ensure_published(lock: Path, target: Store, source: str = "") -> bool:
    """Copy the version that a lock pins, and those that a function loads beside it, to a store.

    Return False if the store has all already. The source is the store `source`, by default that of the lock's project.
    Raise NotAvailable, StoreError, DigestMismatch or FormatError.
    """
    source = source or project_store(lock.parent)
    model = load_lock(lock).model
    pinned = [(model, lock.name), *versions_beside(lock, model)]
    copied = [_ensure(one, file, target, source) for one, file in pinned]
    return any(copied)


def _ensure(model: Description, file: str, target: Store, source: str) -> bool:
    """Copy a version that a file pins. Return False if the store has it already."""
    try:
        _check_same(model, show(target, model.name, model.version).model, target)
    except NotPublished:
        if not source or source == target.url:
            raise NotAvailable(
                f"{target.url} has no {model.name}:{model.version}, which {file} pins; name the store that has "
                "it with --from"
            ) from None
        _copy(model, open_store(source), target)
        return True
    return False


def _copy(model: Description, source: Store, target: Store) -> None:
    found = show(source, model.name, model.version).model
    _check_same(model, found, source)
    size = sum(file.size for file in (*model.companions, *model.files))
    with console.transferring(f"Copying {model.name}:{model.version} to {target.url}", 2 * size) as progress:
        copy(source, target, model.name, model.version, progress)


def _check_same(pinned: Description, found: Description, store: Store) -> None:
    """Raise NotAvailable for different files under the pinned number: the function would not start with them."""
    files = {file.name: file for file in (*found.companions, *found.files)}
    for expected in (*pinned.companions, *pinned.files):
        stored = files.get(expected.name)
        if stored != expected:
            problem = f"has SHA-256 {stored.sha256}" if stored else "is missing"
            raise NotAvailable(
                f"{pinned.name}:{pinned.version} in {store.url} differs from the pinned version: {expected.name} "
                f"{problem}, expected SHA-256 {expected.sha256}; pin the version in that store, or use another store"
            )

"""Sees to it that a model store has the pinned version, and that it is the pinned one."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from pilotlight.errors import PilotlightError
from pilotlight.model.lock import Description, load_lock
from pilotlight_cli import console
from pilotlight_cli.registry.publish import copy
from pilotlight_cli.registry.sample import pins_sample, publish_sample
from pilotlight_cli.registry.versions import NotPublished, show
from pilotlight_cli.stores import Store, open_store


class NotAvailable(PilotlightError):
    """The store lacks the pinned version and nobody said where it is, or has another one by its number."""


def ensure_published(lock: Path, target: Store, source: str, example: str) -> bool:
    """Copy the version that a lock pins to a store; False where it is there already.

    It comes from the store `source`, or, where that is empty, from this repository when the lock pins its sample;
    `example` is a command that names one. Digests are checked on the way, and those of a version that is there. Raises
    NotAvailable, StoreError, DigestMismatch.
    """
    pinned = load_lock(lock)
    model = pinned.model
    try:
        _check_same(model, show(target, model.name, model.version).model, target)
    except NotPublished:
        if source:
            _copy(model, open_store(source), target)
        elif pins_sample(pinned):
            with TemporaryDirectory(prefix="pilotlight-") as folder:
                origin = open_store(Path(folder).as_uri())
                publish_sample(origin, lock)
                _copy(model, origin, target)
        else:
            raise NotAvailable(
                f"{target.url} has no {model.name}:{model.version}, which {lock.name} pins; name the store that has "
                f"it: '{example}'"
            ) from None
        return True
    return False


def _copy(model: Description, source: Store, target: Store) -> None:
    found = show(source, model.name, model.version).model
    _check_same(model, found, source)
    size = model.golden.size + sum(file.size for file in model.files)
    with console.transferring(f"Copying {model.name}:{model.version} to {target.url}", 2 * size) as progress:
        copy(source, target, model.name, model.version, progress)


def _check_same(pinned: Description, found: Description, store: Store) -> None:
    """Refuse another version of the same number: it would fail the function's start."""
    files = {file.name: file for file in (found.golden, *found.files)}
    for wanted in (pinned.golden, *pinned.files):
        there = files.get(wanted.name)
        if there != wanted:
            seen = f"SHA-256 {there.sha256}" if there else "no such file"
            raise NotAvailable(
                f"{store.url} has another {pinned.name}:{pinned.version} than the pinned one: its {wanted.name} has "
                f"{seen}, expected {wanted.sha256}; pin the version of that store, or use another store"
            )

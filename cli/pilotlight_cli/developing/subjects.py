"""What is being developed: the pin of a project, or a model file that is not published."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from pilotlight.model.golden import write_golden
from pilotlight.model.lock import GOLDEN, LAST_VERSION, Description, Lock, write_lock
from pilotlight_cli import console
from pilotlight_cli.assets import CORE, FUNCTIONS, IS_CLONE
from pilotlight_cli.developing.watching import States
from pilotlight_cli.formats.engines import choose
from pilotlight_cli.pinning.pin import REQUIREMENTS, resolve_requirements, write_together
from pilotlight_cli.pinning.requirements import CORE_PACKAGES, pins
from pilotlight_cli.registry.availability import project_store
from pilotlight_cli.registry.json_document import to_bytes
from pilotlight_cli.registry.publish import describe, upload
from pilotlight_cli.regular_files import file_states
from pilotlight_cli.sandbox.inspection import Inspection, discard, inspect
from pilotlight_cli.sandbox.spares import Spares
from pilotlight_cli.stores import open_store


class Subject(Protocol):
    """What is being developed: `PinnedModel` or `ModelFile`."""

    def files(self) -> Iterator[Path]:
        """Yield the files to watch."""
        ...

    def states(self) -> States:
        """Return the states of files as `pin` has read them, empty where it has read none or failed."""
        ...

    def pin(self, folder: Path) -> tuple[Path, str | None]:
        """Return a lock of its present state, and the store that has it. Files may be written to `folder`."""
        ...

    def prepare(self) -> None:
        """Get ready for the next `pin`, without waiting."""
        ...

    def close(self) -> None:
        """End what `prepare` has started."""
        ...


class PinnedModel:
    """What the lock of a project pins, in the project's store."""

    def __init__(self, lock: Path) -> None:
        self._lock = lock

    def files(self) -> Iterator[Path]:
        """See `Subject.files`."""
        yield from (self._lock, self._lock.with_name(REQUIREMENTS), self._lock.with_name(GOLDEN))

    def states(self) -> States:
        """See `Subject.states`."""
        return {}

    def pin(self, folder: Path) -> tuple[Path, str | None]:  # noqa: ARG002 - as the protocol has it
        """See `Subject.pin`."""
        return self._lock, project_store(self._lock.resolve().parent) or None

    def prepare(self) -> None:
        """See `Subject.prepare`: nothing takes long."""

    def close(self) -> None:
        """See `Subject.close`."""


class ModelFile:
    """A model file. Each state of it is a version, which only its own instance sees."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._requirements = ""
        self._files: tuple[Path, ...] = (path,)
        self._states: States = {}
        self._notes: tuple[str, ...] = ()
        self._versions = iter(range(1, LAST_VERSION + 1))
        self._spares = Spares()

    def files(self) -> Iterator[Path]:
        """See `Subject.files`."""
        yield from self._files

    def states(self) -> States:
        """See `Subject.states`."""
        return self._states

    def pin(self, folder: Path) -> tuple[Path, str | None]:
        """Inspect the file as `publish` does. See `Subject.pin`."""
        self._states = {}
        found = inspect(self._path, format=None, signature=None, golden=None, allow=(), waiting=self._spares)
        try:
            return self._pin(found, folder)
        finally:
            discard(found)

    def prepare(self) -> None:
        """See `Subject.prepare`."""
        self._spares.fill()

    def close(self) -> None:
        """See `Subject.close`."""
        self._spares.close()

    def _pin(self, found: Inspection, folder: Path) -> tuple[Path, str]:
        self._states = found.states
        self._files = tuple(found.states)
        self._note(found.notes)
        store = open_store((folder / "store").as_uri())
        golden = to_bytes(write_golden(found.golden))
        model = upload(
            store,
            describe(found, self._name, golden),
            golden,
            file_states(found.files),
            [next(self._versions)],
            clock=lambda: datetime.now(UTC),
            progress=lambda _: None,
        ).model
        model = replace(model, runtime=choose(model, None))
        requirements = self._resolve(model).encode()
        lock = folder / "model.lock"
        content = to_bytes(write_lock(Lock(model, hashlib.sha256(requirements).hexdigest())))
        write_together([(folder / GOLDEN, golden), (folder / REQUIREMENTS, requirements), (lock, content)])
        return lock, store.url

    def _note(self, notes: tuple[str, ...]) -> None:
        for note in notes:
            if note not in self._notes:
                console.note(note)
        self._notes = notes

    def _resolve(self, model: Description) -> str:
        """Return the requirements; resolve them anew only if the model needs other versions."""
        pinned = pins(self._requirements)
        needed = {**pins("\n".join(CORE_PACKAGES)), **model.runtime.packages}
        if any(pinned.get(package) != version for package, version in needed.items()):
            self._requirements = resolve_requirements(model, self._requirements)
        return self._requirements


def sources(cloud: str) -> Iterator[Path]:
    """Yield the function's sources, if they are a clone's; those of an installation do not change."""
    if IS_CLONE:
        for folder in (CORE, FUNCTIONS / cloud / "predict"):
            yield from sorted(folder.rglob("*.py"))


def name_of(path: Path) -> str:
    """Return a model's name made from that of its file."""
    return re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "model"

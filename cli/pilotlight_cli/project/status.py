"""`pilotlight status`: what each model pins, what the project's store has, and what serves in each environment."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pilotlight.errors import PilotlightError
from pilotlight.model.lock import Description, load_lock
from pilotlight_cli.project.folders import ModelFolder, Project
from pilotlight_cli.registry.versions import show, version_numbers
from pilotlight_cli.stores import Store, open_store


@dataclass(frozen=True, slots=True)
class Pin:
    """What a lock pins, and the lock's SHA-256."""

    model: Description
    lock: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A model in the project's store: its newest version (0 if none), and whether the pinned one is there and equal.

    `pinned` is "equal", "different", "missing" or "unavailable", or empty without a pin. `reason` explains the last.
    """

    newest: int = 0
    pinned: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """A version or a revision of a function, with its percentage of the traffic.

    Release, model and lock are empty, and `is_pin` is None, where the cloud does not tell. `lock` is the SHA-256 of the
    deployed model.lock, or its first part.
    """

    version: str
    percent: int
    release: str = ""
    model: str = ""
    is_pin: bool | None = None
    lock: str = ""


@dataclass(frozen=True, slots=True)
class Details:
    """More of an environment: its URL, the release in progress if any, and the state of each alarm by its name.

    `alarms` is None where they could not be read; `alarms_problem` says what could not, and where to look.
    """

    url: str = ""
    release: str = ""
    alarms: Mapping[str, str] | None = None
    alarms_problem: str = ""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What serves in an environment: `name` is the stack or the function, `reason` explains a failure.

    `state` is "serving", "not deployed", "not set up", "no credentials", "no access" or "failed".
    """

    cloud: str
    environment: str
    name: str
    state: str
    shares: tuple[Share, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A model of a project. `problem` says why its lock cannot be read; `stored` is None if nobody looked."""

    folder: ModelFolder
    pin: Pin | None
    problem: str
    stored: Stored | None
    deployments: tuple[Deployment, ...]


def read_status(project: Project, models: Sequence[ModelFolder], *, offline: bool = False) -> list[ModelStatus]:
    """Return the status of models. Only a store in a folder is read if `offline` is set."""
    pool = ThreadPoolExecutor(max_workers=8)
    try:
        pins = [read_pin(folder) for folder in models]
        has_store = not offline or project.store.startswith("file:")
        stored = [
            pool.submit(_stored, project.store, folder, pin) if has_store else None
            for folder, (pin, _) in zip(models, pins, strict=True)
        ]
        deployments = [
            [pool.submit(read) for read in ([] if offline else _deployments(project, folder, pin))]
            for folder, (pin, _) in zip(models, pins, strict=True)
        ]
        return [
            ModelStatus(folder, *pin, found.result() if found else None, tuple(one.result() for one in places))
            for folder, pin, found, places in zip(models, pins, stored, deployments, strict=True)
        ]
    finally:
        pool.shutdown(cancel_futures=True)


def read_pin(folder: ModelFolder) -> tuple[Pin | None, str]:
    """Return what a model pins, if anything, and why its lock cannot be read."""
    if not folder.lock.exists():
        return None, ""
    try:
        return Pin(load_lock(folder.lock).model, hashlib.sha256(folder.lock.read_bytes()).hexdigest()), ""
    except (PilotlightError, OSError) as error:
        return None, f"{folder.lock.parent}: {error}"


def _stored(url: str, folder: ModelFolder, pin: Pin | None) -> Stored:
    try:
        store = open_store(url)
        found = version_numbers(store, pin.model.name if pin else folder.name)
        return Stored(max(found, default=0), _compared(store, pin.model, found) if pin else "")
    except PilotlightError as error:
        return Stored(0, "unavailable", str(error))


def _compared(store: Store, pinned: Description, found: Sequence[int]) -> str:
    if pinned.version not in found:
        return "missing"
    stored = show(store, pinned.name, pinned.version).model
    return "equal" if (stored.files, stored.companions) == (pinned.files, pinned.companions) else "different"


def _deployments(project: Project, folder: ModelFolder, pin: Pin | None) -> list[Callable[[], Deployment]]:
    """Return a function for each environment, which returns what it serves."""
    lock = pin.lock if pin else ""
    reads: list[Callable[[], Deployment]] = []
    if "aws" in project.clouds:
        from pilotlight_cli.aws import environments, serving

        reads += _each("aws", folder.environments, environments.environment_names, serving.read_deployment, lock)
    if "gcp" in project.clouds:
        from pilotlight_cli.gcp import serving as gcp_serving
        from pilotlight_cli.gcp import settings

        reads += _each("gcp", folder.gcp_settings, settings.environment_names, gcp_serving.read_deployment, lock)
    return reads


def _each(
    cloud: str,
    file: Path,
    names: Callable[[Path], list[str]],
    read: Callable[[Path, str, str], Deployment],
    lock: str,
) -> list[Callable[[], Deployment]]:
    try:
        environments = names(file)
    except PilotlightError as error:
        unreadable = Deployment(cloud, "", "", "not set up", reason=str(error))
        return [lambda: unreadable]
    return [partial(read, file, environment, lock) for environment in environments]

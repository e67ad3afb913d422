"""The experiment and the shadow beside a lock, if there are any."""

from __future__ import annotations

from pathlib import Path

from pilotlight.experiments.lock import FILE, ExperimentLock, load_experiment
from pilotlight.model.lock import Description
from pilotlight.shadow.lock import FILE as SHADOW
from pilotlight.shadow.lock import ShadowLock, load_shadow


def experiment_beside(lock: Path, pinned: Description) -> ExperimentLock | None:
    """Return the experiment beside a lock, None without one. Raise FormatError for one that does not fit the lock."""
    path = lock.with_name(FILE)
    return load_experiment(path, pinned) if path.exists() else None


def shadow_beside(lock: Path, pinned: Description) -> ShadowLock | None:
    """Return the shadow beside a lock, None without one. Raise FormatError for one that does not fit the lock."""
    path = lock.with_name(SHADOW)
    return load_shadow(path, pinned) if path.exists() else None


def treatments_beside(lock: Path, pinned: Description) -> tuple[Description, ...]:
    """Return the versions that the experiment beside a lock serves too. Raise FormatError."""
    experiment = experiment_beside(lock, pinned)
    return tuple(treatment.model for treatment in experiment.treatments) if experiment else ()


def versions_beside(lock: Path, pinned: Description, only: str = "") -> list[tuple[Description, str]]:
    """Return the versions that a function loads beside the pinned one, each with its file, or those in one file.

    Raise FormatError.
    """
    found: list[tuple[Description, str]] = []
    if only != SHADOW:
        found += [(model, FILE) for model in treatments_beside(lock, pinned)]
    if only != FILE and (shadow := shadow_beside(lock, pinned)):
        found.append((shadow.model, SHADOW))
    return found

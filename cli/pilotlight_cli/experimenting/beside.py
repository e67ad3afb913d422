"""The experiment beside a lock, if there is one."""

from __future__ import annotations

from pathlib import Path

from pilotlight.experiments.lock import FILE, ExperimentLock, load_experiment
from pilotlight.model.lock import Description


def experiment_beside(lock: Path, pinned: Description) -> ExperimentLock | None:
    """Return the experiment beside a lock, None without one. Raise FormatError for one that does not fit the lock."""
    path = lock.with_name(FILE)
    return load_experiment(path, pinned) if path.exists() else None


def treatments_beside(lock: Path, pinned: Description) -> tuple[Description, ...]:
    """Return the versions that the experiment beside a lock serves too. Raise FormatError."""
    experiment = experiment_beside(lock, pinned)
    return tuple(treatment.model for treatment in experiment.treatments) if experiment else ()

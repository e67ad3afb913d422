"""`pilotlight experiment shadow`: the version in `shadow.lock`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pilotlight.errors import FormatError
from pilotlight.experiments.assignment import BUCKETS
from pilotlight.experiments.lock import control_of
from pilotlight.model.lock import load_lock
from pilotlight.shadow.lock import FILE, ShadowLock, read_shadow, write_shadow
from pilotlight_cli.experimenting.beside import shadow_beside
from pilotlight_cli.experimenting.footprint import footprint
from pilotlight_cli.experimenting.pin import TreatmentRefused, checked
from pilotlight_cli.experimenting.shares import percent
from pilotlight_cli.pinning.pin import write_together
from pilotlight_cli.registry.json_document import to_bytes
from pilotlight_cli.stores import Store


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A shadow beside a lock: of how many requests, in percent, and how large the versions are together."""

    path: Path
    shadow: ShadowLock
    sample: str
    footprint: str


def pin_shadow(store: Store, reference: str, lock: Path, sample: float) -> Shadowed:
    """Let a version see so many percent of the pinned one's requests; it takes the place of another shadow.

    Raise TreatmentRefused, BreakingChange, FormatError, and what `pin` raises for a version that is not as its manifest
    says; the file is then unchanged.
    """
    pinned = load_lock(lock).model
    count = round(sample * BUCKETS / 100)
    if not 0 < count <= BUCKETS or abs(count * 100 / BUCKETS - sample) > 1e-9:
        raise TreatmentRefused(f"--sample is {sample:g}; expected a percentage above 0 and up to 100, of two decimals")
    shadow = ShadowLock(control_of(pinned), count, checked(store, reference, lock, pinned))
    content = to_bytes(write_shadow(shadow))
    try:
        read_shadow(content)  # what a start would refuse is never written
    except FormatError as error:
        raise error.within(FILE) from None
    write_together([(lock.with_name(FILE), content)])
    return _state(lock, shadow)


def stop_shadow(lock: Path, variant: str = "") -> bool:
    """Remove the shadow beside a lock, or none if it has another name. Return whether one was removed."""
    path = lock.with_name(FILE)
    if not path.exists() or (variant and read_shadow(path.read_bytes()).variant != variant):
        return False
    path.unlink()
    return True


def shadowed(lock: Path) -> Shadowed | None:
    """Return the shadow beside a lock, None without one. Raise FormatError."""
    shadow = shadow_beside(lock, load_lock(lock).model)
    return _state(lock, shadow) if shadow else None


def _state(lock: Path, shadow: ShadowLock) -> Shadowed:
    models = [load_lock(lock).model, shadow.model]
    return Shadowed(lock.with_name(FILE), shadow, percent(shadow.sample), footprint(models))

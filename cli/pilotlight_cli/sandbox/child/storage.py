"""Reading scikit-learn files through the lists, and saving again those that no function would load."""

from __future__ import annotations

import pickle
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.errors import ModelError, UnsafePickle
from pilotlight.pickles.forbidden import forbidden
from pilotlight.pickles.machine import check_name
from pilotlight.pickles.opcodes import positions, scan
from pilotlight.runtimes.sklearn import parse
from pilotlight_cli.formats.recognition import unpacked
from pilotlight_cli.sandbox.child import joblib
from pilotlight_cli.sandbox.job import Job, Names, UsageError


@dataclass(frozen=True, slots=True)
class Stored:
    """A file as it may be published, the names that it asks for, and why it is not the file that was given."""

    format: str
    path: Path
    names: Names
    note: str = ""


def load(job: Job) -> tuple[Any, frozenset[str]]:
    """The object in the file and the names that the file asks for, but for those that skops trusts by itself.

    Raises UnsafePickle for a name outside of the lists, and UsageError for one that was allowed without need.
    """
    allowed = job.admitted | frozenset(job.allow)
    if job.kind == "joblib":
        loaded, asked = joblib.load(unpacked(job.path), allowed)
    else:
        data = job.path.read_bytes()
        found = dict.fromkeys(_untrusted(data), 0) if job.kind == "skops" else positions(data)
        _check_names(found, allowed, job.kind)
        loaded, asked = parse(data, job.kind, sorted(found)), frozenset(found)
    needless = sorted(set(job.allow) - (asked - job.admitted))
    if needless:
        raise UsageError(
            f"{job.path.name} does not ask for {', '.join(needless)}, or Pilotlight knows it already; leave "
            f"{' '.join(f'--allow {name}' for name in needless)} out"
        )
    return loaded, asked


def save(job: Job, loaded: object, asked: frozenset[str]) -> list[Stored]:
    """The forms in which the model may be published, the better one first. Raises UsageError or ModelError."""
    kind = "a skops file" if job.kind == "skops" else f"a {job.kind} file" if job.kind == "joblib" else "a pickle"
    old = job.numpy_major == 1
    if job.kind == (job.wanted or job.kind) and job.kind != "joblib" and not old:
        return [Stored(job.kind, job.path, _names(job, asked))]
    if job.kind == "skops":
        raise UsageError(f"{job.path.name} is {kind} and --format says {job.wanted}; leave --format out")
    what = f"{kind} made with numpy 1, which the functions' Python has not" if old else kind
    forms = [_as_skops(job, loaded, what), _as_pickle(job, loaded, what)]
    found = [form for form in forms if form is not None and form.format == (job.wanted or form.format)]
    if not found:
        raise ModelError(f"skops cannot hold {job.path.name}; leave --format skops out")
    return found


def _as_skops(job: Job, loaded: object, what: str) -> Stored | None:
    """The model in a skops file; None where skops cannot hold it, or does not trust it and nobody asked for skops."""
    from skops.io import dumps

    try:
        data = dumps(loaded)
        untrusted = _untrusted(data)
    except Exception:  # noqa: BLE001 - skops says in many ways that it does not know an object; a pickle holds it
        return None
    if untrusted and (job.wanted != "skops" or not untrusted <= job.admitted | set(job.allow)):
        return None
    path = job.folder / "model.skops"
    path.write_bytes(data)
    return Stored("skops", path, _names(job, untrusted), f"{job.path.name} is {what}; it was saved again as skops")


def _as_pickle(job: Job, loaded: object, what: str) -> Stored:
    data = pickle.dumps(loaded, protocol=5)
    asked = frozenset(scan(data))
    _check_names(positions(data), job.admitted | set(job.allow), "pickle")
    path = job.folder / "model.pkl"
    path.write_bytes(data)
    return Stored(
        "pickle", path, _names(job, asked), f"{job.path.name} is {what}; it was saved again as a plain pickle"
    )


def _names(job: Job, asked: Collection[str]) -> Names:
    """What the file asks for, by the list that grants it."""
    return tuple(sorted(set(asked) & job.admitted)), tuple(sorted(set(asked) - job.admitted))


def _untrusted(data: bytes) -> frozenset[str]:
    """The names in a skops file that skops itself does not trust."""
    from skops.io import get_untrusted_types

    try:
        return frozenset(get_untrusted_types(data=data))
    except Exception as error:  # a file that was altered fails anywhere
        raise ModelError(f"skops cannot read the file: {type(error).__name__}: {error}") from error


def _check_names(found: dict[str, int], allowed: Collection[str], kind: str) -> None:
    """Refuse names outside of the lists, all of them in one sentence where they may be allowed."""
    unknown = [name for name in sorted(found, key=found.__getitem__) if name not in allowed or forbidden(name)]
    for name in unknown:
        if forbidden(name):
            check_name(name, allowed, found[name])
    if unknown:
        places = [f"{name} at byte {found[name]}" if kind == "pickle" else name for name in unknown]
        raise UnsafePickle(
            f"the {kind} file asks for {', '.join(places)}, which Pilotlight does not know; if you know what they do, "
            f"publish with {' '.join(f'--allow {name}' for name in unknown)}"
        )

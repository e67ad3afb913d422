"""Reading scikit-learn files with their allowed globals, and saving again those that functions cannot load."""

from __future__ import annotations

import pickle
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.errors import ModelError, UnsafePickle
from pilotlight.pickles.forbidden import forbidden
from pilotlight.pickles.machine import check_name
from pilotlight.pickles.opcodes import PickleReader, positions, scan
from pilotlight.runtimes.sklearn import parse
from pilotlight_cli.formats.convertible import command
from pilotlight_cli.formats.recognition import decompress
from pilotlight_cli.sandbox.child import joblib
from pilotlight_cli.sandbox.child.own_names import own_names
from pilotlight_cli.sandbox.job import Job, Names, UsageError

_BOOSTERS = {"catboost": "CatBoost", "lightgbm": "LightGBM", "xgboost": "XGBoost"}


@dataclass(frozen=True, slots=True)
class Stored:
    """A file to publish, the globals that it requests, and a note if it is not the given file."""

    format: str
    path: Path
    names: Names
    note: str = ""


def load(job: Job) -> tuple[Any, frozenset[str]]:
    """Return the object in the file and the globals that it requests, without those that skops trusts.

    Raise UnsafePickle for a global that is not allowed, and UsageError for one that was allowed needlessly.
    """
    own = own_names(job)
    allowed = job.admitted | own | frozenset(job.allow)
    if job.kind == "joblib":
        try:
            loaded, requested = joblib.load(decompress(job.path), allowed)
        except UnsafePickle as error:
            raise UnsafePickle(advice(job, str(error)) or str(error)) from error
    else:
        data = job.path.read_bytes()
        found = dict.fromkeys(_untrusted(data), 0) if job.kind == "skops" else positions(PickleReader(data))
        _check_names(found, allowed, job.kind, job)
        loaded, requested = parse(data, job.kind, sorted(found)), frozenset(found)
    if job.module and not requested & own:
        raise UsageError(f"{job.path.name} requests nothing of {Path(job.module).stem}; leave --with-module out")
    needless = sorted(set(job.allow) - (requested - job.admitted))
    if needless:
        raise UsageError(
            f"{job.path.name} does not request {', '.join(needless)}, or Pilotlight allows it already; leave "
            f"{' '.join(f'--allow {name}' for name in needless)} out"
        )
    return loaded, requested


def save(job: Job, loaded: object, requested: frozenset[str], made_of: str = "") -> list[Stored]:
    """Return the forms in which the model may be published, the better first.

    `made_of` says which objects of the file it is made of, if the file holds several. Raise UsageError or ModelError.
    """
    kind = made_of or _kind(job)
    old = job.numpy_major == 1
    if job.kind == (job.requested_format or job.kind) and job.kind != "joblib" and not old and not made_of:
        return [Stored(job.kind, job.path, _names(job, requested))]
    if job.kind == "skops" and not made_of:
        raise UsageError(f"{job.path.name} is {kind}, but --format says {job.requested_format}; leave --format out")
    what = f"{kind}, made with numpy 1, which functions do not have" if old else kind
    forms = [_as_skops(job, loaded, what), _as_pickle(job, loaded, what)]
    found = [form for form in forms if form is not None and form.format == (job.requested_format or form.format)]
    if not found:
        raise ModelError(f"skops cannot save {job.path.name}; leave --format skops out")
    return found


def _kind(job: Job) -> str:
    with job.path.open("rb") as file:
        head = file.read(2)
    if job.kind == "joblib" and (head == b"\x80\x02" or head[:1] in (b"c", b"(", b"}", b"]")):
        return "a pickle of an old protocol"
    return {"joblib": "a joblib file", "pickle": "a pickle", "skops": "a skops file"}[job.kind]


def _as_skops(job: Job, loaded: object, what: str) -> Stored | None:
    """Save a skops file. Return None if skops cannot, or if it is not requested and skops does not trust the model."""
    from skops.io import dumps

    try:
        data = dumps(loaded)
        untrusted = _untrusted(data)
    except Exception:  # noqa: BLE001 - skops has many errors for unknown objects; pickle saves them
        return None
    allowed = job.admitted | own_names(job) | set(job.allow)
    if untrusted and (job.requested_format != "skops" or not untrusted <= allowed):
        return None
    path = job.folder / "model.skops"
    path.write_bytes(data)
    return Stored("skops", path, _names(job, untrusted), f"{job.path.name} is {what}; it was saved again as skops")


def _as_pickle(job: Job, loaded: object, what: str) -> Stored:
    data = pickle.dumps(loaded, protocol=5)
    requested = frozenset(scan(data))
    _check_names(positions(PickleReader(data)), job.admitted | own_names(job) | set(job.allow), "pickle", job)
    path = job.folder / "model.pkl"
    path.write_bytes(data)
    return Stored(
        "pickle", path, _names(job, requested), f"{job.path.name} is {what}; it was saved again as a plain pickle"
    )


def _names(job: Job, requested: Collection[str]) -> Names:
    """Return the requested globals: those that Pilotlight ships, and the publisher's."""
    return tuple(sorted(set(requested) & job.admitted)), tuple(sorted(set(requested) - job.admitted))


def _untrusted(data: bytes) -> frozenset[str]:
    """Return the globals in a skops file that skops does not trust. Raise ModelError."""
    from skops.io import get_untrusted_types

    try:
        return frozenset(get_untrusted_types(data=data))
    except Exception as error:  # an altered file can fail anywhere
        raise ModelError(f"skops cannot read the file: {type(error).__name__}: {error}") from error


def advice(job: Job, names: str) -> str:
    """Return what to do about names that are known not to be served, or an empty string."""
    library = re.search(r"\b(catboost|lightgbm|xgboost)\.", names)
    if library:
        return (
            f"{job.path.name} holds a model of {_BOOSTERS[library[1]]}, which is served as ONNX; convert it with "
            f"'{command(job.given or job.path.name)}', and publish that"
        )
    if "scipy.stats." in names:
        return (
            f"{job.path.name} holds a search with the distributions of scipy.stats that it drew from, which are never "
            "loaded; save its best_estimator_ instead"
        )
    return ""


def _check_names(found: dict[str, int], allowed: Collection[str], kind: str, job: Job) -> None:
    """Raise UnsafePickle for globals that are not allowed, with all of them if they may be allowed."""
    unknown = [name for name in sorted(found, key=found.__getitem__) if name not in allowed or forbidden(name)]
    never = [name for name in unknown if forbidden(name)]
    known = advice(job, " ".join(found)) if never else ""
    if known:
        raise UnsafePickle(known)
    for name in never:
        check_name(name, allowed, found[name])
    if unknown:
        other = advice(job, " ".join(unknown))
        places = [f"{name} at byte {found[name]}" if kind == "pickle" else name for name in unknown]
        raise UnsafePickle(
            f"the {kind} file requests {', '.join(places)}, not allowed by default; if you know what they do, "
            f"publish with {' '.join(f'--allow {name}' for name in unknown)}" + (f". Or: {other}" if other else "")
        )

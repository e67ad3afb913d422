"""`pilotlight experiment pin` and `stop`: the treatments in `experiment.lock`, and their shares."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pilotlight.errors import FormatError, PilotlightError
from pilotlight.experiments.assignment import BUCKETS, size
from pilotlight.experiments.lock import (
    FILE,
    REQUEST,
    SALT,
    TIME,
    TIME_EXPECTED,
    UNIT,
    UNIT_EXPECTED,
    ExperimentLock,
    Treatment,
    control_of,
    libraries,
    load_experiment,
    read_experiment,
    write_experiment,
)
from pilotlight.model.contract import model_changes
from pilotlight.model.formats import FORMATS
from pilotlight.model.lock import Description, load_lock
from pilotlight.runtimes.own_modules import module_names
from pilotlight_cli.experimenting.beside import experiment_beside
from pilotlight_cli.experimenting.footprint import footprint
from pilotlight_cli.experimenting.shares import percent, resized
from pilotlight_cli.formats.engines import choose
from pilotlight_cli.pinning.pin import check_compatible, check_description, check_stored_files, write_together
from pilotlight_cli.registry.json_document import to_bytes
from pilotlight_cli.registry.versions import resolve
from pilotlight_cli.signing.demanded import demanded_keys
from pilotlight_cli.signing.stored import read_verified
from pilotlight_cli.stores import Store

# What a body has for the model itself: a unit in a field of that name would be taken from it.
_FIELDS_OF_BODIES = (
    *("features", "instances", "inputs", "outputs", "id", "parameters", "params", "signature_name"),
    *("dataframe_split", "dataframe_records"),
)


class TreatmentRefused(PilotlightError):
    """The version cannot be a treatment beside the pinned one."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What an experiment is about; an empty text keeps what there is. `without_unit` is `control` or `random`."""

    unit: str = ""
    without_unit: str = ""
    salt: str = ""
    start: str = ""
    end: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """An experiment beside a lock: shares in percent by variant, and how large the versions are together."""

    path: Path
    experiment: ExperimentLock
    shares: dict[str, str]
    footprint: str
    libraries: str


def pin_treatment(store: Store, reference: str, lock: Path, weight: float, terms: Terms) -> State:
    """Give a version so many percent of the units: add it to the experiment beside a lock, or change its share.

    Starts an experiment where there is none. Raise TreatmentRefused, BreakingChange, NoShare, FormatError, and what
    `pin` raises for a version that is not as its manifest says; the file is then unchanged.
    """
    pinned = load_lock(lock).model
    count = round(weight * BUCKETS / 100)
    if not 0 < count <= BUCKETS or abs(count * 100 / BUCKETS - weight) > 1e-9:
        raise TreatmentRefused(f"--weight is {weight:g}; expected a percentage above 0 and up to 100, of two decimals")
    before = experiment_beside(lock, pinned)
    experiment = _on_terms(before, pinned, terms)
    model = checked(store, reference, lock, pinned)
    others = [one for one in experiment.treatments if one.model.version != model.version]
    for other in others:
        _check_modules(other.model, model)
    own = next((one.buckets for one in experiment.treatments if one.model.version == model.version), ())
    taken = [one for other in others for one in other.buckets]
    treatment = Treatment(model, resized(own, taken, count))
    changed = replace(experiment, treatments=tuple(sorted((*others, treatment), key=lambda one: one.model.version)))
    return _write(lock, pinned, changed)


def stop(lock: Path, variant: str = "") -> State | None:
    """End the experiment beside a lock, or take one treatment out: its units get the control.

    Return what is left. Raise TreatmentRefused for a treatment that it does not have.
    """
    path = lock.with_name(FILE)
    if not path.exists():
        raise TreatmentRefused(f"no experiment at {path}; start one with 'pilotlight experiment pin'")
    if not variant:
        path.unlink()
        return None
    pinned = load_lock(lock).model
    experiment = load_experiment(path, pinned)
    left = tuple(one for one in experiment.treatments if one.variant != variant)
    if left == experiment.treatments:
        known = ", ".join(one.variant for one in left)
        raise TreatmentRefused(f"{path} has no treatment {variant}; it has {known}")
    if not left:
        path.unlink()
        return None
    return _write(lock, pinned, replace(experiment, treatments=left))


def state(lock: Path) -> State | None:
    """Return the experiment beside a lock, None without one. Raise FormatError."""
    pinned = load_lock(lock).model
    experiment = experiment_beside(lock, pinned)
    return _state(lock.with_name(FILE), pinned, experiment) if experiment else None


def _on_terms(before: ExperimentLock | None, pinned: Description, terms: Terms) -> ExperimentLock:
    """Return the experiment with the terms, without a new treatment. Raise TreatmentRefused."""
    for option, value, pattern, expected in (
        ("--unit", terms.unit, UNIT, UNIT_EXPECTED),
        ("--salt", terms.salt, SALT, f"a salt that matches ^{SALT}$"),
        ("--start", terms.start, TIME, TIME_EXPECTED),
        ("--end", terms.end, TIME, TIME_EXPECTED),
    ):
        if value and not re.fullmatch(pattern, value):
            raise TreatmentRefused(f"{option} is {value!r}; expected {expected}")
    if terms.unit.partition(":")[2] in _FIELDS_OF_BODIES and terms.unit.startswith("field:"):
        raise TreatmentRefused(f"--unit is {terms.unit!r}, which is the model's own field; expected another name")
    if before is None:
        if not terms.unit:
            raise TreatmentRefused(f"a new experiment requires --unit: {UNIT_EXPECTED}")
        salt = terms.salt or f"{pinned.name}-{secrets.token_hex(4)}"
        before = ExperimentLock(salt, terms.unit, control_of(pinned), ())
    for option, found, given in (("--unit", before.unit, terms.unit), ("--salt", before.salt, terms.salt)):
        if given and given != found:
            raise TreatmentRefused(
                f"{option} is {given!r}, and the experiment has {found!r}: another one would assign everybody "
                "anew; stop the experiment first"
            )
    if terms.without_unit and before.unit == REQUEST:
        raise TreatmentRefused("--without-unit has no meaning with the unit request: each request is a unit")
    is_random = terms.without_unit == "random" if terms.without_unit else before.is_random_without
    start, end = terms.start or before.start, terms.end or before.end
    if end and end <= start:
        raise TreatmentRefused(f"the end is {end}; expected a time after the start, {start}")
    return replace(before, is_random_without=is_random, start=start, end=end)


def checked(store: Store, reference: str, lock: Path, pinned: Description) -> Description:
    """Return a version that may run beside the pinned one: with its contract and libraries, and the bytes stored.

    Raise TreatmentRefused, BreakingChange, and what `pin` raises for a version that is not as its manifest says.
    """
    model = resolve(store, reference).model
    keys = demanded_keys(lock.parent)
    model = read_verified(store, model.name, model.version, keys).model if keys else model
    name = f"{model.name}:{model.version}"
    if model.name != pinned.name or model.version == pinned.version:
        raise TreatmentRefused(f"{name} is no other version of {pinned.name}:{pinned.version}, which {lock} pins")
    check_description(model)
    changes = model_changes(pinned, model)
    check_compatible(pinned, model, changes, "an experiment serves both to the same callers; nothing was changed")
    check_stored_files(store, model, every=True)
    if pinned.runtime.engine not in FORMATS[model.format].engines:
        raise TreatmentRefused(f"{name} has the format {model.format}, which {pinned.runtime.engine} does not serve")
    model = replace(model, runtime=choose(model, pinned.runtime.engine))
    if model.runtime.packages != pinned.runtime.packages:
        raise TreatmentRefused(
            f"{name} runs on {libraries(model)}, and {lock} pins {libraries(pinned)}: a function has one set of "
            "libraries; publish one of them again with the versions of the other"
        )
    _check_modules(pinned, model)
    return model


def _check_modules(one: Description, other: Description) -> None:
    """Raise TreatmentRefused for two modules of the publisher's own that have one name: a process has one of them."""
    modules = dict(_modules(one))
    for name, sha256 in _modules(other):
        if modules.get(name, sha256) != sha256:
            raise TreatmentRefused(
                f"{one.name}:{one.version} and {other.name}:{other.version} bring different modules {name}: a function "
                "has one of them; rename the module of one, and publish that again"
            )


def _modules(model: Description) -> Iterator[tuple[str, str]]:
    if FORMATS[model.format].has_methods:
        yield from zip(module_names(model), (file.sha256 for file in model.files[1:]), strict=True)


def _write(lock: Path, pinned: Description, experiment: ExperimentLock) -> State:
    path, content = lock.with_name(FILE), to_bytes(write_experiment(experiment))
    try:
        read_experiment(content)  # what a start would refuse is never written
    except FormatError as error:
        raise error.within(FILE) from None
    write_together([(path, content)])
    return _state(path, pinned, experiment)


def _state(path: Path, pinned: Description, experiment: ExperimentLock) -> State:
    counts = {one.variant: size(one.buckets) for one in experiment.treatments}
    shares = {"control": BUCKETS - sum(counts.values())} | counts
    models = [pinned, *(one.model for one in experiment.treatments)]
    return State(
        path,
        experiment,
        {variant: percent(count) for variant, count in shares.items()},
        footprint(models),
        libraries(pinned),
    )

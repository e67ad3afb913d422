"""The variants of an A/B test within one function: the treatments' models, and the choice for each request.

The control starts as ever. The treatments load behind it: while one is not loaded, or if it never is, its units get the
control.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pilotlight.dataplane import RESERVE, DataPlane, ReadObject
from pilotlight.errors import InvalidRequest
from pilotlight.experiments.assignment import bucket
from pilotlight.experiments.lock import ExperimentLock, Treatment, load_experiment
from pilotlight.experiments.outcomes import noting
from pilotlight.experiments.units import unit_of
from pilotlight.frozen import EMPTY, TYPE_CHECKING, dataclass, replace
from pilotlight.http.messages import Request, Values
from pilotlight.model.json_document import describe
from pilotlight.model.lock import Description
from pilotlight.start.loading import Loader, Plan
from pilotlight.start.machine import less
from pilotlight.telemetry import ColdStart, Record, Report

if TYPE_CHECKING:
    from pilotlight.features.lookup import FeatureLookup

CONTROL = "control"

# Of a request it names a variant, whatever the assignment; of a reply, the variant that answered.
HEADER = "x-pilotlight-variant"

# Seconds: how long a try to load a treatment may take, when the next one begins, and how long a treatment's request
# waits for it, in vain at most so many times.
_ATTEMPT = 30.0
_PAUSE = 30.0
_PATIENCE = 3.0
_MOST_WAITS = 3


@dataclass(frozen=True, slots=True)
class Choice:
    """What serves a request: a data plane, the request as the model reads it, and fields of its log line.

    `variant` is empty where no experiment runs, or the path names a version.
    """

    plane: DataPlane
    request: Request
    variant: str = ""
    fields: Mapping[str, object] = EMPTY


class _Loading:
    """A treatment that is being loaded, or is."""

    def __init__(
        self,
        treatment: Treatment,
        loader: Loader,
        clock: Callable[[], float],
        read_object: ReadObject | None,
        features: FeatureLookup | None,
    ) -> None:
        self.plane = DataPlane(treatment.model, loader, clock=clock, read_object=read_object, features=features)
        self.loader = loader
        self._clock = clock
        self._next = 0.0
        self._waits = 0

    def keep_on(self, trace: Mapping[str, object]) -> None:
        """Start an attempt unless one is running, or has ended just now."""
        now = self._clock()
        if self.loader.state == "waiting" and now >= self._next:
            self._next = now + _PAUSE
            self.loader.ensure_attempt(now + _ATTEMPT, trace)

    def is_ready(self, deadline: float | None) -> bool:
        """Whether it is loaded, by `deadline` and soon. A process that is frozen between requests loads only here."""
        if self.loader.state == "starting" and self._waits < _MOST_WAITS:
            until = self._clock() + _PATIENCE
            if not self.loader.wait(until if deadline is None else min(until, deadline - RESERVE)):
                self._waits += 1
        return self.loader.state == "ready"


class Experiment:
    """Chooses a variant for each request. Threads may call it at the same time."""

    def __init__(
        self,
        lock: ExperimentLock,
        loaders: Iterable[Loader],
        *,
        clock: Callable[[], float],
        now: Callable[[], str],
        draw: Callable[[], str] = lambda: os.urandom(16).hex(),
        read_object: ReadObject | None = None,
        features: FeatureLookup | None = None,
    ) -> None:
        """`loaders` are those of the treatments, in the lock's order; `clock` is the monotonic one of deadlines.

        `now` returns the time in the form of the lock's, `draw` a random text.
        `read_object` reads inputs by reference and `features` looks features up, as for the control.
        """
        self._lock = lock
        self._treatments = {
            treatment.variant: _Loading(treatment, loader, clock, read_object, features)
            for treatment, loader in zip(lock.treatments, loaders, strict=True)
        }
        self._now = now
        self._draw = draw
        self._has_answered = False

    def choose(self, control: DataPlane, request: Request, values: Values) -> Choice:
        """Return the choice for a request whose body is decompressed. `values` are those of its path.

        A caller gets the version or the variant that it names, loaded or not. Raise InvalidRequest for an unknown
        variant.
        """
        unit, request = unit_of(self._lock.unit, request)
        if "v" in values:
            named = self._treatments.get(f"{values['m']}:{values['v']}")
            return Choice(named.plane if named else control, request)
        if HEADER in request.headers:
            return self._named(control, request)
        if not self._lock.is_running(self._now()):
            return Choice(control, request)
        return self._assigned(control, request, unit or self._without())

    def states(self) -> dict[str, str]:
        """Return the state of each treatment's start."""
        return {variant: loading.loader.state for variant, loading in self._treatments.items()}

    def load(self) -> None:
        """Load all treatments, before the start of an instance ends. One that fails says so in the log."""
        for loading in self._treatments.values():
            loading.keep_on(EMPTY)
            loading.loader.wait(None)

    def _without(self) -> str:
        is_random = self._lock.is_random_without or self._lock.unit == "request"
        return self._draw() if is_random else ""

    def _named(self, control: DataPlane, request: Request) -> Choice:
        variant = request.headers[HEADER]
        if variant == CONTROL:
            return self._choice(control, request, CONTROL)
        if variant not in self._treatments:
            known = ", ".join(map(describe, (CONTROL, *self._treatments)))
            raise InvalidRequest(f"unknown variant {describe(variant)} in the header {HEADER}, expected {known}")
        return self._choice(self._treatments[variant].plane, request, variant)

    def _assigned(self, control: DataPlane, request: Request, unit: str) -> Choice:
        if not unit:
            return self._choice(control, request, CONTROL)
        number = bucket(self._lock.salt, unit)
        treatment = self._lock.treatment(number)
        if treatment is not None or self._has_answered:  # the first answer of the control shares its time with nobody
            for loading in self._treatments.values():
                loading.keep_on(request.trace)
        self._has_answered = True
        if treatment is None:
            return self._choice(control, request, CONTROL, CONTROL, number)
        loading = self._treatments[treatment.variant]
        if not loading.is_ready(request.deadline):
            return self._choice(control, request, CONTROL, treatment.variant, number)
        return self._choice(loading.plane, request, treatment.variant, treatment.variant, number)

    def _choice(
        self, plane: DataPlane, request: Request, variant: str, assigned: str = "", number: int | None = None
    ) -> Choice:
        """Return a choice; `assigned` is empty for a request that no bucket decided, which counts in no comparison."""
        fields: dict[str, object] = {"experiment": self._lock.salt, "variant": variant}
        if assigned:
            fields |= {"assigned": assigned, "bucket": number}
            plane = noting(plane, fields)
        return Choice(plane, request, variant, fields)


def open_experiment(
    path: Path,
    plan: Plan,
    report: Report,
    folder_of: Callable[[Description], Path],
    *,
    now: Callable[[], str],
    read_object: ReadObject | None = None,
    features: FeatureLookup | None = None,
) -> Experiment:
    """Return the experiment in a file. `plan` is the control's, `folder_of` gives each model a folder of its own.

    Nothing is loaded yet: a child of a fork can do that. Raise FormatError.
    """
    lock = load_experiment(path, plan.model)
    machine, loaders = less(plan.machine, plan.model), []
    for treatment in lock.treatments:
        model = treatment.model
        own = replace(plan, model=model, folder=folder_of(model), machine=machine, forks=False, golden=None)
        loaders.append(Loader(own, _reporting(report, treatment.variant), {}, None))
        machine = less(machine, model)
    return Experiment(lock, loaders, clock=plan.clock, now=now, read_object=read_object, features=features)


def _reporting(report: Report, variant: str) -> Report:
    """Return a report that says of which variant a start is."""

    def with_variant(record: Record) -> None:
        report(replace(record, variant=variant) if isinstance(record, ColdStart) else record)

    return with_variant

"""The start of a function, on any platform: settings, lock, model, service."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.codec import json_fast
from pilotlight.errors import PilotlightError, SettingsError
from pilotlight.fetch import FolderStore, ObjectStore
from pilotlight.frozen import EMPTY, dataclass
from pilotlight.model.lock import REFERENCE, Description, load_lock
from pilotlight.settings import DEFAULT_LOG_LEVEL, DEFAULT_NAMESPACE, read_settings
from pilotlight.start.loading import Loader, Plan
from pilotlight.start.machine import Machine
from pilotlight.telemetry import ColdStart, Report

if TYPE_CHECKING:
    from pilotlight.dataplane import ReadObject, Watch
    from pilotlight.experiments.variants import Experiment
    from pilotlight.features.lookup import FeatureLookup
    from pilotlight.features.store import OpenFeatures
    from pilotlight.service import Service
    from pilotlight.shadow.watch import Shadow
    from pilotlight.tracing.exporter import Exporter

OpenStore = Callable[[str], ObjectStore]
FolderOf = Callable[[Description], Path]

WaitUntil = Callable[[float], bool]
"""Waits until a moment of `time.monotonic` for work behind answers, and returns whether nothing is left of it."""

# Variables that a runtime's own libraries read at their import. A thread pool for more processors than there are takes
# more time and memory than the rest of that import.
_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")

# OpenTelemetry's own variables, either of which names a collector of traces.
_COLLECTOR = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


@dataclass(frozen=True, slots=True)
class Platform:
    """What a function folder provides.

    `folder` is the root of its package. `stores` opens a model store's URL by its scheme. `reporter` makes, from a log
    level and a metrics namespace, the function that writes records as log lines and metrics. `deadline` limits the init
    phase, in seconds. `started` is when the process began, on `time.monotonic`'s clock. `forks`: the process is forked
    after the start, and its children serve. `machine` looks at the machine as it is now. `primes`: the start includes a
    first prediction. `scores_records`: results have to go somewhere, and a start without a destination fails.
    `feature_stores` opens a store of features by its scheme. `lasts` lets work go on after an answer, on a platform
    that stops processes then. `device` runs the model: `cuda`, or nothing or `cpu`.
    """

    folder: Path
    stores: Mapping[str, OpenStore]
    reporter: Callable[[str, str], Report]
    deadline: float
    started: float
    forks: bool = False
    machine: Callable[[], Machine] = Machine
    primes: bool = False
    scores_records: bool = False
    feature_stores: Mapping[str, OpenFeatures] = EMPTY
    lasts: Callable[[Service, Sequence[WaitUntil]], None] | None = None
    device: str = ""


def boot(platform: Platform, environ: MutableMapping[str, str]) -> tuple[Service, Loader]:
    """Start the service, with its model loaded or still loading. Sets variables in `environ` that libraries read.

    Raises permanent errors (SettingsError, FormatError, ModelError, ObjectRefused), after a line in the log: the
    platform then fails the start, and no traffic reaches this version.
    """
    began = time.monotonic()
    report = platform.reporter(DEFAULT_LOG_LEVEL, DEFAULT_NAMESPACE)
    try:
        machine = platform.machine()
        settings = read_settings(environ, platform.folder, machine.processors)
        report = platform.reporter(settings.log_level, settings.metrics_namespace)
        if platform.scores_records and not settings.results:
            raise SettingsError("PILOTLIGHT_RESULTS is missing: without a destination all results would be lost")
        model = load_lock(settings.lock).model
        store = open_store(settings.store, platform.stores)
        report, exporter = _open_exporter(environ, model, report)
        read_object = _input_objects(settings.input_prefixes, platform) if settings.input_prefixes else None
    except PilotlightError as error:
        report(_failed(error))
        raise
    phases = {
        "import": round((began - platform.started) * 1000, 1),
        "lock": round((time.monotonic() - began) * 1000, 1),
    }
    golden = settings.lock.with_name(model.golden.name)
    for variable in _THREAD_VARIABLES:
        environ.setdefault(variable, str(settings.threads))
    parent = Path(environ.get("TMPDIR", "/tmp")) / "pilotlight"  # noqa: S108 - the only writable one
    folder_of = partial(model_folder, parent=parent)
    plan = Plan(
        model=model,
        store=store,
        folder=folder_of(model),
        threads=settings.threads,
        clock=time.monotonic,
        sleep=time.sleep,
        forks=platform.forks,
        machine=machine,
        golden=golden if platform.primes else None,
        device=platform.device,
    )
    loader = Loader(plan, report, phases, platform.started)
    if model.runtime.name == "onnx" and threading.active_count() == 1:  # a pickled model runs code of others
        json_fast.import_without_types()
    loader.begin(platform.deadline)
    make_service = loader.timed("import", _import_service)
    features = None
    if (described := settings.lock.with_name("features.toml")).is_file():
        features = loader.timed("features", lambda: _open_features(described, model, platform, report, environ))
    beside = settings.lock.with_name("experiment.lock")
    experiment = None
    if not platform.scores_records and beside.is_file():
        experiment = loader.timed(
            "experiment", lambda: _open_experiment(beside, plan, report, folder_of, read=read_object, features=features)
        )
    service = make_service(
        model,
        loader,
        report,
        max_body_bytes=settings.max_body_bytes,
        clock=time.monotonic,
        golden=golden,
        cors_origins=settings.cors_origins,
        base_path=settings.base_path,
        read_object=read_object,
        experiment=experiment,
        features=features,
    )
    if model.reference is not None:
        service.plane.watch = loader.timed("drift", lambda: _open_watch(settings.lock, model, report))
    beside = settings.lock.with_name("shadow.lock")
    shadow = None
    if not platform.scores_records and beside.is_file():
        shadow = loader.timed("shadow", lambda: _open_shadow(beside, plan, folder_of, service, platform))
    _let_last(platform, service, shadow, exporter)
    loader.finish()
    if experiment is not None and platform.primes:
        experiment.load()
    return service, loader


def _import_service() -> type[Service]:
    """Import the modules that requests need, while the files are fetched."""
    from pilotlight.service import Service  # noqa: PLC0415

    return Service


def _input_objects(prefixes: Sequence[str], platform: Platform) -> ReadObject:
    """Return what reads objects below these prefixes. Raises SettingsError for another cloud's."""
    from pilotlight.fetch.inputs import InputObjects  # noqa: PLC0415 - few functions read any

    for prefix in prefixes:
        if prefix.partition("://")[0] not in platform.stores:
            known = " or ".join(f"{scheme}://bucket/prefix/" for scheme in platform.stores)
            raise SettingsError(f"PILOTLIGHT_INPUT_PREFIXES has {prefix!r}; expected {known}")
    return InputObjects(
        prefixes,
        lambda url: open_store(url, platform.stores),
        free_memory=lambda: platform.machine().free,
        clock=time.monotonic,
        sleep=time.sleep,
    ).read


def _failed(error: PilotlightError) -> ColdStart:
    """Return the record of a start that ends here: an alarm on failed starts counts its line."""
    return ColdStart("failed", "", 0, {}, 0, 0, f"{type(error).__name__}: {error}")


def _open_features(
    path: Path, model: Description, platform: Platform, report: Report, environ: Mapping[str, str]
) -> FeatureLookup:
    """Open the store of features. Raise FormatError or SettingsError, after a line in the log."""
    from pilotlight.features.lookup import open_lookup  # noqa: PLC0415 - few functions look any up

    try:
        lookup = open_lookup(path, model.signature, platform.feature_stores, environ)
    except PilotlightError as error:
        report(_failed(error))
        raise
    if platform.forks:
        os.register_at_fork(after_in_child=lookup.connect)
    elif not platform.primes:  # a snapshot must contain no connection
        lookup.connect()
    return lookup


def _open_experiment(
    path: Path,
    plan: Plan,
    report: Report,
    folder_of: FolderOf,
    *,
    read: ReadObject | None,
    features: FeatureLookup | None,
) -> Experiment:
    """Open the experiment beside the lock. Raise FormatError, after a line in the log."""
    from pilotlight.experiments.variants import open_experiment  # noqa: PLC0415 - few functions have one

    def now() -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    try:
        return open_experiment(path, plan, report, folder_of, now=now, read_object=read, features=features)
    except PilotlightError as error:
        report(_failed(error))
        raise


def _open_watch(lock: Path, model: Description, report: Report) -> Watch:
    """Open the reference beside the lock. Raise FormatError, after a line in the log."""
    from pilotlight.drift.reference import load_reference  # noqa: PLC0415 - few versions have one
    from pilotlight.drift.watch import Watch as Counts  # noqa: PLC0415

    try:
        columns = load_reference(lock.with_name(REFERENCE), model.signature)
    except PilotlightError as error:
        report(_failed(error))
        raise
    return Counts(model, columns, report)


def _open_shadow(path: Path, plan: Plan, folder_of: FolderOf, service: Service, platform: Platform) -> Shadow:
    """Let the shadow beside the lock see the model's calls. Raise FormatError, after a line in the log."""
    from pilotlight.shadow.watch import open_shadow  # noqa: PLC0415 - few functions have one

    try:
        return open_shadow(path, plan, service.report, folder_of, service.plane, machine=platform.machine)
    except PilotlightError as error:
        service.report(_failed(error))
        raise


def _open_exporter(environ: Mapping[str, str], model: Description, report: Report) -> tuple[Report, Exporter | None]:
    """Return what sends spans to a collector, if the environment names one, and what reports. Raises SettingsError."""
    if not any(map(environ.get, _COLLECTOR)):
        return report, None
    from pilotlight.tracing.collector import read_collector  # noqa: PLC0415 - few functions have one
    from pilotlight.tracing.exporter import Exporter  # noqa: PLC0415

    exporter = Exporter(read_collector(environ, model.name), model, report)
    return exporter.follow(report), exporter


def _let_last(platform: Platform, service: Service, *works: Shadow | Exporter | None) -> None:
    """Give what works behind answers time after each, on a platform that stops processes then."""
    waits = [one.wait for one in works if one is not None]
    if waits and platform.lasts is not None:
        platform.lasts(service, waits)


def open_store(url: str, stores: Mapping[str, OpenStore]) -> ObjectStore:
    """Return the store at a URL, by its scheme. Raises SettingsError for an unsupported scheme."""
    scheme, _, rest = url.partition("://")
    if scheme == "file":
        return FolderStore(_folder(rest))
    if scheme not in stores:
        raise SettingsError(
            f"PILOTLIGHT_STORE is {url!r}; expected {', '.join(f'{name}://' for name in stores)} or file://"
        )
    return stores[scheme](url)


def _folder(rest: str) -> Path:
    """Return the folder of a file:// URL, which may name this host and is percent-encoded (RFC 8089)."""
    from urllib.parse import unquote  # noqa: PLC0415 - a cloud's own store does not need it

    return Path(unquote(rest.removeprefix("localhost")))


def model_folder(model: Description, parent: Path) -> Path:
    """Return a folder for this model alone: other versions on the same disk cannot be mistaken for it."""
    return parent / f"{model.name}-{model.version}-{model.files[0].sha256[:16]}"

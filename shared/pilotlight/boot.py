"""The start of a function, on any platform: settings, lock, model, service."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.errors import PilotlightError, SettingsError
from pilotlight.fetch.protocol import FolderStore, ObjectStore
from pilotlight.frozen import dataclass
from pilotlight.model.lock import Description, load_lock
from pilotlight.settings import DEFAULT_LOG_LEVEL, DEFAULT_NAMESPACE, read_settings
from pilotlight.start.loading import Loader, Plan
from pilotlight.start.machine import Machine
from pilotlight.telemetry import ColdStart, Report

if TYPE_CHECKING:
    from pilotlight.service import Service

OpenStore = Callable[[str], ObjectStore]

# What libraries below a runtime read when they are imported. A pool that they make for processors that are not there
# takes longer to make, and more memory, than the rest of their import.
_POOLS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Platform:
    """What a function folder brings.

    `folder` is the root of its package. `stores` opens a model store's URL by its scheme. `reporter` makes what writes
    records as log lines and metrics, from a log level and a metrics namespace. `deadline` bounds the init phase, in
    seconds. `started` is when the process began, on `time.monotonic`'s clock. `forks` says that the process is forked
    after the start, and that its children serve. `primes` says that a first prediction belongs to the start.
    """

    folder: Path
    stores: Mapping[str, OpenStore]
    reporter: Callable[[str, str], Report]
    deadline: float
    started: float
    forks: bool = False
    machine: Machine = Machine()
    primes: bool = False


def boot(platform: Platform, environ: MutableMapping[str, str]) -> tuple[Service, Loader]:
    """Start the service, its model loaded or on its way. `environ` gets what libraries read in it at their import.

    Raises whatever can never work (SettingsError, FormatError, ModelError, ObjectRefused), after a line in the log: the
    platform then fails the start, and no traffic reaches this version.
    """
    began = time.monotonic()
    report = platform.reporter(DEFAULT_LOG_LEVEL, DEFAULT_NAMESPACE)
    try:
        settings = read_settings(environ, platform.folder, platform.machine.processors)
        report = platform.reporter(settings.log_level, settings.metrics_namespace)
        model = load_lock(settings.lock).model
        store = open_store(settings.store, platform.stores)
    except PilotlightError as error:
        # A line before the process dies: an alarm on failed starts counts it.
        report(ColdStart("failed", "", 0, {}, 0, 0, f"{type(error).__name__}: {error}"))
        raise
    phases = {
        "import": round((began - platform.started) * 1000, 1),
        "lock": round((time.monotonic() - began) * 1000, 1),
    }
    golden = settings.lock.with_name(model.golden.name)
    for pool in _POOLS:
        environ.setdefault(pool, str(settings.threads))
    loader = Loader(
        Plan(
            model=model,
            store=store,
            folder=_model_folder(model, environ),
            threads=settings.threads,
            clock=time.monotonic,
            sleep=time.sleep,
            forks=platform.forks,
            machine=platform.machine,
            golden=golden if platform.primes else None,
        ),
        report,
        phases,
        platform.started,
    )
    loader.begin(platform.deadline)
    make_service = loader.timed("import", _service)
    service = make_service(
        model,
        loader,
        report,
        max_body_bytes=settings.max_body_bytes,
        clock=time.monotonic,
        golden=golden,
        cors_origins=settings.cors_origins,
    )
    loader.finish()
    return service, loader


def _service() -> type[Service]:
    """What a request needs is imported while the store is waited for."""
    from pilotlight.service import Service  # noqa: PLC0415

    return Service


def open_store(url: str, stores: Mapping[str, OpenStore]) -> ObjectStore:
    """The store at a URL, by its scheme. Raises SettingsError for one that this function does not read."""
    scheme, _, rest = url.partition("://")
    if scheme == "file":
        return FolderStore(_folder(rest))
    if scheme not in stores:
        raise SettingsError(
            f"PILOTLIGHT_STORE is {url!r}; this function reads {', '.join(f'{name}://' for name in stores)} and file://"
        )
    return stores[scheme](url)


def _folder(rest: str) -> Path:
    """The folder of a file:// URL, which may name this host and is percent-encoded (RFC 8089)."""
    from urllib.parse import unquote  # noqa: PLC0415 - a cloud's own store does not need it

    return Path(unquote(rest.removeprefix("localhost")))


def _model_folder(model: Description, environ: Mapping[str, str]) -> Path:
    """A folder of this model alone: other versions on the same disk cannot be mistaken for it."""
    temporary = Path(environ.get("TMPDIR", "/tmp"))  # noqa: S108 - the platforms' only writable folder
    return temporary / "pilotlight" / f"{model.name}-{model.version}-{model.files[0].sha256[:16]}"

"""The sources of a function: its folder, the core that it imports, the files that `pin` wrote."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from pilotlight.errors import FormatError
from pilotlight.experiments.lock import FILE as EXPERIMENT
from pilotlight.features.plan import FILE as FEATURES
from pilotlight.model.formats import ENGINES
from pilotlight.model.lock import GOLDEN, REFERENCE, Lock
from pilotlight.shadow.lock import FILE as SHADOW
from pilotlight_cli.assets import CORE, FUNCTIONS
from pilotlight_cli.pinning.pin import REQUIREMENTS
from pilotlight_cli.project.folders import CLOUDS
from pilotlight_cli.registry.digests import content_entry, difference
from pilotlight_cli.staging.closure import imported_modules, sibling_modules
from pilotlight_cli.staging.package import BuildError

# The functions with the model. AWS has others, without lock and libraries: their boto3 is the runtime's.
PREDICT, RECORDS, KAFKA, BATCH = "predict", "records", "kafka", "batch"
WITH_MODEL = (PREDICT, RECORDS, KAFKA, BATCH)
LOOKS_UP = (PREDICT, RECORDS, KAFKA)  # whose instances are objects, in which features may be missing

# What runs in a container, which reaches the stores of both clouds by the modules of their predict functions, and a
# job's objects in S3 by those of AWS's function for it; its own function for requests is the server, which for a GPU
# has other libraries.
CONTAINER, GPU = "container", "gpu"
_SERVER, _SHARED = "server", ("common", "grpc")

_NOT_SOURCES = shutil.ignore_patterns("__pycache__", "*.pyc", "*.pyi", "*.proto", "requirements.in", REQUIREMENTS, ".*")


def stage_sources(cloud: str, lock: Path, out: Path, function: str = PREDICT) -> None:
    """Copy everything but the libraries to `out`, which must not exist: the folder's files land at its root.

    An experiment or a shadow beside the lock is for the function that predicts alone: records have the pinned version.
    Features are looked up for requests and for records.

    The modules of the core are those that these files import, directly or indirectly. Raise FormatError if a file that
    `pin` wrote is missing; the function itself checks the lock.
    """
    written = _pinned(lock, function)
    stage_code(cloud, out, function)
    _add(written, out)


def add_pinned(lock: Path, out: Path, function: str = PREDICT) -> None:
    """Add to a function's code what `pin` and `experiment` wrote. Raise FormatError if a file is missing."""
    _add(_pinned(lock, function), out)


def _pinned(lock: Path, function: str) -> dict[str, bytes]:
    """Return the files beside the code by their names."""
    files = {lock.name: "model.lock", GOLDEN: GOLDEN, REQUIREMENTS: REQUIREMENTS} if function in WITH_MODEL else {}
    written = {name: beside(lock, file) for file, name in files.items()}
    if function in WITH_MODEL and lock.with_name(REFERENCE).exists():
        written[REFERENCE] = lock.with_name(REFERENCE).read_bytes()
    for name in (EXPERIMENT, SHADOW) if function == PREDICT else ():
        if lock.with_name(name).exists():
            written[name] = lock.with_name(name).read_bytes()
    if function in LOOKS_UP and lock.with_name(FEATURES).exists():
        written[FEATURES] = lock.with_name(FEATURES).read_bytes()
    return written


def _add(files: Mapping[str, bytes], out: Path) -> None:
    for name, content in files.items():
        (out / name).write_bytes(content)


def stage_code(cloud: str, out: Path, function: str = PREDICT) -> None:
    """Copy the sources of a function alone to `out`, which must not exist."""
    root = function_folder(cloud, function)
    shutil.copytree(root, out, ignore=_NOT_SOURCES)
    # These start, fetch the model and log by the modules of the predict function.
    if cloud != CONTAINER and function in (RECORDS, BATCH):
        shutil.copytree(function_folder(cloud, PREDICT), out, ignore=_NOT_SOURCES, dirs_exist_ok=True)
        if cloud == "gcp":
            (out / "records_main.py").replace(out / "main.py")
    if cloud == CONTAINER:
        folders = [*(function_folder(one, PREDICT) for one in CLOUDS), function_folder("aws", BATCH)]
        folders += [FUNCTIONS / CONTAINER / name for name in _SHARED]
        for file in sibling_modules(sorted(out.glob("*.py")), folders):
            shutil.copyfile(file, out / file.name)
    by_name = ["pilotlight.shadow.child"] if function == PREDICT else []
    by_name += [f"pilotlight.runtimes.{engine.module}" for engine in ENGINES.values()] if function in WITH_MODEL else []
    for file in imported_modules(sorted(out.rglob("*.py")), CORE, by_name):
        copy = out / file.relative_to(CORE.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def function_folder(cloud: str, function: str) -> Path:
    """Return the folder of a function. Raise BuildError if the cloud has no such function."""
    roots = {root.name: root for root in sorted((FUNCTIONS / cloud).iterdir()) if any(root.glob("*.py"))}
    if cloud == CONTAINER:
        roots = {PREDICT if name == _SERVER else name: root for name, root in roots.items() if name not in _SHARED}
    if function not in roots:
        raise BuildError(f"{FUNCTIONS / cloud} has no function {function!r}; it has {', '.join(roots)}")
    return roots[function]


def check_replaceable(out: Path, cloud: str, function: str) -> None:
    """Raise BuildError for a folder with anything but a package of this function."""
    sources = {file.name for file in function_folder(cloud, function).glob("*.py")}
    found = {path.name for path in out.iterdir()} if out.exists() else set()
    if found and not found & sources:
        raise BuildError(
            f"{out} is not empty and has no package of the function {function}; name a new folder, or empty this one"
        )


def beside(lock: Path, name: str) -> bytes:
    """Read a file that `pin` wrote with the lock. Raise FormatError."""
    file = lock.with_name(name)
    try:
        return file.read_bytes()
    except OSError as error:
        raise FormatError(
            f"{file}, which belongs to {lock.name}, cannot be read ({error.strerror}); run 'pilotlight pin' again",
            path="",
        ) from None


def check_companions(pinned: Lock, lock: Path) -> None:
    """Raise FormatError for golden samples or a reference that were not written with this lock."""
    for expected in pinned.model.companions:
        found = content_entry(expected.name, beside(lock, expected.name))
        if found != expected:
            again = f"run 'pilotlight pin {pinned.model.name}:{pinned.model.version}' again"
            raise FormatError(
                f"{lock.with_name(expected.name)}: {difference(found, expected)} as model.lock says; {again}",
                path="",
            )

"""The sources of a function: what lies in its folder, the core that it imports, what `pin` wrote."""

from __future__ import annotations

import shutil
from pathlib import Path

from pilotlight.errors import FormatError
from pilotlight.model.formats import ENGINES
from pilotlight.model.lock import GOLDEN, Lock
from pilotlight_cli.pinning.pin import REQUIREMENTS
from pilotlight_cli.project import CORE, FUNCTIONS
from pilotlight_cli.registry.digests import content_entry, difference
from pilotlight_cli.staging.closure import imported_modules
from pilotlight_cli.staging.package import BuildError

# The function that has the model. AWS has others, which have neither lock nor libraries: boto3 is its runtime's.
PREDICT = "predict"

_NOT_SOURCES = shutil.ignore_patterns("__pycache__", "*.pyc", "requirements.in", REQUIREMENTS, ".*")


def stage_sources(cloud: str, lock: Path, out: Path, function: str = PREDICT) -> None:
    """Copy everything but the libraries to `out`, which must not exist: the folder's files land at its root.

    Of the core come the modules that these files import, and all that those import. Raises FormatError where what `pin`
    wrote beside the lock is not there; the function itself judges the lock.
    """
    root = root_of(cloud, function)
    written = {name: beside(lock, name) for name in (lock.name, GOLDEN, REQUIREMENTS)} if function == PREDICT else {}
    shutil.copytree(root, out, ignore=_NOT_SOURCES)
    engines = [f"pilotlight.runtimes.{engine.module}" for engine in ENGINES.values()] if function == PREDICT else []
    for file in imported_modules(sorted(root.rglob("*.py")), CORE, engines):
        copy = out / file.relative_to(CORE.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    for name, content in written.items():
        (out / ("model.lock" if name == lock.name else name)).write_bytes(content)


def root_of(cloud: str, function: str) -> Path:
    """The folder of a function. Raises BuildError where a cloud has no such function."""
    roots = {root.name: root for root in sorted((FUNCTIONS / cloud).iterdir()) if any(root.glob("*.py"))}
    if function not in roots:
        raise BuildError(f"{FUNCTIONS / cloud} has no function {function!r}; it has {', '.join(roots)}")
    return roots[function]


def check_replaceable(out: Path, cloud: str, function: str) -> None:
    """Refuse to replace a folder that holds something else than a package of this function."""
    sources = {file.name for file in root_of(cloud, function).glob("*.py")}
    there = {path.name for path in out.iterdir()} if out.exists() else set()
    if there and not there & sources:
        raise BuildError(
            f"{out} is not empty and holds no package of the function {function}; name a new folder, or empty this one"
        )


def beside(lock: Path, name: str) -> bytes:
    """A file that `pin` wrote with the lock."""
    file = lock.with_name(name)
    try:
        return file.read_bytes()
    except OSError as error:
        raise FormatError(
            f"{file}, which belongs to {lock.name}, cannot be read ({error.strerror}); run 'pilotlight pin' again",
            path="",
        ) from None


def check_golden(pinned: Lock, lock: Path) -> None:
    """Refuse golden samples that were not written with this lock."""
    content, expected = beside(lock, GOLDEN), pinned.model.golden
    found = content_entry(expected.name, content)
    if found != expected:
        again = f"run 'pilotlight pin {pinned.model.name}:{pinned.model.version}' again"
        raise FormatError(
            f"{lock.with_name(GOLDEN)}: {difference(found, expected)} as model.lock says; {again}",
            path="",
        )

"""Building a deployable folder: a function's sources, the core that it imports, the model's lock, the libraries."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from pilotlight.features.plan import FILE as FEATURES
from pilotlight.features.plan import load_plan
from pilotlight.model.formats import ENGINES
from pilotlight.model.lock import load_lock
from pilotlight_cli.experimenting.beside import versions_beside
from pilotlight_cli.pinning.pin import REQUIREMENTS, check_requirements
from pilotlight_cli.pinning.requirements import PYTHON_VERSION, pins
from pilotlight_cli.registry.json_document import decode_text
from pilotlight_cli.signing.demanded import check_signer
from pilotlight_cli.staging import trim
from pilotlight_cli.staging.bytecode import compile_all
from pilotlight_cli.staging.gcloudignore import write_gcloudignore
from pilotlight_cli.staging.libraries import divided, install, requirements
from pilotlight_cli.staging.package import MAX_BYTES, BuildError, Package, measure, normalise
from pilotlight_cli.staging.sources import (
    CONTAINER,
    GPU,
    LOOKS_UP,
    PREDICT,
    RECORDS,
    WITH_MODEL,
    beside,
    check_companions,
    check_replaceable,
    stage_sources,
)

__all__ = ["BuildError", "Package", "build"]


def build(
    cloud: str,
    lock: Path,
    out: Path,
    say: Callable[[str], None],
    *,
    function: str = PREDICT,
    architecture: str = "x86_64",
    client: bool = False,
    limit: int = MAX_BYTES,
) -> Package:
    """Stage the package of a cloud's function in `out`, which is replaced. `say` gets a line for each slow step.

    On AWS the libraries of a function with the model go into the folder, for one of `requirements.PLATFORMS`; Google's
    builder and that of a container image install them themselves, from requirements.txt, except the one library of an
    engine that needs no more, which a package for Google Cloud holds. `client` adds Google's client there. `limit` is
    the size in bytes that AWS accepts. Raise BuildError, FormatError, LockMismatch or SignatureRefused.
    """
    sources = PREDICT if (cloud, function) == (CONTAINER, GPU) else function
    check_replaceable(out, cloud, sources)
    staged = out.with_name(f".{out.name}.{os.getpid()}")
    shutil.rmtree(staged, ignore_errors=True)
    try:
        if sources in WITH_MODEL:
            _check(lock, sources)
        stage_sources(cloud, lock, staged, sources)
        if sources in WITH_MODEL:
            _add_libraries(cloud, lock, staged, architecture, function=function, client=client, say=say)
        bytecode = compile_all(staged, say) if cloud == "aws" else ""
        normalise(staged)
        package = measure(Package(cloud, function, out, bytecode, budget=_budget(cloud, lock, function)), staged, limit)
        shutil.rmtree(out, ignore_errors=True)
        staged.replace(out)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return package


def _budget(cloud: str, lock: Path, function: str) -> int:
    """Return the bytes that a package should stay below; 0 if only AWS's limit counts, or none."""
    has_budget = cloud == "aws" and function in (PREDICT, RECORDS)
    return ENGINES[load_lock(lock).model.runtime.engine].budget if has_budget else 0


def _check(lock: Path, function: str) -> None:
    """Raise for files of `pin` that are incomplete, do not belong together, or lack a signer that is demanded.

    So do an experiment, a shadow and features that are not about what is pinned.
    """
    pinned = load_lock(lock)
    check_requirements(pinned, decode_text(beside(lock, REQUIREMENTS), REQUIREMENTS))
    check_companions(pinned, lock)
    check_signer(pinned, lock)
    if function == PREDICT:
        versions_beside(lock, pinned.model)
    if function in LOOKS_UP and (features := lock.with_name(FEATURES)).exists():
        load_plan(features, pinned.model.signature)


def _add_libraries(
    cloud: str,
    lock: Path,
    staged: Path,
    architecture: str,
    *,
    function: str,
    client: bool,
    say: Callable[[str], None],
) -> None:
    text, engine = requirements(cloud, lock, function, client=client), ENGINES[load_lock(lock).model.runtime.engine]
    held, installed = divided(text, engine) if cloud == "gcp" else (text, "") if cloud == "aws" else ("", text)
    if held:
        say(f"installing {len(pins(held))} packages for Python {PYTHON_VERSION} on {architecture}")
        install(held, staged, architecture, engine)
        if cloud == "gcp":  # `pip check` of the builder would miss there what the library does not need
            for metadata in staged.glob("*.dist-info"):
                shutil.rmtree(metadata)
    if cloud == "aws":
        return
    (staged / "requirements.txt").write_text(installed)
    if cloud == CONTAINER:
        shutil.copy(trim.__file__, staged)
    else:
        write_gcloudignore(staged)

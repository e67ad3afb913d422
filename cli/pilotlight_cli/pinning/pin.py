"""`pilotlight pin`: writing the three files that pin a version, for git and for the function's package."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pilotlight.errors import FormatError, ModelError, PilotlightError
from pilotlight.model.contract import Change, model_changes
from pilotlight.model.formats import FORMATS, LIBRARIES, check_oldest
from pilotlight.model.lock import GOLDEN, REFERENCE, Description, Lock, read_lock, write_lock
from pilotlight.runtimes.onnx import check_files
from pilotlight.runtimes.own_modules import module_names
from pilotlight_cli.formats.admitted import NotAdmitted, check_admitted
from pilotlight_cli.formats.engines import choose
from pilotlight_cli.pinning.needs import slow_start
from pilotlight_cli.pinning.requirements import (
    CLIENT_LOCK,
    CORE_PACKAGES,
    PLATFORM,
    PLATFORM_LOCK,
    PYTHON_VERSION,
    pins,
    resolve_pins,
)
from pilotlight_cli.registry.golden_file import stored_golden, stored_reference
from pilotlight_cli.registry.json_document import decode_text, to_bytes
from pilotlight_cli.registry.publish import download
from pilotlight_cli.registry.versions import MANIFEST, resolve
from pilotlight_cli.signing import BUNDLE
from pilotlight_cli.signing.demanded import demanded_keys
from pilotlight_cli.signing.stored import read_verified
from pilotlight_cli.stores import Store
from pilotlight_cli.stores.arrivals import arriving

REQUIREMENTS = "requirements.lock"

_HEADER = f"""\
# Written by 'pilotlight pin' for Python {PYTHON_VERSION} on {PLATFORM}. model.lock holds its digest: do not edit it,
# pin again.
"""


class LockMismatch(PilotlightError):
    """requirements.lock was not written with model.lock."""


class BreakingChange(PilotlightError):
    """The version would break callers of the pinned one."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """The written lock, the one before, if any, and warnings for the user.

    `packages` are the versions that `requirements.lock` pins, `changes` those of the contract.
    """

    lock: Lock
    before: Lock | None
    packages: Mapping[str, str]
    warnings: tuple[str, ...]
    changes: tuple[Change, ...] = ()


def pin(
    store: Store,
    reference: str,
    lock_path: Path,
    *,
    upgrade: bool = False,
    engine: str | None = None,
    breaking: bool = False,
) -> Pinned:
    """Write `model.lock` for `NAME[:VERSION|@ALIAS]`, and the files that belong to it beside it.

    Where the lock's project demands a signer, the version's signature is verified, and written beside the lock with
    the manifest. `engine` is the one to serve the model; the default is the one that starts fastest. `breaking`
    allows a version that breaks callers of the pinned one, here and in the lock. Raise BreakingChange, Unresolvable,
    DigestMismatch, EngineRefused, NotAdmitted (the manifest allows more than Pilotlight ships), RuntimeMismatch (it
    names a library that is too old), ModelError (an ONNX file has external data that the manifest does not list),
    SignatureRefused or StoreError; all files are then unchanged.
    """
    if not lock_path.parent.is_dir():
        raise FormatError(f"the folder {lock_path.parent} does not exist; create it, or name another with --lock", "")
    keys = demanded_keys(lock_path.parent)
    model = resolve(store, reference).model
    signed = read_verified(store, model.name, model.version, keys) if keys else None
    model = signed.model if signed else model
    check_description(model)
    before = _before(lock_path)
    changes = model_changes(before.model, model) if before else ()
    if before and not breaking:
        check_compatible(
            before.model, model, changes, "nothing was pinned; pin it with --breaking once the callers are ready"
        )
    check_stored_files(store, model, every=signed is not None)
    model = replace(model, runtime=choose(model, engine))
    golden = stored_golden(store, model)
    counted = {REFERENCE: stored_reference(store, model)} if model.reference else {}
    file = lock_path.with_name(REQUIREMENTS)
    previous = decode_text(file.read_bytes(), str(file)) if file.exists() else ""
    requirements = resolve_requirements(model, previous, upgrade=upgrade)
    lock = Lock(model, hashlib.sha256(requirements.encode()).hexdigest(), signed.signer if signed else None, breaking)
    companions = {GOLDEN: golden, **counted, REQUIREMENTS: requirements.encode(), **(signed.files if signed else {})}
    written = {**companions, lock_path.name: to_bytes(write_lock(lock))}
    write_together([(lock_path.with_name(name), content) for name, content in written.items()])
    stale = (MANIFEST, BUNDLE) if before and before.signer and not signed else ()
    for name in (*stale, *(() if counted else (REFERENCE,))):
        lock_path.with_name(name).unlink(missing_ok=True)
    return Pinned(lock, before, pins(requirements), _warnings(model, before.model if before else None), changes)


def check_requirements(lock: Lock, text: str) -> None:
    """Raise LockMismatch for a `requirements.lock` that was not written with this lock."""
    found = hashlib.sha256(text.encode()).hexdigest()
    again = f"run 'pilotlight pin {lock.model.name}:{lock.model.version}' again"
    if found != lock.requirements_sha256:
        raise LockMismatch(
            f"{REQUIREMENTS} has SHA-256 {found}, expected {lock.requirements_sha256} as model.lock says; {again}"
        )
    pinned = pins(text)
    for package, version in lock.model.runtime.packages.items():
        if pinned.get(package) != version:
            raise LockMismatch(
                f"{REQUIREMENTS} pins {package} to {pinned.get(package, 'nothing')}, expected {version} as model.lock "
                f"says; {again}"
            )


def check_compatible(
    before: Description, model: Description, changes: Sequence[Change], advice: str, which: str = "which is pinned"
) -> None:
    """Raise BreakingChange for changes that break callers of a version; the message ends with the advice."""
    lines = [f"  {change.text}: {change.breaks}" for change in changes if change.breaks]
    if lines:
        raise BreakingChange(
            "\n".join(
                (
                    f"{model.name}:{model.version} breaks callers of {before.name}:{before.version}, {which}:",
                    *lines,
                    advice,
                )
            )
        )


def check_description(model: Description) -> None:
    """Check what a store or a lock asks for, before it is installed and loaded.

    Raise NotAdmitted for names that Pilotlight does not ship, or packages that the model does not need, and
    RuntimeMismatch for a library that is too old.
    """
    check_admitted(f"{model.name}:{model.version}", model.allowed_globals, model.extra_globals)
    check_oldest(f"the manifest of {model.name}:{model.version}", model.runtime.packages)
    _own_modules(model)
    unknown = _unknown(model)
    if unknown and not model.extra_globals:
        raise NotAdmitted(
            f"the manifest of {model.name}:{model.version} requires {', '.join(unknown)}, expected only packages of "
            "its runtime, as the publisher allowed no globals; publish the model again"
        )


def check_stored_files(store: Store, model: Description, *, every: bool) -> None:
    """Check the digests of every file, or only of an ONNX file, and which other files that names."""
    is_onnx = model.format == "onnx"
    with TemporaryDirectory(prefix="pilotlight-") as folder:
        for file in model.files if every else model.files[:is_onnx]:
            download(store, model.key(file.name), file, Path(folder), lambda _: None)
        if is_onnx:
            check_files(model, Path(folder))


def _own_modules(model: Description) -> list[str]:
    """Return the names of a scikit-learn model's own modules. Raise NotAdmitted for another further file."""
    try:
        return module_names(model) if FORMATS[model.format].has_methods else []
    except ModelError as error:
        raise NotAdmitted(str(error)) from None


def _unknown(model: Description) -> list[str]:
    return sorted(model.runtime.packages.keys() - LIBRARIES.keys())


def resolve_requirements(model: Description, previous: str, *, upgrade: bool = False) -> str:
    """Return a `requirements.lock` for a model. Keep the versions of the previous one, where there is one.

    Raise Unresolvable or ResolverFailed.
    """
    engine = [f"{package}=={version}" for package, version in sorted(model.runtime.packages.items())]
    return resolve_pins(
        [*engine, *CORE_PACKAGES],
        constraints=[lock for lock in (PLATFORM_LOCK, CLIENT_LOCK) if lock.exists()],
        previous=previous,
        header=_HEADER,
        upgrade=upgrade,
    )


def _before(lock_path: Path) -> Lock | None:
    """Return the lock that is replaced, if it can be read."""
    try:
        return read_lock(lock_path.read_bytes())
    except (FormatError, OSError):
        return None


def _warnings(model: Description, before: Description | None) -> tuple[str, ...]:
    warnings = []
    if model.extra_globals:
        warnings.append(
            f"the publisher of {model.name}:{model.version} allowed globals that Pilotlight does not; loading the "
            f"model may call them: {', '.join(model.extra_globals)}"
        )
    for name, file in zip(_own_modules(model), model.files[1:], strict=False):
        warnings.append(
            f"the function runs the publisher's own module {name}, {file.name} with SHA-256 {file.sha256}; read it "
            "before you commit the lock"
        )
    unknown = _unknown(model)
    if unknown:
        warnings.append(f"the model requires packages that Pilotlight does not know: {', '.join(unknown)}")
    if slow := slow_start(model):
        warnings.append(slow)
    if before and (before.name, before.version) == (model.name, model.version) and before.files != model.files:
        warnings.append(
            f"{model.name}:{model.version} was pinned before with different files; versions never change within one "
            "store"
        )
    return tuple(warnings)


def write_together(files: Sequence[tuple[Path, bytes]]) -> None:
    """Write all files under temporary names, then rename them in their order: the lock comes last."""
    with ExitStack() as stack:  # exits in reverse order
        for path, content in reversed(files):
            out = stack.enter_context(arriving(path))
            out.write(content)
            out.flush()

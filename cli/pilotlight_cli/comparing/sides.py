"""What a comparison can have on each side: a version in a store, a lock, a lock in git, or a model file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pilotlight.errors import FormatError
from pilotlight.model.golden import Golden
from pilotlight.model.lock import Description, read_lock
from pilotlight_cli.formats.engines import choose
from pilotlight_cli.hostenv import host_packages
from pilotlight_cli.pinning.pin import REQUIREMENTS, check_description, check_requirements
from pilotlight_cli.project import ProjectUsageError
from pilotlight_cli.project.git import GitFailed, git
from pilotlight_cli.registry.digests import read_file_entry
from pilotlight_cli.registry.golden_file import golden_of, stored_golden
from pilotlight_cli.registry.json_document import decode_text
from pilotlight_cli.registry.manifest import NameRefused
from pilotlight_cli.registry.publish import download
from pilotlight_cli.registry.versions import resolve
from pilotlight_cli.sandbox.inspection import inspect
from pilotlight_cli.sandbox.isolation import temporary_folder
from pilotlight_cli.sandbox.job import provisional_description
from pilotlight_cli.sandbox.limits import DEFAULT, LimitOptions, Limits
from pilotlight_cli.stores import Store

_LOCK = "model.lock"


@dataclass(frozen=True, slots=True)
class Side:
    """A model to compare, with its files in `folder`.

    `name` is how it was given. A file is not published: the model's name and version mean nothing. `notes` are of its
    inspection.
    """

    name: str
    model: Description
    folder: Path
    golden: Golden
    packages: Path
    limits: Limits
    is_published: bool = True
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The model's name and version, or the name of the file."""
        return f"{self.model.name}:{self.model.version}" if self.is_published else Path(self.name).name

    @property
    def size(self) -> int:
        """The size of the model's files in bytes."""
        return sum(file.size for file in self.model.files)


def open_side(text: str, store: Callable[[], Store], limit_options: LimitOptions = DEFAULT) -> Side:
    """Read what `text` names; `store` opens the model store, where that is needed.

    Raise NameRefused for a text of no known form, and what reading the lock, the store or the model file raises.
    """
    path = Path(text)
    if path.name.endswith(".lock") and path.is_file():
        requirements = path.with_name(REQUIREMENTS)
        return locked_side(text, path.read_bytes(), requirements.read_bytes(), store(), limit_options)
    if path.is_file():
        return _file_side(text, path, limit_options)
    reference, _, file = text.rpartition(":")
    if reference and file.endswith(_LOCK):
        lock = _committed(reference, file)
        requirements_file = file.removesuffix(_LOCK) + REQUIREMENTS
        return locked_side(text, lock, _committed(reference, requirements_file), store(), limit_options)
    try:
        model = resolve(store(), text).model
    except NameRefused:
        raise NameRefused(
            f"{text!r} is neither a file nor a version; expected NAME:VERSION, NAME@ALIAS, a model file, model.lock or "
            "COMMIT:model.lock"
        ) from None
    check_description(model)
    model = replace(model, runtime=choose(model, None))
    return _stored_side(text, model, store(), _exact_packages(model), limit_options)


def locked_side(name: str, lock: bytes, requirements: bytes, store: Store, limit_options: LimitOptions) -> Side:
    """Return what a lock pins, with the libraries that it pins. Raise FormatError or LockMismatch."""
    try:
        pinned = read_lock(lock)
    except FormatError as error:
        raise error.within(name) from None
    text = decode_text(requirements, REQUIREMENTS)
    check_requirements(pinned, text)
    check_description(pinned.model)
    return _stored_side(name, pinned.model, store, host_packages(text), limit_options)


def _committed(reference: str, file: str) -> bytes:
    """Return a file in a commit; its path is relative to the current folder. Raise ProjectUsageError."""
    try:
        return git(Path.cwd(), "show", "--end-of-options", f"{reference}:./{file}")
    except GitFailed as error:
        raise ProjectUsageError(f"git has no {file} in {reference!r}: {error}") from None


def _exact_packages(model: Description) -> Path:
    return host_packages([f"{package}=={version}" for package, version in model.runtime.packages.items()])


def _stored_side(name: str, model: Description, store: Store, packages: Path, limit_options: LimitOptions) -> Side:
    golden = golden_of(model.signature, stored_golden(store, model))
    folder = temporary_folder()
    for file in model.files:
        download(store, model.key(file.name), file, folder, lambda _: None)
    size = sum(file.size for file in model.files)
    extra = ", ".join(model.extra_globals)
    notes = (f"its publisher allowed globals that Pilotlight does not: {extra}",) if extra else ()
    return Side(name, model, folder, golden, packages, limit_options.limits(size), notes=notes)


def _file_side(name: str, path: Path, limit_options: LimitOptions) -> Side:
    found = inspect(path, format=None, signature=None, golden=None, allow=(), limit_options=limit_options)
    model = provisional_description(
        found.files, found.format, found.runtime, found.signature, (found.allowed_globals, found.extra_globals)
    )
    model = replace(model, files=tuple(map(read_file_entry, found.files)))
    model = replace(model, runtime=choose(model, None))
    exact = _exact_packages(model)
    size = sum(file.size for file in model.files)
    limits = limit_options.limits(size)
    return Side(name, model, found.files[0].parent, found.golden, exact, limits, is_published=False, notes=found.notes)

"""Versions of models in a store: `<name>/<version>/<file>`, with `<name>/aliases/<alias>.json` beside the versions.

A version exists when its manifest does. Its `golden.json` is created first and claims the number, the artifact follows,
the manifest comes last. Each is created only where no object exists, so concurrent publishers get different versions;
what an interrupted one leaves is never listed, and its number is never reused. Only aliases are overwritten.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from pilotlight.errors import FormatError, ObjectRefused, StoreError
from pilotlight.model.lock import LAST_VERSION, NAME, VERSION
from pilotlight_cli.registry.json_document import to_bytes
from pilotlight_cli.registry.manifest import (
    Alias,
    Manifest,
    check_name,
    parse_reference,
    read_alias,
    read_manifest,
    write_alias,
)
from pilotlight_cli.stores import ObjectTooLarge, Store

MANIFEST = "manifest.json"

_VERSION_KEY = re.compile(rf"({NAME})/({VERSION})/(.*)", re.DOTALL)
_ALIAS_KEY = re.compile(rf"{NAME}/aliases/({NAME})\.json")

# Problems of a single object, unlike a store that does not respond.
_UNREADABLE = (FormatError, ObjectRefused, ObjectTooLarge)


class NotPublished(StoreError):
    """The store has no such model, version or alias."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A version whose manifest cannot be read, and why."""

    version: int
    problem: str


@dataclass(frozen=True, slots=True)
class Aliases:
    """The aliases of a model, sorted, with the version of each; `problems` of those that cannot be read."""

    versions: Mapping[str, int]
    problems: tuple[str, ...] = ()


def catalog(store: Store) -> dict[str, tuple[int, ...]]:
    """Return the models of a store with their versions, both ascending."""
    found: dict[str, list[int]] = {}
    for name, version in _manifests(store, ""):
        found.setdefault(name, []).append(version)
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def version_numbers(store: Store, name: str) -> tuple[int, ...]:
    """Return the versions of a model, ascending."""
    return tuple(sorted(version for _, version in _manifests(store, name)))


def versions(store: Store, name: str) -> tuple[Manifest | Unreadable, ...]:
    """Return the manifests of all versions of a model, ascending. An unreadable one does not hide the others."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        return tuple(pool.map(lambda version: show_or_unreadable(store, name, version), version_numbers(store, name)))


def show_or_unreadable(store: Store, name: str, version: int) -> Manifest | Unreadable:
    """Return the manifest of one version, or why it cannot be read."""
    try:
        return show(store, name, version)
    except _UNREADABLE as error:
        return Unreadable(version, str(error))


def show(store: Store, name: str, version: int) -> Manifest:
    """Return the manifest of one version. Raise what `read_at` raises."""
    return read_at(store, name, version)[0]


def read_at(store: Store, name: str, version: int) -> tuple[Manifest, bytes]:
    """Return the manifest of one version, and its bytes. Raise NotPublished, or FormatError for another version's."""
    key = f"{name}/{version}/{MANIFEST}"
    try:
        content = store.read(key)
    except ObjectRefused as error:
        found = version_numbers(store, name)
        if version in found:
            raise
        _check_any(store, name, found)
        newest = ", ".join(str(number) for number in reversed(found[-10:]))
        older = " and older ones" if len(found) > 10 else ""
        raise NotPublished(f"{store.url} has no version {version} of {name!r}; it has {newest}{older}") from error
    try:
        manifest = read_manifest(content)
    except FormatError as error:
        raise error.within(place(store, key)) from None
    if (manifest.model.name, manifest.model.version) != (name, version):
        raise FormatError(
            f"found {manifest.model.name}:{manifest.model.version}, expected {name}:{version}; the manifest was moved "
            "or altered: publish the model again",
            "",
            place(store, key),
        )
    return manifest, content


def resolve(store: Store, reference: str) -> Manifest:
    """Return the manifest of `NAME[:VERSION|@ALIAS]`; without version and alias, the newest. Raise NotPublished."""
    parsed = parse_reference(reference)
    if parsed.version is not None:
        return show(store, parsed.name, parsed.version)
    if parsed.alias is not None:
        return _resolve_alias(store, parsed.name, parsed.alias)
    found = version_numbers(store, parsed.name)
    _check_any(store, parsed.name, found)
    return show(store, parsed.name, found[-1])


def aliases(store: Store, name: str) -> Aliases:
    """Return the aliases of a model. An unreadable one does not hide the others."""
    found, problems = {}, []
    for alias in sorted(_alias_names(store, name)):
        try:
            found[alias] = _read_alias(store, name, alias)
        except _UNREADABLE as error:
            problems.append(str(error))
    return Aliases(found, tuple(problems))


def set_alias(store: Store, name: str, version: int, alias: str) -> int | None:
    """Point an alias to a version that exists. Return the version that it pointed to before, if any."""
    check_name(alias, "an alias")
    show(store, name, version)
    before: int | None = None
    with suppress(*_UNREADABLE):
        before = _read_alias(store, name, alias)
    store.replace(_alias_key(name, alias), to_bytes(write_alias(Alias(alias, version))))
    return before


def free_versions(store: Store, name: str) -> Iterator[int]:
    """Yield the numbers above the newest version, ascending, without those that have any object already.

    Such an object is of an interrupted or concurrent publish. It does not count as a version, so that one with a high
    number does not use up the numbers below it.
    """
    files = list(_version_files(store, name))
    used = {version for _, version, _ in files}
    newest = max((version for _, version, file in files if file == MANIFEST), default=0)
    yield from (number for number in range(newest + 1, LAST_VERSION + 1) if number not in used)


def unfinished(store: Store, name: str) -> dict[int, tuple[str, ...]]:
    """Return the keys of what interrupted or concurrent publishers left, by the version's number."""
    files: dict[int, list[str]] = {}
    for _, version, file in _version_files(store, name):
        files.setdefault(version, []).append(file)
    return {
        version: tuple(f"{name}/{version}/{file}" for file in files[version])
        for version in sorted(files)
        if MANIFEST not in files[version]
    }


def place(store: Store, key: str) -> str:
    """Return the name of an object in messages."""
    return f"{store.url}/{key}"


def _manifests(store: Store, prefix: str) -> Iterator[tuple[str, int]]:
    return ((name, version) for name, version, file in _version_files(store, prefix) if file == MANIFEST)


def _version_files(store: Store, prefix: str) -> Iterator[tuple[str, int, str]]:
    """Yield model, version and file name of each object that belongs to a version."""
    for key in store.keys(prefix):
        if match := _VERSION_KEY.fullmatch(key):
            yield match[1], int(match[2]), match[3]


def _alias_names(store: Store, name: str) -> Iterator[str]:
    for key in store.keys(f"{name}/aliases"):
        if match := _ALIAS_KEY.fullmatch(key):
            yield match[1]


def _alias_key(name: str, alias: str) -> str:
    return f"{name}/aliases/{alias}.json"


def _read_alias(store: Store, name: str, alias: str) -> int:
    key = _alias_key(name, alias)
    try:
        found = read_alias(store.read(key))
    except FormatError as error:
        raise error.within(place(store, key)) from None
    if found.alias != alias:
        raise FormatError(
            f"found the alias {found.alias!r}, expected {alias!r}; set it again with "
            f"'pilotlight alias {name}:{found.version} {alias}'",
            "",
            place(store, key),
        )
    return found.version


def _resolve_alias(store: Store, name: str, alias: str) -> Manifest:
    try:
        version = _read_alias(store, name, alias)
    except ObjectRefused as error:
        found = aliases(store, name).versions
        if alias in found:
            raise
        _check_any(store, name, version_numbers(store, name))
        known = ", ".join(f"{key} ({number})" for key, number in found.items()) or "none"
        raise NotPublished(
            f"{store.url} has no alias {alias!r} of {name!r}; it has {known}. Set one with "
            f"'pilotlight alias {name}:VERSION {alias}'"
        ) from error
    try:
        return show(store, name, version)
    except NotPublished as error:
        raise NotPublished(f"the alias {alias!r} points to version {version}: {error}") from error


def _check_any(store: Store, name: str, versions: tuple[int, ...]) -> None:
    """Raise NotPublished for a model without versions."""
    if not versions:
        raise NotPublished(f"{store.url} has no model {name!r}; {_other_models(store)}")


def _other_models(store: Store) -> str:
    found = catalog(store)
    return f"it has {', '.join(found)}" if found else "it is empty; publish a model with 'pilotlight publish'"

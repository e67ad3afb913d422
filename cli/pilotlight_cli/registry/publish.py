"""Bringing versions into a store: `publish` creates one, `copy` copies one from another store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeAlias

from pilotlight.errors import DigestMismatch, FormatError, ObjectRefused, PilotlightError, StoreError
from pilotlight.model.formats import FORMATS
from pilotlight.model.golden import read_golden, write_golden
from pilotlight.model.lock import GOLDEN, LAST_VERSION, REFERENCE, Description, File
from pilotlight_cli.registry.digests import content_entry, difference, read_file_entry
from pilotlight_cli.registry.json_document import to_bytes
from pilotlight_cli.registry.manifest import Manifest, check_name, read_manifest, write_manifest
from pilotlight_cli.registry.versions import MANIFEST, free_versions, place, read_at, set_alias
from pilotlight_cli.regular_files import FileState, file_state, file_states
from pilotlight_cli.signing import BUNDLE
from pilotlight_cli.signing.bundle import check_files, read_bundle
from pilotlight_cli.stores import AlreadyExists, Progress, Store

if TYPE_CHECKING:
    from pilotlight_cli.sandbox.inspection import Inspection

Sign: TypeAlias = Callable[[Description, bytes], bytes]
"""Gets a version's description and the bytes of its manifest; returns those of its signature, `model.sig`."""


class PublishRefused(PilotlightError):
    """The files cannot be published as they are; no version was created."""


class VersionTaken(StoreError):
    """The store has different content under the same version."""


def publish(
    store: Store,
    inspection: Inspection,
    name: str,
    *,
    alias: str | None = None,
    sign: Sign | None = None,
    clock: Callable[[], datetime],
    progress: Progress,
) -> Manifest:
    """Upload an inspected model as the next version of `name`, and point `alias` to it, if given.

    `sign` makes the signature that is stored with the version. `progress` gets the number of bytes of each piece of the
    artifact that was sent. A failure before the manifest is written leaves no version. Raise PublishRefused,
    FormatError (the description breaks its format) or StoreError.
    """
    check_name(name, "a model's name")
    if alias is not None:
        check_name(alias, "an alias")
    golden = to_bytes(write_golden(inspection.golden))
    states = file_states(inspection.files)
    model = describe(inspection, name, golden)
    numbers = free_versions(store, name)
    manifest = upload(
        store,
        model,
        golden,
        states,
        numbers,
        reference=inspection.reference,
        sign=sign,
        source=inspection.source,
        clock=clock,
        progress=progress,
    )
    if alias is not None:
        _set_alias(store, manifest.model, alias)
    return manifest


def upload(
    store: Store,
    model: Description,
    golden: bytes,
    states: Mapping[Path, FileState],
    numbers: Iterable[int],
    *,
    reference: bytes = b"",
    sign: Sign | None = None,
    source: str = "",
    clock: Callable[[], datetime],
    progress: Progress,
) -> Manifest:
    """Upload a described model, downloaded from `source` if that is given, as the first free version of `numbers`.

    `reference` is the content of its reference, if it is described with one. The keys of `states` are the files in the
    order of the description, its values the state of each when it was described: a file that has changed since then is
    not published. Raise what `publish` raises.
    """
    _check(Manifest(model, _timestamp(clock), source), golden)
    model = replace(model, version=_claim(store, model.name, golden, numbers))
    for path, file in zip(states, model.files, strict=True):
        _put(store, model.key(file.name), file, path, progress)
    if model.reference:
        _create(store, model.key(model.reference.name), reference)
    for path, state in states.items():
        if file_state(path) != state:
            raise PublishRefused(
                f"{path} changed while it was being published; nothing was published, publish it again"
            )
    manifest = Manifest(model, _timestamp(clock), source)
    content = to_bytes(write_manifest(manifest))
    if sign:
        _create(store, model.key(BUNDLE), sign(model, content))
    _create(store, model.key(MANIFEST), content)  # makes the version exist
    return manifest


def copy(source: Store, target: Store, name: str, version: int, progress: Progress) -> bool:
    """Copy a version under its number, with its signature, checking digests. Return False where the target has it.

    `progress` counts every byte twice, as it is downloaded and as it is uploaded. Raise DigestMismatch if the source's
    files differ from its manifest, SignatureRefused if its signature is of other files, and VersionTaken if the target
    has another version of that number, or part of one.
    """
    manifest, content = read_at(source, name, version)
    model = manifest.model
    key = model.key(MANIFEST)
    bundle = _read_signature(source, model, content)
    if key in target.keys(f"{name}/{version}"):
        _create(target, key, content)
        return bool(bundle) and _create(target, model.key(BUNDLE), bundle)
    with TemporaryDirectory(prefix="pilotlight-") as folder:
        for file in (*model.companions, *model.files):
            path = download(source, model.key(file.name), file, Path(folder), progress)
            _put(target, model.key(file.name), file, path, progress)
    if bundle:
        _create(target, model.key(BUNDLE), bundle)
    return _create(target, key, content)


def download(store: Store, key: str, file: File, folder: Path, progress: Progress) -> Path:
    """Download a file of a version to `folder`. Raise DigestMismatch if it differs from its entry in the manifest."""
    path = folder / file.name
    store.download(key, path, progress)
    found = read_file_entry(path)
    if found != file:
        path.unlink()
        raise DigestMismatch(
            f"{place(store, key)}: {difference(found, file)}; the stored file was altered or truncated: publish "
            "the model again"
        )
    return path


def describe(inspection: Inspection, name: str, golden: bytes) -> Description:
    """Return the first version of an inspected model. Raise PublishRefused for files of reserved names."""
    for path in inspection.files:
        if path.name in (GOLDEN, REFERENCE, MANIFEST, BUNDLE):
            raise PublishRefused(f"{path}: the name {path.name} is reserved in the store; rename the file")
    first, *others = (read_file_entry(path) for path in inspection.files)
    return Description(
        name=name,
        version=1,
        format=inspection.format,
        files=(replace(first, name=FORMATS[inspection.format].file_name), *others),
        runtime=inspection.runtime,
        signature=inspection.signature,
        golden=content_entry(GOLDEN, golden),
        allowed_globals=tuple(sorted(inspection.allowed_globals)),
        extra_globals=tuple(sorted(inspection.extra_globals)),
        needs=inspection.needs,
        reference=content_entry(REFERENCE, inspection.reference) if inspection.reference else None,
    )


def _check(manifest: Manifest, golden: bytes) -> None:
    """Raise FormatError or PublishRefused for what could not be read back from the store."""
    try:
        read_golden(golden)
        again = read_manifest(to_bytes(write_manifest(manifest)))
    except FormatError as error:
        raise error.within(f"the description of {manifest.model.name}") from None
    if again != manifest:
        raise PublishRefused(f"the manifest of {manifest.model.name} reads back differently from what was written")


def _claim(store: Store, name: str, golden: bytes, numbers: Iterable[int]) -> int:
    for version in numbers:
        with suppress(AlreadyExists):  # another publisher was faster
            store.create(f"{name}/{version}/{GOLDEN}", golden)
            return version
    raise StoreError(
        f"{store.url} has no free version number for {name!r} up to {LAST_VERSION}; publish it under another name"
    )


def _put(store: Store, key: str, file: File, path: Path, progress: Progress) -> None:
    """Create a file of a version, unless an earlier attempt has left the same bytes there."""
    try:
        store.create_from(key, path, progress)
    except AlreadyExists:
        with TemporaryDirectory(prefix="pilotlight-") as folder:
            stored = Path(folder) / file.name
            store.download(key, stored, lambda _: None)
            if read_file_entry(stored) == file:
                return
        raise VersionTaken(
            f"{place(store, key)} has different content, left by an interrupted or concurrent publish; versions are "
            "never overwritten: publish the model as a new version"
        ) from None


def _read_signature(store: Store, model: Description, manifest: bytes) -> bytes:
    """Return the signature of a version, empty if it has none, or none that may be read."""
    key = model.key(BUNDLE)
    try:
        content = store.read(key)
    except ObjectRefused:
        return b""
    check_files(read_bundle(content, place(store, key)), model, manifest, place(store, key))
    return content


def _create(store: Store, key: str, content: bytes) -> bool:
    """Create a small file of a version. Return False where the same is there already. Raise VersionTaken."""
    try:
        store.create(key, content)
    except AlreadyExists:
        if store.read(key) == content:
            return False
        raise VersionTaken(
            f"{place(store, key)} differs from the file to be written; versions are never overwritten: publish the "
            "model as a new version"
        ) from None
    return True


def _set_alias(store: Store, model: Description, alias: str) -> None:
    try:
        set_alias(store, model.name, model.version, alias)
    except StoreError as error:
        raise StoreError(
            f"{model.name}:{model.version} is published, but the alias {alias!r} could not be set: {error}; run "
            f"'pilotlight alias {model.name}:{model.version} {alias}'"
        ) from error


def _timestamp(clock: Callable[[], datetime]) -> str:
    return clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Signatures in a model store: `<name>/<version>/model.sig`, created once like every file of a version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pilotlight.errors import FormatError, ObjectRefused
from pilotlight.model.lock import Description, Signer
from pilotlight_cli.registry.publish import Sign
from pilotlight_cli.registry.verification import check_stored_files
from pilotlight_cli.registry.versions import MANIFEST, place, read_at
from pilotlight_cli.signing import BUNDLE, SignatureRefused
from pilotlight_cli.signing.bundle import check_files, described, read_bundle, verify
from pilotlight_cli.signing.keys import PublicKey
from pilotlight_cli.stores import AlreadyExists, ObjectTooLarge, Progress, Store
from pilotlight_cli.stores.folder import FolderStore


@dataclass(frozen=True, slots=True)
class Verified:
    """A version whose signature verifies, its signer, and what proves that: manifest and signature by file name."""

    model: Description
    signer: Signer
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Signed:
    """Who signed a stored version, as far as known keys tell.

    `name` is that of a known key's file, empty for another key. `problem` says why the signature is not that of the
    version.
    """

    key_id: str = ""
    name: str = ""
    problem: str = ""


def sign_stored(store: Store, name: str, version: int, sign: Sign, progress: Progress) -> None:
    """Sign a published version, every file of which is checked first: the signer vouches for them.

    Raise SignatureRefused, DigestMismatch or what `sign` raises.
    """
    manifest, content = read_at(store, name, version)
    model = manifest.model
    bundle = sign(model, content)
    _check_names(store, model, _names(store, model))
    check_stored_files(store, model, progress)
    key = model.key(BUNDLE)
    try:
        store.create(key, bundle)
    except AlreadyExists:
        raise SignatureRefused(
            f"{name}:{version} is signed already; to sign it again, delete {place(store, key)} first"
        ) from None


def read_verified(store: Store, name: str, version: int, keys: Sequence[PublicKey]) -> Verified:
    """Return a version that the owner of one of `keys` signed. Its files have the digests of the manifest, unread.

    Raise SignatureRefused for a version that is not signed so, or has files that are not signed.
    """
    manifest, content = read_at(store, name, version)
    model, key = manifest.model, manifest.model.key(BUNDLE)
    names = _names(store, model)
    if BUNDLE not in names:
        raise SignatureRefused(
            f"{name}:{version} in {store.url} is not signed, expected the signature of "
            f"{described([key.signer for key in keys])}; sign it with 'pilotlight sign {name}:{version} --key KEY'"
        )
    try:
        bundle = store.read(key)
    except ObjectTooLarge as error:
        raise SignatureRefused(str(error)) from None
    signer = verify(bundle, model, content, keys, place(store, key))
    _check_names(store, model, names)
    return Verified(model, signer, {MANIFEST: content, BUNDLE: bundle})


def signers(store: Store, name: str, versions: Sequence[int], keys: Sequence[PublicKey]) -> dict[int, Signed]:
    """Return who signed versions of a model, without those that are not signed, or whose signature is not readable."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = pool.map(lambda version: _signed_by(store, name, version, keys), versions)
        return {version: signed for version, signed in zip(versions, found, strict=True) if signed}


def _signed_by(store: Store, name: str, version: int, keys: Sequence[PublicKey]) -> Signed | None:
    key = f"{name}/{version}/{BUNDLE}"
    where = place(store, key)
    try:
        content = store.read(key)
        manifest, stored = read_at(store, name, version)
        bundle = read_bundle(content, where)
        check_files(bundle, manifest.model, stored, where)
        if any(bundle.key_id in ("", known.signer.key_id) for known in keys):
            signer = verify(content, manifest.model, stored, keys, where)
            return Signed(signer.key_id, signer.name)
    except ObjectRefused:
        return None
    except (FormatError, ObjectTooLarge, SignatureRefused) as error:
        return Signed(problem=str(error))
    return Signed(bundle.key_id)


def _names(store: Store, model: Description) -> set[str]:
    """Return the names of a version's files in the store."""
    folder = model.key("")
    return {key.removeprefix(folder) for key in store.keys(folder)}


def _check_names(store: Store, model: Description, names: set[str]) -> None:
    """Raise SignatureRefused for a version with other files than its manifest lists, or with links to files."""
    expected = {MANIFEST, *(file.name for file in (*model.companions, *model.files))}
    for problem, found in (("lacks", expected - names), ("also has", names - expected - {BUNDLE})):
        if found:
            raise SignatureRefused(
                f"{place(store, model.key('').rstrip('/'))} {problem} {', '.join(sorted(found))}; expected the files "
                f"of the manifest and {BUNDLE} alone"
            )
    if isinstance(store, FolderStore):
        for path in (model.name, f"{model.name}/{model.version}", *(model.key(name) for name in sorted(names))):
            if (store.folder / path).is_symlink():
                raise SignatureRefused(f"{place(store, path)} is a symbolic link, expected a file; copy what it names")

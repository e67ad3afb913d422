"""The signers that a project demands, and whether its lock has one of them: without a store, for `build` and CI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pilotlight.errors import FormatError
from pilotlight.model.lock import Lock, Signer
from pilotlight_cli.formats.engines import choose
from pilotlight_cli.project.folders import FILE, project_above
from pilotlight_cli.registry.manifest import read_manifest
from pilotlight_cli.registry.versions import MANIFEST
from pilotlight_cli.signing import BUNDLE, SignatureRefused
from pilotlight_cli.signing.bundle import described, verify
from pilotlight_cli.signing.keys import PublicKey, read_public_key


def demanded_keys(folder: Path) -> tuple[PublicKey, ...]:
    """Return the keys of the signers that a folder's project demands; none outside of a project.

    Raise SignatureRefused, or UsageError for a key that cannot be read.
    """
    project = project_above(folder)
    return tuple(read_public_key(project.root / signer) for signer in project.signers) if project else ()


def check_signer(pinned: Lock, lock: Path, read: Callable[[Path], bytes] = Path.read_bytes) -> Signer | None:
    """Return who signed the version of a lock; None if the lock's project demands no signer.

    `pin` has left the signature and the manifest that it signs beside the lock; `read` reads such a file, or raises
    OSError. Raise SignatureRefused if the version is not signed by one of the signers, or the lock is not of that
    version.
    """
    keys = demanded_keys(lock.parent)
    if not keys:
        return None
    again = f"run 'pilotlight pin {pinned.model.name}:{pinned.model.version}' again"
    if pinned.signer is None:
        raise SignatureRefused(f"{lock.name} has no signer, expected {_names(keys)}, as {FILE} demands; {again}")
    manifest, bundle = (_beside(lock, name, read, again) for name in (MANIFEST, BUNDLE))
    try:
        published = read_manifest(manifest).model
    except FormatError as error:
        raise SignatureRefused(f"{error.within(MANIFEST)}; {again}") from None
    signer = verify(bundle, published, manifest, keys, str(lock.with_name(BUNDLE)))
    if signer.key_id != pinned.signer.key_id:
        raise SignatureRefused(
            f"{lock.name} has the signer {described([pinned.signer])}, found {described([signer])} in {BUNDLE}; {again}"
        )
    if pinned.model != replace(published, runtime=choose(published, pinned.model.runtime.engine)):
        raise SignatureRefused(f"{lock.name} differs from the signed {MANIFEST} beside it; {again}")
    return signer


def _names(keys: Sequence[PublicKey]) -> str:
    return described([key.signer for key in keys])


def _beside(lock: Path, name: str, read: Callable[[Path], bytes], again: str) -> bytes:
    try:
        return read(lock.with_name(name))
    except OSError as error:
        raise SignatureRefused(
            f"{lock.with_name(name)}, which belongs to {lock.name}, cannot be read ({error.strerror}); {again}"
        ) from None

"""`pilotlight sign`, and the private key that it shares with `publish --sign`."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilotlight_cli import console
from pilotlight_cli.commands.options import AsJson, StoreUrl, Versioned, versioned
from pilotlight_cli.commands.views import signer_document
from pilotlight_cli.project.folders import FILE
from pilotlight_cli.registry.versions import read_at
from pilotlight_cli.regular_files import read
from pilotlight_cli.signing import SignatureRefused
from pilotlight_cli.signing import bundle as bundles
from pilotlight_cli.signing.demanded import demanded_keys
from pilotlight_cli.signing.keys import read_private_key, read_public_key
from pilotlight_cli.signing.stored import Signed, sign_stored
from pilotlight_cli.stores import open_store

if TYPE_CHECKING:
    from pilotlight_cli.registry.manifest import Manifest
    from pilotlight_cli.registry.publish import Sign
    from pilotlight_cli.signing.keys import PrivateKey

PASSPHRASE = "PILOTLIGHT_KEY_PASSPHRASE"  # noqa: S105 - the variable's name


def sign(
    reference: Versioned,
    *,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="KEY", help="Private key, a PEM file.", show_default=False)
    ] = None,
    signature: Annotated[
        Path | None,
        typer.Option(
            "--signature",
            metavar="FILE",
            help="Signature of the version's files that 'model_signing' made, instead of --key.",
            show_default=False,
        ),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(
            "--public-key",
            metavar="FILE",
            help="Public key that verifies --signature (default: those of the project's signers).",
            show_default=False,
        ),
    ] = None,
    store: StoreUrl = "",
    json: AsJson = False,
) -> None:
    """Sign a version that is already published."""
    name, version = versioned(reference)
    if (key is None) == (signature is None):
        raise typer.BadParameter("expected either --key or --signature")
    if public_key and not signature:
        raise typer.BadParameter("--public-key requires --signature")
    target = open_store(store)
    manifest, content = read_at(target, name, version)
    if signature:
        key_id, make = _made(signature, public_key, manifest, content)
    elif key:
        private = signing_key(key)
        key_id, make = private.key_id, signing(private)
    size = manifest.model.golden.size + sum(file.size for file in manifest.model.files)
    with console.transferring(f"Checking the files of {name}:{version}", size) as progress:
        sign_stored(target, name, version, make, progress)
    if json:
        signer = signer_document(Signed(key_id))
        console.print_json({"store": target.url, "name": name, "version": version, "signer": signer})
        return
    console.output().print(f"Signed {name}:{version} in {target.url} with the key {key_id}", soft_wrap=True)


def signing_key(path: Path) -> PrivateKey:
    """Read a private key, and warn where the project does not name it among its signers."""
    key = read_private_key(path, partial(_passphrase, path))
    known = [public.signer.key_id for public in demanded_keys(Path())]
    if known and key.key_id not in known:
        console.warning(f"{FILE} does not name the key {key.key_id} among its signers: 'pilotlight pin' will refuse it")
    return key


def signing(key: PrivateKey) -> Sign:
    """Return what signs a version with a key."""
    return partial(bundles.sign, key=key)


def _made(signature: Path, public_key: Path | None, manifest: Manifest, content: bytes) -> tuple[str, Sign]:
    """Return the id of the key of a signature that was made elsewhere, and what returns that signature."""
    keys = (read_public_key(public_key),) if public_key else demanded_keys(Path())
    if not keys:
        raise typer.BadParameter(f"--signature requires --public-key where no {FILE} names signers")
    made = read(signature)
    signer = bundles.verify(made, manifest.model, content, keys, str(signature))
    return signer.key_id, lambda *_: made


def _passphrase(path: Path) -> str:
    """Return the passphrase of an encrypted key: from the environment, or asked at a terminal."""
    if given := os.environ.get(PASSPHRASE):
        return given
    if not _is_terminal():
        raise SignatureRefused(f"{path} is encrypted, and this is not a terminal; set {PASSPHRASE}")
    asked: str = typer.prompt(f"Passphrase of {path}", hide_input=True, err=True)
    return asked


def _is_terminal() -> bool:
    return sys.stdin.isatty()

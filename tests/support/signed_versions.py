"""Signed versions for tests: keys in PEM files as openssl writes them, and a project that demands one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

import descriptions
from pilotlight_cli.pinning.pin import Pinned, pin
from pilotlight_cli.registry.publish import publish
from pilotlight_cli.signing.bundle import sign
from pilotlight_cli.signing.keys import PrivateKey, read_private_key
from pilotlight_cli.stores import Store, open_store

NAME = "breast-cancer"

CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}


def write_keys(folder: Path, name: str, key: Any = None, passphrase: str = "") -> tuple[Path, Path]:
    """Write `name`.key and `name`.pub, by default of a new key on P-256; return both."""
    folder.mkdir(parents=True, exist_ok=True)
    key = key or ec.generate_private_key(CURVES["P-256"])
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def rsa_key() -> Any:
    """Return a key that OpenSSF's format does not have."""
    return rsa.generate_private_key(65537, 2048)


def ed25519_key() -> Any:
    """Return another one."""
    return ed25519.Ed25519PrivateKey.generate()


def koblitz_key() -> Any:
    """Return a key on a curve that it does not have."""
    return ec.generate_private_key(ec.SECP256K1())


def nothing(_: int) -> None:
    """Want no progress."""


def unasked() -> str:
    """Give no passphrase."""
    raise AssertionError("no passphrase is needed")


@dataclass(frozen=True)
class Workshop:
    """A project that demands `team`, its store in a folder, and the keys of `team` and of a stranger."""

    root: Path
    store: Store
    team: PrivateKey
    stranger: PrivateKey

    @property
    def lock(self) -> Path:
        return self.root / "model.lock"

    @property
    def folder(self) -> Path:
        """The folder of the first version in the store."""
        return self.root / "store" / NAME / "1"

    @property
    def newest(self) -> int:
        """The number of the newest version."""
        return max(int(path.name) for path in self.folder.parent.iterdir() if path.name.isdigit())

    def put(self, key: PrivateKey | None, name: str = NAME, weights: bytes = b"weights") -> None:
        model = descriptions.inspection(self.root / "model", weights)
        make = partial(sign, key=key) if key else None
        clock = datetime(2026, 7, 31, tzinfo=UTC)
        publish(self.store, model, name, sign=make, clock=lambda: clock, progress=nothing)

    def pin(self, reference: str = f"{NAME}:1") -> Pinned:
        return pin(self.store, reference, self.lock)

    def demand(self, *signers: str) -> None:
        demanded = f"signers = {json.dumps(list(signers))}\n" if signers else ""
        text = f'name = "tumours"\nclouds = ["aws"]\nstore = "store"\n{demanded}'
        (self.root / "pilotlight.toml").write_text(text)


def make_workshop(tmp_path: Path) -> Workshop:
    """Return an empty store's project."""
    root = tmp_path / "project"
    team, _ = write_keys(root / "keys", "team")
    stranger, _ = write_keys(tmp_path, "stranger")
    store = open_store((root / "store").as_uri())
    made = Workshop(root, store, read_private_key(team, unasked), read_private_key(stranger, unasked))
    made.demand("keys/team.pub")
    return made

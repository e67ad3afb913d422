"""Keys in PEM files: a private one signs, public ones verify.

The format of model signing has ECDSA on three curves, each with its hash, and no other algorithm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilotlight.model.lock import Signer
from pilotlight_cli.regular_files import read
from pilotlight_cli.signing import SignatureRefused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

_HASHES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}

_EXPECTED = "expected an EC key on the curve P-256, P-384 or P-521"
_MAKE = "'openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out team.key' makes one"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies, and the signer to whom it belongs."""

    signer: Signer
    key: EllipticCurvePublicKey

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Return whether the signature is this key's, over the message."""
        from cryptography.exceptions import InvalidSignature

        try:
            self.key.verify(signature, message, _algorithm(self.key))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key that signs."""

    key_id: str
    key: EllipticCurvePrivateKey

    def sign(self, message: bytes) -> bytes:
        """Return a signature over the message."""
        return self.key.sign(message, _algorithm(self.key))


def read_public_key(path: Path) -> PublicKey:
    """Read a public key. Raise SignatureRefused, or UsageError where the file cannot be read."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = read(path)
    if b"PRIVATE KEY-----" in content:
        raise SignatureRefused(
            f"{path} is a private key, expected a public one; write that with 'openssl pkey -in {path} -pubout', and "
            "keep the private key out of git"
        )
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureRefused(
            f"{path} is not a public key in PEM ({_first(error)}); write one with 'openssl pkey -in KEY -pubout'"
        ) from None
    checked = _check_kind(path, key, key)
    return PublicKey(Signer(path.name, _key_id(checked)), checked)


def read_private_key(path: Path, passphrase: Callable[[], str]) -> PrivateKey:
    """Read a private key; `passphrase` is called for one that is encrypted. Raise SignatureRefused or UsageError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = read(path)
    try:
        try:
            key: Any = load_pem_private_key(content, None)
        except TypeError:  # it is encrypted
            key = _decrypt(path, content, passphrase())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureRefused(f"{path} is not a private key in PEM ({_first(error)}); {_MAKE}") from None
    public = _check_kind(path, key, key.public_key())
    return PrivateKey(_key_id(public), key)


def _decrypt(path: Path, content: bytes, passphrase: str) -> object:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(content, passphrase.encode())
    except (TypeError, ValueError):  # it is empty, or wrong
        raise SignatureRefused(f"{path}: the passphrase does not decrypt this key") from None


def _check_kind(path: Path, key: object, public: object) -> EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    if not isinstance(public, EllipticCurvePublicKey):
        kind = type(key).__name__.replace("PrivateKey", "").replace("PublicKey", "")
        raise SignatureRefused(
            f"{path}: found a key of the type {kind}, which model signing does not have; {_EXPECTED}; {_MAKE}"
        )
    if public.curve.name not in _HASHES:
        raise SignatureRefused(f"{path} is a key on the curve {public.curve.name}; {_EXPECTED}; {_MAKE}")
    return public


def _algorithm(key: EllipticCurvePublicKey | EllipticCurvePrivateKey) -> Any:  # noqa: ANN401 - is imported late
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    return ECDSA(getattr(hashes, _HASHES[key.curve.name])())


def _key_id(key: EllipticCurvePublicKey) -> str:
    """Return the SHA-256 of a key as openssl writes it in PEM, as `model_signing` identifies it in a bundle."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _first(error: Exception) -> str:
    """Return the first sentence of what may be several lines."""
    return str(error).partition(". ")[0].partition("\n")[0].rstrip(".")

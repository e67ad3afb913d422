"""`model.sig`: a Sigstore bundle with one signature of one key over a statement.

The signature is over DSSE's pre-authentication encoding of the payload's bytes, not over their meaning:
https://github.com/secure-systems-lab/dsse.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from pilotlight.errors import FormatError
from pilotlight.model.json_document import Node, read_json
from pilotlight.model.lock import DIGEST, Description, Signer
from pilotlight_cli.signing import SignatureRefused
from pilotlight_cli.signing.keys import PrivateKey, PublicKey
from pilotlight_cli.signing.statement import difference_of, digests_of, read_statement, write_statement

LARGEST = 1_000_000  # a bundle for a thousand files has a fifth

_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle as it was read; nothing of it is verified. `key_id` is empty if it names no key."""

    key_id: str
    payload: bytes
    signature: bytes

    def signed_by(self, key: PublicKey) -> bool:
        """Return whether the signature is that of a key."""
        return key.verifies(self.signature, _encoded(self.payload))


def sign(model: Description, manifest: bytes, key: PrivateKey) -> bytes:
    """Return the bundle for all files of a version, whose manifest has these bytes."""
    payload = write_statement(f"{model.name}:{model.version}", digests_of(model, manifest))
    document = {
        "mediaType": _MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": key.key_id}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": b64encode(payload).decode(),
            "payloadType": _PAYLOAD_TYPE,
            "signatures": [{"sig": b64encode(key.sign(_encoded(payload))).decode(), "keyid": ""}],
        },
    }
    return (json.dumps(document) + "\n").encode()


def verify(content: bytes, model: Description, manifest: bytes, keys: Sequence[PublicKey], place: str) -> Signer:
    """Return the signer of a version, whose manifest has these bytes: the owner of one of `keys`.

    `place` is the name of the bundle in messages. Raise SignatureRefused.
    """
    bundle = read_bundle(content, place)
    signer = _signer(bundle, keys, place)
    check_files(bundle, model, manifest, place)
    return signer


def read_bundle(content: bytes, place: str) -> Bundle:
    """Parse a bundle. Raise SignatureRefused."""
    if len(content) > LARGEST:
        raise SignatureRefused(f"{place} has {len(content):,} bytes, expected a bundle of at most {LARGEST:,}")
    try:
        return _read(Node(read_json(content)))
    except FormatError as error:
        raise SignatureRefused(f"{error.within(place)}; sign the version again") from None


def check_files(bundle: Bundle, model: Description, manifest: bytes, place: str) -> None:
    """Raise SignatureRefused for a bundle over other files than those of a version."""
    try:
        signed = read_statement(bundle.payload)
    except FormatError as error:
        raise SignatureRefused(f"{error.within(f'{place}: payload')}; sign the version again") from None
    different = difference_of(signed, digests_of(model, manifest))
    if different:
        raise SignatureRefused(
            f"{place} is not the signature of {model.name}:{model.version}: it {different}; the stored files were "
            "altered, or the signature is another version's"
        )


def _signer(bundle: Bundle, keys: Sequence[PublicKey], place: str) -> Signer:
    named = [key for key in keys if bundle.key_id in ("", key.signer.key_id)]
    if not named:
        raise SignatureRefused(
            f"{place} is signed with the key {bundle.key_id}, expected {described([key.signer for key in keys])}"
        )
    for key in named:
        if bundle.signed_by(key):
            return key.signer
    raise SignatureRefused(
        f"{place}: the signature does not verify with {described([key.signer for key in named])}; the bundle was "
        "altered, or signed with another key"
    )


def described(signers: Sequence[Signer]) -> str:
    """Return signers as messages name them."""
    return " or ".join(f"{signer.name} (key {signer.key_id})" for signer in signers)


def _read(node: Node) -> Bundle:
    fields = node.fields("mediaType", "verificationMaterial", "dsseEnvelope")
    fields["mediaType"].one_of(_MEDIA_TYPE)
    envelope = fields["dsseEnvelope"].fields("payload", "payloadType", "signatures")
    envelope["payloadType"].one_of(_PAYLOAD_TYPE)
    signatures = envelope["signatures"].items(_read_signature)
    if len(signatures) != 1:
        raise FormatError(f"expected one signature, found {len(signatures)}", envelope["signatures"].path)
    return Bundle(_read_key_id(fields["verificationMaterial"]), _bytes(envelope["payload"]), signatures[0])


def _read_key_id(node: Node) -> str:
    if isinstance(node.value, dict) and "publicKey" not in node.value:
        raise FormatError(
            "expected publicKey, found a signature by a certificate or by Sigstore's identities", node.path
        )
    material = node.fields("publicKey", optional=("tlogEntries", "timestampVerificationData"))
    # Releases of model_signing before 1.0 wrote more, and no hint.
    key = material["publicKey"].fields(optional=("hint", "rawBytes", "keyDetails"))
    return key["hint"].string(DIGEST, "the SHA-256 of a public key") if "hint" in key else ""


def _read_signature(node: Node) -> bytes:
    return _bytes(node.fields("sig", optional=("keyid",))["sig"])


def _bytes(node: Node) -> bytes:
    try:
        return b64decode(node.string(), validate=True)
    except ValueError:
        raise node.fail("text in base64") from None


def _encoded(payload: bytes) -> bytes:
    return b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD_TYPE), _PAYLOAD_TYPE.encode(), len(payload), payload)

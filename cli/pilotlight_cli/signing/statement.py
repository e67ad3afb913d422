"""What is signed: an in-toto statement with the name and the SHA-256 of every file of a version.

https://github.com/sigstore/model-transparency describes the predicate. The subject's name is that of a folder and means
nothing; its digest is one over those of all files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from pilotlight.errors import FormatError
from pilotlight.model.json_document import Node, read_json
from pilotlight.model.lock import DIGEST, Description
from pilotlight_cli.registry.versions import MANIFEST
from pilotlight_cli.signing import BUNDLE

_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"
_SHA256 = "sha256"


def digests_of(model: Description, manifest: bytes) -> dict[str, str]:
    """Return the SHA-256 of every file of a version by its name: the model's, those that `pin` writes, the manifest."""
    files = {file.name: file.sha256 for file in (*model.files, *model.companions)}
    return {**files, MANIFEST: hashlib.sha256(manifest).hexdigest()}


def write_statement(subject: str, digests: Mapping[str, str]) -> bytes:
    """Return the statement for files with these digests."""
    names = sorted(digests)
    document = {
        "_type": _STATEMENT,
        "subject": [{"name": subject, "digest": {_SHA256: _root(digests[name] for name in names)}}],
        "predicateType": _PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": _SHA256,
                "allow_symlinks": False,
                "ignore_paths": [BUNDLE],
            },
            "resources": [{"name": name, "algorithm": _SHA256, "digest": digests[name]} for name in names],
        },
    }
    return json.dumps(document, indent=2).encode()


def read_statement(payload: bytes) -> dict[str, str]:
    """Return the digests of a statement by file name, as far as its form tells. Raise FormatError.

    Fields that are not needed may be there, as in-toto and the predicate's description demand of readers.
    """
    fields = _among(Node(read_json(payload)), "_type", "subject", "predicateType", "predicate")
    fields["_type"].one_of(_STATEMENT)
    fields["predicateType"].one_of(_PREDICATE)
    predicate = _among(fields["predicate"], "serialization", "resources")
    serialization = _among(predicate["serialization"], "method", "hash_type")
    serialization["method"].one_of("files")
    serialization["hash_type"].one_of(_SHA256)
    resources = predicate["resources"].items(_read_resource, at_least=1)
    digests = dict(resources)
    if len(digests) != len(resources):
        raise FormatError("duplicate file name", predicate["resources"].path)
    _check_subject(fields["subject"], _root(digest for _, digest in resources))
    return digests


def difference_of(signed: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """Return how the files that are signed differ from a version's, in one sentence; empty if they do not."""
    missing, extra = sorted(expected.keys() - signed.keys()), sorted(signed.keys() - expected.keys())
    if missing:
        return f"does not sign {', '.join(missing)}"
    if extra:
        return f"signs {', '.join(map(repr, extra))}, which the version does not have"
    for name, digest in expected.items():
        if signed[name] != digest:
            return f"signs another {name}: found SHA-256 {digest}, expected {signed[name]}"
    return ""


def _read_resource(node: Node) -> tuple[str, str]:
    fields = _among(node, "name", "algorithm", "digest")
    fields["algorithm"].one_of(_SHA256)
    digest = fields["digest"].string(DIGEST, "a SHA-256 in 64 hexadecimal digits")
    return fields["name"].string(), digest


def _check_subject(node: Node, expected: str) -> None:
    subjects = node.items(lambda item: _among(_among(item, "digest")["digest"], _SHA256)[_SHA256])
    if len(subjects) != 1:
        raise FormatError(f"expected one subject, found {len(subjects)}", node.path)
    if subjects[0].value != expected:
        raise subjects[0].fail(f"{expected}, the SHA-256 of the digests of all resources")


def _root(digests: Iterable[str]) -> str:
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()


def _among(node: Node, *names: str) -> dict[str, Node]:
    """Return these fields of an object, which may have others."""
    if not isinstance(node.value, dict):
        raise node.fail("an object")
    return Node({name: value for name, value in node.value.items() if name in names}, node.path).fields(*names)

"""`.pilotlight.json`: which release wrote a project's copied files, and what each was, to tell the user's edits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pilotlight.errors import FormatError
from pilotlight.model.json_document import Node, read_json

FILE = ".pilotlight.json"


@dataclass(frozen=True, slots=True)
class Record:
    """The release that wrote the files, the CI that they are for, and git's id of each file as it was written.

    `originals` has the text of files that an upgrade merged with the user's edits, since git has only the result.
    """

    release: str
    ci: str
    files: Mapping[str, str] = field(default_factory=dict)
    originals: Mapping[str, str] = field(default_factory=dict)


def read_record(root: Path) -> Record | None:
    """Read a project's record; None if it has none, as a project without `init`. Raise FormatError."""
    if not (root / FILE).is_file():
        return None
    try:
        fields = _document(root).fields("release", "ci", "files", optional=("originals",))
        record = Record(
            _release(fields["release"]),
            fields["ci"].one_of("github", "none"),
            fields["files"].mapping(lambda item: item.string(r"[0-9a-f]{40}", "git's id of a file")),
            fields.get("originals", Node({})).mapping(Node.string),
        )
        for name in record.files:
            _check_inside(Node(name, fields["files"].path))
    except FormatError as error:
        raise error.within(FILE) from None
    return record


def write_record(root: Path, record: Record) -> None:
    """Write a project's record."""
    document: dict[str, object] = {
        "release": record.release,
        "ci": record.ci,
        "files": dict(sorted(record.files.items())),
    }
    if record.originals:
        document["originals"] = dict(sorted(record.originals.items()))
    (root / FILE).write_text(json.dumps(document, indent=2) + "\n")


def _check_inside(name: Node) -> None:
    """Raise FormatError for a path out of the project, which an upgrade would write to."""
    parts = name.string().split("/")
    if {"", ".", ".."} & set(parts):
        raise name.fail("the path of a file in the project")


def made_by(root: Path) -> str:
    """Return the release that wrote a project; empty without a record. Raise FormatError.

    Nothing else is read: the record of a newer release may have other fields.
    """
    if not (root / FILE).is_file():
        return ""
    try:
        document = _document(root)
        if not isinstance(document.value, dict):
            raise document.fail("an object")
        return _release(Node(document.value.get("release"), "$.release"))
    except FormatError as error:
        raise error.within(FILE) from None


def _document(root: Path) -> Node:
    return Node(read_json((root / FILE).read_bytes()))


def _release(node: Node) -> str:
    return node.string(r"\d+\.\d+\.\d+\S*", "a release like 1.2.3")


def git_id(content: bytes) -> str:
    """Return the id under which git stores a file: the SHA-1 of its length and content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()

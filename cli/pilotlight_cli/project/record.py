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
    """The release that wrote the files, the CI that they are for, and git's id of each file as it was written."""

    release: str
    ci: str
    files: Mapping[str, str] = field(default_factory=dict)


def read_record(root: Path) -> Record | None:
    """Read a project's record; None if it has none, as a project without `init`. Raise FormatError."""
    path = root / FILE
    if not path.is_file():
        return None
    try:
        fields = Node(read_json(path.read_bytes())).fields("release", "ci", "files")
        return Record(
            fields["release"].string(r"\d+\.\d+\.\d+\S*", "a release like 1.2.3"),
            fields["ci"].one_of("github", "none"),
            fields["files"].mapping(lambda item: item.string(r"[0-9a-f]{40}", "git's id of a file")),
        )
    except FormatError as error:
        raise error.within(FILE) from None


def write_record(root: Path, record: Record) -> None:
    """Write a project's record."""
    document = {"release": record.release, "ci": record.ci, "files": dict(sorted(record.files.items()))}
    (root / FILE).write_text(json.dumps(document, indent=2) + "\n")


def made_by(root: Path) -> str:
    """Return the release that wrote a project; empty without a record. Raise FormatError."""
    record = read_record(root)
    return record.release if record else ""


def git_id(content: bytes) -> str:
    """Return the id under which git stores a file: the SHA-1 of its length and content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()

"""Sizes and digests: the entry of a file in a manifest or a lock, and the message for a file that differs from it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pilotlight.model.lock import File


def read_file_entry(path: Path) -> File:
    """Return a file's name, size and digest."""
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        return File(path.name, os.fstat(content.fileno()).st_size, digest)


def content_entry(name: str, content: bytes) -> File:
    """Return the entry of a file with that content."""
    return File(name, len(content), hashlib.sha256(content).hexdigest())


def difference(found: File, expected: File) -> str:
    """Describe how a file differs from its entry."""
    return (
        f"found {found.size} bytes with SHA-256 {found.sha256}, expected {expected.size} bytes with SHA-256 "
        f"{expected.sha256}"
    )

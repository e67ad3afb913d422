"""A staged package: how large it is, and how it is made the same wherever it was built."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from pilotlight.errors import PilotlightError

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: the unzipped package, layers included.
MAX_BYTES = 262_144_000

# The time of every file in a package, 2 January 1980: the first whole day that a zip archive can tell in any time zone.
_TIME = 315_619_200

_SHOWN_PARTS = 8


class BuildError(PilotlightError):
    """A package cannot be put together, or is too large to deploy."""


@dataclass(frozen=True, slots=True)
class Package:
    """A staged package: where it lies, its size in bytes, and the size of each top-level part, largest first.

    `bytecode` is the interpreter that compiled it, or empty where none of the functions' version was found; `budget` is
    what the size should stay below, or 0.
    """

    cloud: str
    function: str
    folder: Path
    bytecode: str
    size: int = 0
    parts: tuple[tuple[str, int], ...] = ()
    budget: int = 0


def normalise(folder: Path) -> None:
    """One mode and one time for all: Lambda's user reads what a strict umask hid, equal trees make equal archives."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (_TIME, _TIME))


def measure(package: Package, folder: Path, limit: int = MAX_BYTES) -> Package:
    """The package with the sizes of what lies in `folder`. Raises BuildError where AWS would not take it."""
    sizes: dict[str, int] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            part = path.relative_to(folder).parts[0]
            sizes[part] = sizes.get(part, 0) + path.stat().st_size
    parts = tuple(sorted(sizes.items(), key=lambda part: -part[1]))
    size = sum(sizes.values())
    if package.cloud == "aws" and size > limit:
        largest = "\n".join(f"  {megabytes(size):>9}  {name}" for name, size in parts[:_SHOWN_PARTS])
        raise BuildError(
            f"the package has {megabytes(size)}, and AWS Lambda takes {megabytes(limit)} unzipped. "
            f"Its largest parts:\n{largest}"
        )
    return replace(package, size=size, parts=parts)


def megabytes(size: int) -> str:
    """A size in bytes for people: `78.3 MB`, of a million bytes each."""
    return f"{size / 1e6:.1f} MB"

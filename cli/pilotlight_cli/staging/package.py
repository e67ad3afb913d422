"""A staged package: its size, and the same modes and times wherever it was built."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from pilotlight.errors import PilotlightError

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: the unzipped package, layers included.
MAX_BYTES = 262_144_000

# The time of every file in a package, 2 January 1980: the first whole day that a zip archive supports in any time zone.
_TIME = 315_619_200

_SHOWN_PARTS = 8


class BuildError(PilotlightError):
    """A package cannot be built, or is too large to deploy."""


@dataclass(frozen=True, slots=True)
class Package:
    """A staged package: its folder, its size in bytes, and the size of each top-level part, largest first.

    `bytecode` is the interpreter that compiled it, or empty if none of the functions' version was found; `budget` is
    the size to stay below, or 0.
    """

    cloud: str
    function: str
    folder: Path
    bytecode: str
    size: int = 0
    parts: tuple[tuple[str, int], ...] = ()
    budget: int = 0


def normalise(folder: Path) -> None:
    """Set one mode and one time for all files: Lambda's user has to read them, and equal trees give equal archives."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (_TIME, _TIME))


def measure(package: Package, folder: Path, limit: int = MAX_BYTES) -> Package:
    """Return the package with the sizes of `folder`. Raise BuildError if it exceeds AWS's limit."""
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
            f"the package has {megabytes(size)}, expected at most {megabytes(limit)} unzipped, AWS Lambda's limit. "
            f"Its largest parts:\n{largest}"
        )
    return replace(package, size=size, parts=parts)


def megabytes(size: int) -> str:
    """Format a size in bytes: `78.3 MB`, of a million bytes each."""
    return f"{size / 1e6:.1f} MB"

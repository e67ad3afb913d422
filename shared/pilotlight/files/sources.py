"""The files that a job reads, wherever they are."""

from __future__ import annotations

from typing import BinaryIO, Protocol

from pilotlight.errors import PilotlightError
from pilotlight.files.shards import FORMATS, format_of
from pilotlight.frozen import dataclass


class BatchUsageError(PilotlightError):
    """The input, the output or an option of a job is not usable as given."""


class FileChanged(PilotlightError):
    """A file is not as it was listed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has changed since the job began; name another output to score it as it is now")


@dataclass(frozen=True, slots=True)
class Source:
    """A file: its path or URL, its size in bytes, and its state, which is another after each change."""

    name: str
    size: int
    state: str


class Place(Protocol):
    """Where files are."""

    def sources(self) -> list[Source]:
        """Return the files with rows, sorted by name. Raise BatchUsageError if there are none."""
        ...

    def open(self, name: str, state: str) -> BinaryIO:
        """Open a file in that state at its beginning; it can seek. Raise FileChanged if it is in another."""
        ...

    def contains(self, output: str) -> bool:
        """Return whether results at `output` would be among the files of a later run."""
        ...


def with_rows(names: list[str], place: str) -> list[str]:
    """Return the files of a folder whose names say a format; names that begin with _ or . are not of the data."""
    found = [name for name in names if format_of(name)[0] and not _is_hidden(name.removeprefix(place))]
    if not found:
        raise BatchUsageError(f"{place} has no file that ends in {_ends()}, plain or with .gz or .zst")
    return found


def _is_hidden(name: str) -> bool:
    return any(part.startswith(("_", ".")) for part in name.split("/"))


def check_formats(names: list[str]) -> list[str]:
    """Return the names. Raise BatchUsageError for a file whose name says no format."""
    for name in names:
        format_, compression = format_of(name)
        if not format_:
            raise BatchUsageError(f"{name} has an unknown format; expected a name that ends in {_ends()}")
        if format_ == "parquet" and compression:
            raise BatchUsageError(f"{name}: Parquet is compressed within itself; unpack the file first")
    return names


def _ends() -> str:
    *others, last = FORMATS
    return f"{', '.join(others)} or {last}"

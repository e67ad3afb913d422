"""The files that a job reads: one, those of a folder, or those that match a pattern."""

from __future__ import annotations

from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa

from pilotlight.files.shards import FORMATS, format_of
from pilotlight_cli.batching import BatchUsageError, FileChanged


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


def open_place(text: str) -> Place:
    """Return the place that a path, a pattern or a URL names."""
    if text.startswith(("s3://", "gs://")):
        from pilotlight_cli.batching.buckets import open_bucket  # a cloud's client takes long to import

        return open_bucket(text)
    return Folder(text)


@dataclass(frozen=True, slots=True)
class Folder:
    """Files of this machine."""

    text: str

    def sources(self) -> list[Source]:
        """See `Place.sources`."""
        path = Path(self.text)
        if path.is_dir():
            found = with_rows([str(file) for file in path.rglob("*") if file.is_file()], self.text)
        elif path.exists():
            found = [self.text]
        else:
            matches = glob(self.text, recursive=True)  # noqa: PTH207 - a pattern may be an absolute path
            found = [name for name in matches if Path(name).is_file()]
            if not found:
                raise BatchUsageError(f"{self.text}: no such file or folder, and no file matches it as a pattern")
        return [_source(Path(name)) for name in sorted(check_formats(found))]

    def open(self, name: str, state: str) -> BinaryIO:
        """See `Place.open`."""
        file: BinaryIO = pa.OSFile(name)
        if _source(Path(name)).state != state:
            raise FileChanged(name)
        return file

    def contains(self, output: str) -> bool:
        """See `Place.contains`."""
        folder = Path(self.text).resolve()
        return folder.is_dir() and "://" not in output and Path(output).resolve().is_relative_to(folder)


def _source(path: Path) -> Source:
    found = path.stat()
    return Source(str(path), found.st_size, str(found.st_mtime_ns))


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

"""The files that a job reads: one, those of a folder, or those that match a pattern."""

from __future__ import annotations

from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from pilotlight.files.sources import BatchUsageError, FileChanged, Place, Source, check_formats, with_rows


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

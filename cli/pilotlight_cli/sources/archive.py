"""Archives of model folders, as SageMaker keeps them: unpacked without links, devices and paths that lead elsewhere."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Final

from pilotlight.errors import ModelError, StoreError
from pilotlight_cli.formats.recognition import LEAST, TIMES
from pilotlight_cli.sandbox.isolation import temporary_folder
from pilotlight_cli.sources.files import MOST_FILES, Files, local
from pilotlight_cli.stores import check_key

_GZIP: Final = b"\x1f\x8b"


class _Limited(BufferedIOBase):
    """Reads up to a limit: a megabyte of gzip can hold a gigabyte, also of an archive's own headers."""

    def __init__(self, source: Any, limit: int, place: str) -> None:  # noqa: ANN401 - a file or a GzipFile
        self._source = source
        self._limit = limit
        self._left = limit
        self._place = place

    def read(self, size: int | None = -1) -> bytes:
        wanted = self._left + 1 if size is None or size < 0 else min(size, self._left + 1)
        content: bytes = self._source.read(wanted)
        self._left -= len(content)
        if self._left < 0:
            raise ModelError(f"{self._place} unpacks to more than {self._limit:,} bytes, expected a model")
        return content


def unpacked(archive: Path, into: Path | None = None) -> Files:
    """Unpack a .tar or .tar.gz into `into`, or a temporary folder, and return its files. Raise ModelError."""
    place = str(archive)
    folder = into or temporary_folder()
    limit = max(LEAST, TIMES * archive.stat().st_size)
    try:
        with archive.open("rb") as raw:
            gzipped = raw.peek(2)[:2] == _GZIP
            stream = _Limited(gzip.GzipFile(fileobj=raw) if gzipped else raw, limit, place)
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for count, member in enumerate(tar):
                    if count >= MOST_FILES:
                        raise ModelError(f"{place} has more than {MOST_FILES:,} entries, expected one model")
                    _unpack(place, tar, member, folder)
            while stream.read(1 << 20):  # to the checksum at the end
                pass
    except (EOFError, gzip.BadGzipFile, tarfile.TarError, zlib.error) as error:
        raise ModelError(f"{place} cannot be unpacked: {error}; expected a complete .tar.gz") from None
    found = local(folder)
    return Files(place, found.sizes, found.get)


def _unpack(place: str, tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    name = member.name.removeprefix("./").rstrip("/")
    if member.isdir() and name in ("", "."):
        return
    try:
        check_key(place, name)
    except StoreError:
        raise ModelError(f"{place} has an entry {member.name!r}, expected a path below the archive's root") from None
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE):
        kind = "a link" if member.issym() or member.islnk() else "no regular file"
        raise ModelError(f"{place}: {name} is {kind}, expected files and folders; pack what it points to")
    target = folder / name
    try:
        (target if member.isdir() else target.parent).mkdir(parents=True, exist_ok=True)
        if content := tar.extractfile(member):
            with target.open("xb") as out:
                shutil.copyfileobj(content, out)
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise ModelError(f"{place}: {name} cannot be unpacked: {error.strerror}; expected each name once") from None

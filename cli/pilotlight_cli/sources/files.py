"""The files of a model folder, on this machine or in a registry, which are fetched when they are asked for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final

from pilotlight.errors import DigestMismatch, ModelError, ObjectRefused, StoreError
from pilotlight_cli import console
from pilotlight_cli.regular_files import read
from pilotlight_cli.sandbox.isolation import temporary_folder
from pilotlight_cli.stores import Progress, check_key, open_store

MOST_FILES: Final = 10_000
# What Lambda's temporary folder can have at most, in bytes.
LARGEST: Final = 10_240 * 2**20

# Files beside an ONNX file that are no external data.
_NO_DATA: Final = frozenset(
    {"", ".csv", ".gitattributes", ".json", ".md", ".pbtxt", ".py", ".txt", ".yaml", ".yml"}
    | {".bin", ".h5", ".msgpack", ".ot", ".pt", ".safetensors"}  # weights for other libraries
)


@dataclass(frozen=True, slots=True)
class Files:
    """Files by their paths below a folder, with slashes.

    `place` names the folder in messages, `sizes` has the size of each file in bytes, and `get` returns its path on this
    machine. `origin` is the URL of a remote folder with its version, commit or digest, else empty.
    """

    place: str
    sizes: Mapping[str, int]
    get: Callable[[str], Path]
    origin: str = ""
    notes: tuple[str, ...] = ()

    def text(self, name: str) -> str:
        """Return the text of a small file. Raise ModelError if it is not UTF-8."""
        try:
            return read(self.get(name)).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ModelError(f"{self.place}/{name} is not UTF-8: {error.reason} at byte {error.start}") from None


@dataclass(frozen=True, slots=True)
class Entry:
    """A remote file: its size in bytes, -1 if unknown, and its digest, `sha256:...` or git's `sha1:...`, if known."""

    size: int
    digest: str = ""


Fetch = Callable[[str, Path, Progress], None]
"""Writes a remote file, by its path, to a file on this machine."""


def local(folder: Path) -> Files:
    """Return the files of a folder on this machine. Raise ModelError if they are too many."""
    sizes: dict[str, int] = {}
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if path.is_file():
                sizes[path.relative_to(folder).as_posix()] = path.stat().st_size
        check_count(str(folder), len(sizes))
    return Files(str(folder), sizes, folder.joinpath)


def remote(
    place: str, entries: Mapping[str, Entry], fetch: Fetch, *, origin: str = "", notes: tuple[str, ...] = ()
) -> Files:
    """Return the files of a registry, which `get` downloads once into a temporary folder and checks.

    Raise StoreError for a path that leaves the folder, and ModelError for too many files.
    """
    check_count(place, len(entries))
    for name in entries:
        check_key(place, name)
    folder = temporary_folder()

    def get(name: str) -> Path:
        path = folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _download(f"{place}/{name}", entries[name], path, lambda file, told: fetch(name, file, told))
        return path

    return Files(place, {name: entry.size for name, entry in entries.items()}, get, origin, notes)


def bucket(place: str, url: str, *, origin: str, notes: tuple[str, ...]) -> Files:
    """Return the files of a folder in a bucket, which its URL names: `s3://bucket/folder` or `gs://bucket/folder`."""
    store = open_store(url)
    # Its sizes are not listed, and nobody vouches for its digests.
    entries = {key: Entry(-1) for key in islice(store.keys(""), MOST_FILES + 1)}
    if not entries:
        raise ObjectRefused(f"{place} has no files in {url}")
    return remote(place, entries, store.download, origin=origin, notes=notes)


def check_count(place: str, count: int) -> None:
    """Raise ModelError for a folder with more files than a model has."""
    if count > MOST_FILES:
        raise ModelError(f"{place} has more than {MOST_FILES:,} files, expected the folder of one model")


def _download(place: str, entry: Entry, path: Path, fetch: Callable[[Path, Progress], None]) -> None:
    """Download a file under another name, and give it its own once size and digest are right."""
    if entry.size > LARGEST:
        raise ModelError(f"{place} has {entry.size:,} bytes, expected at most {LARGEST:,}, which a function can hold")
    part = path.with_name(f".{path.name}.part")
    with _shown(f"Downloading {path.name}", entry.size) as progress:
        fetch(part, progress)
    found = part.stat().st_size
    if found != entry.size >= 0:
        raise StoreError(f"{place}: found {found:,} bytes, expected {entry.size:,}; try again")
    if entry.digest:
        check_digest(place, part, entry)
    part.rename(path)


@contextmanager
def _shown(text: str, size: int) -> Iterator[Progress]:
    """Show a download. Of a size that is not known, yield a function that raises ModelError beyond `LARGEST`."""
    if size >= 0:
        with console.transferring(text, size) as progress:
            yield progress
        return
    total = 0

    def count(received: int) -> None:
        nonlocal total
        total += received
        if total > LARGEST:
            raise ModelError(f"{text}: more than {LARGEST:,} bytes, which a function can hold")

    with console.doing(text):
        yield count


def check_digest(place: str, path: Path, entry: Entry) -> None:
    """Raise DigestMismatch for a file that differs from its entry."""
    kind = entry.digest.partition(":")[0]
    digest = hashlib.sha256() if kind == "sha256" else _git_digest(entry.size)
    with path.open("rb") as content:
        while piece := content.read(1 << 20):
            digest.update(piece)
    if (found := f"{kind}:{digest.hexdigest()}") != entry.digest:
        raise DigestMismatch(
            f"{place} has the digest {found}, expected {entry.digest}; the file was altered on its way"
        )


def _git_digest(size: int) -> hashlib._Hash:
    """Return the beginning of git's name for a file's content."""
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


def model_path(files: Files, name: str) -> Path:
    """Return the path of a model file on this machine, with the external data of an ONNX file beside it.

    That is known only to the file, which is not read here: taken are the files that begin with its name, or all that
    may be data where it is the folder's only ONNX file.
    """
    path = files.get(name)
    if suffix(name) == ".onnx":
        folder = name[: len(name) - len(PurePosixPath(name).name)]
        others = [other for other in files.sizes if other != name and other.startswith(folder)]
        only = not any(suffix(other) == ".onnx" for other in others)
        for other in others:
            if other.startswith(name) or (only and suffix(other) not in _NO_DATA):
                files.get(other)
    return path


def named(names: Iterable[str]) -> str:
    """Return names for a message, a few of many."""
    listed = sorted(names)
    return ", ".join(listed[:6]) + (f" and {len(listed) - 6} more" if len(listed) > 6 else "")


def suffix(name: str) -> str:
    """Return the suffix of a path in small letters, with its dot."""
    return PurePosixPath(name).suffix.lower()

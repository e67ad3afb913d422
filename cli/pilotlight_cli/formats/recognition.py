"""What a model file is, told by its content, with the standard library alone: nothing of it is loaded.

A file that unpacks is unpacked to a limit: a megabyte of zlib can hold a gigabyte, and one of lzma far more.
"""

from __future__ import annotations

import bz2
import json
import lzma
import mmap
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pilotlight.errors import PilotlightError
from pilotlight_cli.formats import onnx_file

# What a file may unpack to: so many times its size, and this much in any case. Models come to 30 times, seldom.
TIMES: Final = 200
LEAST: Final = 256 * 10**6

# What lzma's dictionary may take; its own highest preset takes a quarter. A header can ask for 4 GB.
_LZMA_MEMORY: Final = 2**28

# Where every protocol buffer has to end, and with it an ONNX file.
_LARGEST_PROTOBUF: Final = 2**31 - 1

_ZLIB_OR_GZIP: Final = zlib.MAX_WBITS | 32
_COMPRESSED: Final[dict[bytes, Callable[[], Any]]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(_ZLIB_OR_GZIP),
    b"\x78": lambda: zlib.decompressobj(_ZLIB_OR_GZIP),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\x00": lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY),
    b"\x5d\x00\x00": lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY),
}
_STRANGERS: Final = (
    (b"\x04\x22\x4d\x18", "an lz4 file; save the model again with joblib.dump(model, file, compress='zlib')"),
    (b"\x89HDF", "an HDF5 file, as Keras writes them; convert the model to ONNX"),
    (b"ZF", "a file of joblib before 0.10; save the model again with a newer joblib"),
)
# The name of the field, its place in the memo, and how long the string is that follows: one byte tells it, or four.
_FIELD: Final = re.compile(rb"_sklearn_version(?:\x94|q.|r.{4})?(?:\x8c(.)|X(.{4}))", re.DOTALL)
_VERSION: Final = re.compile(rb"[0-9][0-9A-Za-z.+]{0,30}")


# An entry can also ask for a password, another disk or a compression that nobody knows.
_UNZIPPING: Final = (
    EOFError,
    KeyError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


class NotRecognised(PilotlightError):
    """A file that is no model, or none that Pilotlight serves."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A model file's kind, and of a scikit-learn model the versions that made it.

    `size` is all its bytes, unpacked. `companions` are the files beside an ONNX file that hold parts of it; `labels`
    and `words` are the classes and the strings that it knows.
    """

    kind: str
    sklearn: str = ""
    numpy_major: int = 2
    companions: tuple[Path, ...] = ()
    labels: tuple[str | int, ...] = ()
    words: tuple[str, ...] = ()
    size: int = 0


def recognise(path: Path) -> Recognised:
    """What the file at `path` is. Raises NotRecognised."""
    with path.open("rb") as file:
        head = file.read(8)
    if not head:
        raise NotRecognised(f"{path.name} is empty, expected a model")
    for magic, stranger in _STRANGERS:
        if head.startswith(magic):
            raise NotRecognised(f"{path.name} is {stranger}")
    for recogniser in _RECOGNISERS:
        if found := recogniser(path, head):
            return found
    raise NotRecognised(
        f"{path.name} is none of the files that Pilotlight serves: an ONNX model, a skops file, a pickle of "
        "protocol 3 to 5 or a joblib file of a scikit-learn model"
    )


def _recognise_onnx(path: Path, _head: bytes) -> Recognised | None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        onnx = onnx_file.read(content)
    if onnx is None:
        return None
    size = path.stat().st_size
    if size > _LARGEST_PROTOBUF:
        raise NotRecognised(
            f"{path.name} has {size} bytes, and an ONNX file, being a protocol buffer, ends at {_LARGEST_PROTOBUF}; "
            "save it with its weights beside it: onnx.save(..., save_as_external_data=True, location='model.data')"
        )
    companions = _companions(path, onnx.external)
    size += sum(companion.stat().st_size for companion in companions)
    return Recognised("onnx", companions=companions, labels=onnx.labels, words=onnx.words, size=size)


def _companions(path: Path, names: Collection[str]) -> tuple[Path, ...]:
    """The files beside a model that hold parts of it."""
    if path.name in names:
        raise NotRecognised(f"{path.name} keeps tensors in itself, expected them in another file; save it again")
    companions = tuple(path.parent / name for name in names)
    for companion in companions:
        if not companion.is_file():
            raise NotRecognised(
                f"{path.name} keeps tensors in {companion.name}, expected a file of that name beside it"
            )
    return companions


def read_recognised(document: dict[str, Any]) -> Recognised:
    """What `write_recognised` wrote."""
    companions = tuple(map(Path, document["companions"]))
    labels, words = tuple(document["labels"]), tuple(document["words"])
    return Recognised(**document | {"companions": companions, "labels": labels, "words": words})


def write_recognised(found: Recognised) -> dict[str, Any]:
    """The JSON form of what was found."""
    return asdict(found) | {"companions": list(map(str, found.companions))}


def unpacked(path: Path) -> bytes:
    """The bytes of a pickle or joblib file, decompressed where they are compressed."""
    content = path.read_bytes()
    machine = next((machine for magic, machine in _COMPRESSED.items() if content.startswith(magic)), None)
    if machine is None:
        return content
    decompressor = machine()
    try:
        plain: bytes = decompressor.decompress(content, _most(len(content)) + 1)
    except (OSError, lzma.LZMAError, zlib.error) as error:
        raise NotRecognised(f"{path.name} looks compressed but does not unpack: {error}") from None
    _check_unpacked(path, len(content), len(plain))
    if not decompressor.eof:
        raise NotRecognised(f"{path.name} ends early: it was cut off; copy or save it again")
    return plain


def _most(size: int) -> int:
    return max(LEAST, TIMES * size)


def _check_unpacked(path: Path, size: int, unpacked: int) -> None:
    if unpacked > _most(size):
        raise NotRecognised(
            f"{path.name} has {size} bytes and unpacks to more than {_most(size)}, {TIMES} times its size, which no "
            "model does; save it again without compression"
        )


def _recognise_pickle(path: Path, head: bytes) -> Recognised | None:
    if head[:1] != b"\x80" and not head.startswith(tuple(_COMPRESSED)):
        return None
    content = unpacked(path)
    if content[:1] != b"\x80":
        raise NotRecognised(f"{path.name} is compressed, but what is in it is no pickle; expected a joblib file")
    versions = set(_pickled_versions(content))
    if len(versions) != 1:
        found = f"objects of scikit-learn {', '.join(sorted(versions))}" if versions else "no scikit-learn estimator"
        raise NotRecognised(f"{path.name} holds {found}, expected those of one version; save a fitted estimator again")
    plain = head[:1] == b"\x80" and b"joblib.numpy_pickle" not in content
    old = b"numpy.core." in content and b"numpy._core" not in content
    return Recognised("pickle" if plain else "joblib", versions.pop(), 1 if old else 2, size=len(content))


def _pickled_versions(content: bytes) -> Iterator[str]:
    """The versions that stand in a pickle as strings; later ones are references to the first."""
    for field in _FIELD.finditer(content):
        length = int.from_bytes(field[1] or field[2], "little")
        version = content[field.end() : field.end() + length]
        if _VERSION.fullmatch(version):
            yield version.decode()


def _recognise_zip(path: Path, head: bytes) -> Recognised | None:
    if not head.startswith(b"PK\x03\x04"):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            size = _check_entries(path, archive.infolist())
            schema = json.loads(archive.read("schema.json"))
    except _UNZIPPING as error:
        raise NotRecognised(
            f"{path.name} is a zip file but not one of skops: {error}; PyTorch and Keras models go through ONNX"
        ) from None
    versions = set(_versions(schema))
    if len(versions) != 1:
        found = f"objects of scikit-learn {', '.join(sorted(versions))}" if versions else "no scikit-learn estimator"
        raise NotRecognised(f"{path.name} holds {found}, expected those of one version; save a fitted estimator again")
    return Recognised("skops", versions.pop(), size=size)


def _check_entries(path: Path, entries: Sequence[zipfile.ZipInfo]) -> int:
    """The bytes of all files in an archive, which its directory tells: no more than that is ever read of one."""
    if len({entry.filename for entry in entries}) != len(entries):
        raise NotRecognised(f"{path.name} holds two files of one name; save the model again with skops")
    size = sum(entry.file_size for entry in entries)
    _check_unpacked(path, path.stat().st_size, size)
    return size


def _versions(schema: object) -> Iterator[str]:
    """The values of all fields named _sklearn_version, which skops keeps as JSON within its JSON."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            field = node.get("_sklearn_version")
            if isinstance(field, dict) and isinstance(field.get("content"), str):
                yield field["content"].strip('"')
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


# Each returns None for a file of another kind: the first that does not decides.
_RECOGNISERS: Final[tuple[Callable[[Path, bytes], Recognised | None], ...]] = (
    _recognise_zip,
    _recognise_pickle,
    _recognise_onnx,
)

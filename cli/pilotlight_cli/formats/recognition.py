"""Recognising a model file by its content, with the standard library alone and without loading it.

Compressed files are unpacked up to a limit: a megabyte of zlib can hold a gigabyte, and one of lzma far more.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from pilotlight.errors import PilotlightError
from pilotlight_cli.formats import convertible, onnx_file
from pilotlight_cli.formats.foreign import foreign, foreign_archive

# The limit of the unpacked size: a multiple of the file's, and at least so many bytes. Models seldom reach 30 times.
TIMES: Final = 200
LEAST: Final = 256 * 10**6

# The limit of lzma's dictionary; its highest preset takes a quarter. A header can ask for 4 GB.
_LZMA_MEMORY: Final = 2**28

# The limit of every protocol buffer, and so of an ONNX file, in bytes.
_LARGEST_PROTOBUF: Final = 2**31 - 1

# How an lz4 file begins. The standard library cannot unpack it: the process that does needs these packages.
LZ4: Final = b"\x04\x22\x4d\x18"
LZ4_PACKAGES: Final = ("lz4==4.4.5",)

# A flatbuffer's identifier, which follows the offset of its root.
_ORT: Final = b"ORTM"

_ZLIB_OR_GZIP: Final = zlib.MAX_WBITS | 32
COMPRESSED: Final[dict[bytes, Callable[[], Any]]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(_ZLIB_OR_GZIP),
    b"\x78": lambda: zlib.decompressobj(_ZLIB_OR_GZIP),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\x00": lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY),
    b"\x5d\x00\x00": lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY),
    LZ4: lambda: import_module("lz4.frame").LZ4FrameDecompressor(),
}
# How pickles begin: those of protocol 0 and 1 with a class or function, a dictionary, a list or a tuple.
_PICKLE: Final = re.compile(rb"\x80|\(?c[A-Za-z_][\w.]*\n|\([dl]p0|[}\]]q|\([VX]")
_UNSUPPORTED: Final = ((b"ZF", "a file of joblib before 0.10; save the model again with a newer joblib"),)
# The field's name, its memo entry, and the length of the string that follows, in one byte or in four.
_FIELD: Final = re.compile(rb"_sklearn_version(?:\x94|q.|r.{4})?(?:\x8c(.)|X(.{4}))", re.DOTALL)
_FIELD_AS_TEXT: Final = re.compile(rb"V_sklearn_version\np[0-9]+\nV([^\n]{1,31})\n")
_VERSION: Final = re.compile(rb"[0-9][0-9A-Za-z.+]{0,30}")


# An entry can also require a password, another disk or an unknown compression.
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
    """The file is not a model that Pilotlight serves."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A model file's kind, and the versions that saved a scikit-learn model.

    `size` is its size in bytes, unpacked, and `lz4` whether lz4 unpacks it. `external_files` are the external data
    files of an ONNX model, `external_names` their names in a store, and `places` the positions in the file at which
    these replace others of the same length. `labels` and `vocabulary` are the classes and the strings in it; `repairs`:
    it has what publish may rewrite.
    """

    kind: str
    sklearn: str = ""
    numpy_major: int = 2
    external_files: tuple[Path, ...] = ()
    external_names: tuple[str, ...] = ()
    places: tuple[tuple[int, str], ...] = ()
    labels: tuple[str | int, ...] = ()
    vocabulary: tuple[str, ...] = ()
    size: int = 0
    lz4: bool = False
    repairs: bool = False


def recognise(path: Path, given: str = "") -> Recognised:
    """Recognise the file at `path`, which `given` names on a command line: by default its name.

    Raise NotRecognised, or ModelError for external data outside its folder.
    """
    given = given or path.name
    with path.open("rb") as file:
        head = file.read(convertible.HEAD)
    if not head:
        raise NotRecognised(f"{path.name} is empty, expected a model")
    for magic, description in _UNSUPPORTED:
        if head.startswith(magic):
            raise NotRecognised(f"{path.name} is {description}")
    if other := convertible.recognise(path, head):
        way = convertible.EXPORT if other.form == "torch" else f"convert it first: {convertible.command(given)}"
        raise NotRecognised(f"{path.name} is {other.description}; {way}")
    for recogniser in _RECOGNISERS:
        if found := recogniser(path, head, given):
            return found
    raise NotRecognised(
        foreign(path)
        or f"{path.name} is not a model file that Pilotlight serves; expected an ONNX model, or a scikit-learn model "
        "as a skops file, a pickle or a joblib file"
    )


def _recognise_onnx(path: Path, _head: bytes, _given: str) -> Recognised | None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        onnx = onnx_file.read(content)
    if onnx is None:
        return None
    size = path.stat().st_size
    if size > _LARGEST_PROTOBUF:
        raise NotRecognised(
            f"{path.name} has {size} bytes, expected at most {_LARGEST_PROTOBUF}, the limit of protocol buffers; save "
            "it with external data: onnx.save(..., save_as_external_data=True, location='model.data')"
        )
    external_files = _external_files(path, onnx.external)
    size += sum(file.stat().st_size for file in external_files)
    return Recognised(
        "onnx",
        external_files=external_files,
        external_names=tuple(onnx.external.values()),
        places=onnx.places,
        labels=onnx.labels,
        vocabulary=onnx.vocabulary,
        size=size,
        repairs=onnx.repairs,
    )


def _recognise_ort(path: Path, head: bytes, _given: str) -> Recognised | None:
    return Recognised("ort", size=path.stat().st_size) if head.startswith(_ORT, 4) else None


def _external_files(path: Path, names: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the external data files, which have to be where the model says. Raise NotRecognised."""
    if path.name in names.values():
        raise NotRecognised(f"{path.name} names itself as external data, expected another file; save it again")
    if len(set(names.values())) != len(names):
        raise NotRecognised(
            f"{path.name} has external data in {', '.join(names)}, of which two would have one name in a store; save "
            "it again with onnx.save(..., save_as_external_data=True, location='model.data')"
        )
    for name in names:
        if not (path.parent / name).is_file():
            raise NotRecognised(
                f"{path.name} has external data in {name}, but there is no such file beside it; copy it there"
            )
    return tuple(path.parent / name for name in names)


def read_recognised(document: dict[str, Any]) -> Recognised:
    """Read what `write_recognised` wrote."""
    lists = {name: tuple(values) for name, values in document.items() if isinstance(values, list)}
    places = tuple((position, name) for position, name in document["places"])
    return Recognised(
        **document | lists | {"external_files": tuple(map(Path, document["external_files"])), "places": places}
    )


def write_recognised(found: Recognised) -> dict[str, Any]:
    """Return the JSON form."""
    return asdict(found) | {"external_files": list(map(str, found.external_files))}


def decompress(path: Path) -> bytes:
    """Return the bytes of a pickle or joblib file, decompressed if necessary. Raise NotRecognised."""
    content = path.read_bytes()
    machine = next((machine for magic, machine in COMPRESSED.items() if content.startswith(magic)), None)
    if machine is None:
        return content
    decompressor = machine()
    try:
        plain: bytes = decompressor.decompress(content, _most(len(content)) + 1)
    except (OSError, RuntimeError, lzma.LZMAError, zlib.error) as error:
        raise NotRecognised(f"{path.name} looks compressed but cannot be decompressed: {error}") from None
    _check_unpacked(path, len(content), len(plain))
    if not decompressor.eof:
        raise NotRecognised(f"{path.name} is truncated; copy or save it again")
    return plain


def _most(size: int) -> int:
    return max(LEAST, TIMES * size)


def _check_unpacked(path: Path, size: int, unpacked: int) -> None:
    if unpacked > _most(size):
        raise NotRecognised(
            f"{path.name} has {size} bytes and unpacks to more than {_most(size)}, expected at most {TIMES} times its "
            "size; save it again without compression"
        )


def pickle_in(path: Path, head: bytes) -> bytes | None:
    """Return the pickle, decompressed, of a file that begins with `head`, or None for what does not begin as one.

    Raise NotRecognised for a file that is compressed and no pickle.
    """
    compressed = head.startswith(tuple(COMPRESSED))
    if not compressed and (not _PICKLE.match(head) or foreign(path)):
        return None
    content = decompress(path)
    if not _PICKLE.match(content):
        raise NotRecognised(f"{path.name} is compressed, but its content is not a pickle; expected a joblib file")
    return content


def _recognise_pickle(path: Path, head: bytes, given: str) -> Recognised | None:
    content = pickle_in(path, head)
    if content is None:
        return None
    versions = set(pickled_versions(content))
    if not versions and content[:1] != b"\x80" and not content.endswith(b"."):
        return None
    if library := convertible.pickled_booster(content):
        raise NotRecognised(f"{path.name} is a pickle of {library}; convert it first: {convertible.command(given)}")
    if not versions and not content.endswith(b"."):
        raise NotRecognised(f"{path.name} is a pickle that was truncated; copy or save it again")
    if len(versions) != 1:
        found = f"objects of scikit-learn {', '.join(sorted(versions))}" if versions else "no scikit-learn estimator"
        raise NotRecognised(f"{path.name} holds {found}, expected those of one version; save a fitted estimator again")
    # What is no plain pickle of protocol 3 to 5 is saved again.
    plain = head[:1] == b"\x80" and head[1] >= 3 and b"joblib.numpy_pickle" not in content
    old = b"numpy.core." in content and b"numpy._core" not in content
    kind = "pickle" if plain else "joblib"
    return Recognised(kind, versions.pop(), 1 if old else 2, size=len(content), lz4=head.startswith(LZ4))


def pickled_versions(content: bytes) -> Iterator[str]:
    """Yield the versions of scikit-learn that a pickle has as strings; later ones are references to the first."""
    for field in _FIELD.finditer(content):
        length = int.from_bytes(field[1] or field[2], "little")
        version = content[field.end() : field.end() + length]
        if _VERSION.fullmatch(version):
            yield version.decode()
    yield from (field[1].decode(errors="replace") for field in _FIELD_AS_TEXT.finditer(content))


def _recognise_zip(path: Path, head: bytes, _given: str) -> Recognised | None:
    if not head.startswith(b"PK\x03\x04"):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            size = _check_entries(path, archive.infolist())
            if "schema.json" not in archive.namelist():
                raise NotRecognised(foreign_archive(path, archive.namelist()))
            schema = json.loads(archive.read("schema.json"))
    except _UNZIPPING as error:
        if not zipfile.is_zipfile(path):
            raise NotRecognised(f"{path.name} is a zip file that was truncated; copy or save it again") from None
        raise NotRecognised(f"{path.name} is a zip file but not a skops file: {error}; save the model again") from None
    versions = set(_versions(schema))
    if len(versions) != 1:
        found = f"objects of scikit-learn {', '.join(sorted(versions))}" if versions else "no scikit-learn estimator"
        raise NotRecognised(f"{path.name} holds {found}, expected those of one version; save a fitted estimator again")
    return Recognised("skops", versions.pop(), size=size)


def _check_entries(path: Path, entries: Sequence[zipfile.ZipInfo]) -> int:
    """Return the unpacked size of an archive as its directory says: zipfile reads no more than that of an entry."""
    if len({entry.filename for entry in entries}) != len(entries):
        raise NotRecognised(f"{path.name} has duplicate file names; save the model again with skops")
    size = sum(entry.file_size for entry in entries)
    _check_unpacked(path, path.stat().st_size, size)
    return size


def _versions(schema: object) -> Iterator[str]:
    """Yield the values of all fields named _sklearn_version, which skops keeps as JSON within its JSON."""
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
_RECOGNISERS: Final[tuple[Callable[[Path, bytes, str], Recognised | None], ...]] = (
    _recognise_zip,
    _recognise_pickle,
    _recognise_ort,
    _recognise_onnx,
)

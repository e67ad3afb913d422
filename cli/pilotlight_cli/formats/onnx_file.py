"""Reading an ONNX file's protocol buffer without any library: external files, labels, vocabulary.

https://github.com/onnx/onnx/blob/main/onnx/onnx.proto: ModelProto.graph = 7; AttributeProto.name = 1, ints = 8,
strings = 9.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pilotlight.errors import ModelError
from pilotlight.model.lock import FILE_NAME
from pilotlight.runtimes.onnx.external import Content, Field, Malformed, fields, locations, varint, walk

_MOST_WORDS = 10_000
_LONGEST_WORD = 1_000

# What no path of a model has: control characters, other separators, and what is not UTF-8.
_ODD = re.compile(r"[\x00-\x1f\\\ufffd]")


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """An ONNX file's contents: `external` are its external data files, as it names them and as a store can.

    `places` are the positions in the file at which names have to be replaced by those for the store, of equal length.
    `labels` are the classes of its classifier, empty where it has none or several. `vocabulary` has some of the strings
    that its encoders know, for generated samples.
    """

    external: Mapping[str, str]
    labels: tuple[str | int, ...]
    vocabulary: tuple[str, ...]
    places: tuple[tuple[int, str], ...] = ()


def read(content: Content) -> OnnxFile | None:
    """Read an ONNX model. Return None for anything else.

    Raise ModelError for an external file outside the model's folder, which Pilotlight never opens.
    """
    labels: set[tuple[str | int, ...]] = set()
    vocabulary: set[str] = set()
    try:
        if not any(number == 7 and kind == 2 for number, kind, _, _ in fields(content, 0, len(content))):
            return None
        external, places = _external(content)
        for message, start, end in walk(content):
            found = list(fields(content, start, end)) if message == "AttributeProto" else []
            name = _name(content, found)
            if name.startswith("classlabels_"):
                labels.add(_strings(content, found) or _integers(content, found))
            elif name in ("cats_strings", "keys_strings"):
                vocabulary.update(_strings(content, found))
    except Malformed:
        return None
    known = sorted(word for word in vocabulary if len(word) <= _LONGEST_WORD)[:_MOST_WORDS]
    return OnnxFile(external, labels.pop() if len(labels) == 1 else (), tuple(known), places)


def _external(content: Content) -> tuple[dict[str, str], tuple[tuple[int, str], ...]]:
    """Return the external data files, and the places of names that a store cannot have. Raise ModelError."""
    names: dict[str, str] = {}
    places = []
    for first, last in locations(content):
        written = content[first:last]
        name, stored = written.decode("utf-8", "replace"), _stored(written)
        if not _is_inside(name) or not re.fullmatch(FILE_NAME, stored):
            raise ModelError(
                f"the model has external data in {name!r}, expected a file in the model's folder or below it; save it "
                "again with onnx.save(..., save_as_external_data=True, location='model.data')"
            )
        names[name] = stored
        if name != stored:
            places.append((first, stored))
    return dict(sorted(names.items())), tuple(places)


def _is_inside(name: str) -> bool:
    """Return whether a path is one of a file in the model's folder or below it."""
    steps = name.split("/")
    return all(steps) and ".." not in steps and not _ODD.search(name)


def _stored(name: bytes) -> str:
    """Return a name for the store, which has no folders, of the same length."""
    plain = re.sub(rb"[^A-Za-z0-9._-]", b"-", name)
    return re.sub(rb"^[._-]", b"0", plain).decode()


def _name(content: Content, found: list[Field]) -> str:
    names = [content[first:last] for number, kind, first, last in found if (number, kind) == (1, 2)]
    return names[-1].decode("utf-8", "replace") if names else ""


def _strings(content: Content, found: list[Field]) -> tuple[str, ...]:
    return tuple(content[first:last].decode("utf-8", "replace") for number, _, first, last in found if number == 9)


def _integers(content: Content, found: list[Field]) -> tuple[int, ...]:
    """Return integers, one a field or packed into one field."""
    values = []
    for number, _, first, last in found:
        position = first if number == 8 else last
        while position < last:
            value, position = varint(content, position, last)
            values.append(value - 2**64 if value >= 2**63 else value)
    return tuple(values)

"""Reading an ONNX file's protocol buffer without any library: external files, labels, vocabulary.

https://github.com/onnx/onnx/blob/main/onnx/onnx.proto: ModelProto.graph = 7; AttributeProto.name = 1, ints = 8,
strings = 9.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pilotlight.errors import ModelError
from pilotlight.model.lock import FILE_NAME
from pilotlight.runtimes.onnx.external import Content, Field, Malformed, external_files, fields, varint, walk

_MOST_WORDS = 10_000
_LONGEST_WORD = 1_000


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """An ONNX file's contents: `external` are the names of its external data files.

    `labels` are the classes of its classifier, empty where it has none or several. `vocabulary` has some of the strings
    that its encoders know, for generated samples.
    """

    external: tuple[str, ...]
    labels: tuple[str | int, ...]
    vocabulary: tuple[str, ...]


def read(content: Content) -> OnnxFile | None:
    """Read an ONNX model. Return None for anything else.

    Raise ModelError for an external file outside the model's folder, which Pilotlight never opens.
    """
    labels: set[tuple[str | int, ...]] = set()
    vocabulary: set[str] = set()
    try:
        if not any(number == 7 and kind == 2 for number, kind, _, _ in fields(content, 0, len(content))):
            return None
        external = external_files(content)
        for message, start, end in walk(content):
            found = list(fields(content, start, end)) if message == "AttributeProto" else []
            name = _name(content, found)
            if name.startswith("classlabels_"):
                labels.add(_strings(content, found) or _integers(content, found))
            elif name in ("cats_strings", "keys_strings"):
                vocabulary.update(_strings(content, found))
    except Malformed:
        return None
    for name in sorted(external):
        if not re.fullmatch(FILE_NAME, name):
            raise ModelError(
                f"the model has external data in {name!r}, expected the name of a file beside the model; save it again "
                "with onnx.save(..., save_as_external_data=True, location='model.data')"
            )
    known = sorted(word for word in vocabulary if len(word) <= _LONGEST_WORD)[:_MOST_WORDS]
    return OnnxFile(tuple(sorted(external)), labels.pop() if len(labels) == 1 else (), tuple(known))


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

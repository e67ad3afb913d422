"""What an ONNX file itself tells, read from its protocol buffer without any library: other files, labels, words.

https://github.com/onnx/onnx/blob/main/onnx/onnx.proto: ModelProto.graph = 7, functions = 25; GraphProto.node = 1,
initializer = 5, sparse_initializer = 15; FunctionProto.node = 7; NodeProto.attribute = 5; AttributeProto.name = 1,
t = 5, g = 6, ints = 8, strings = 9, tensors = 10, graphs = 11, sparse_tensor = 22, sparse_tensors = 23;
SparseTensorProto.values = 1, indices = 2; TensorProto.external_data = 13; StringStringEntryProto.key = 1, value = 2.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from pilotlight.description import FILE_NAME
from pilotlight.errors import ModelError

Content: TypeAlias = mmap.mmap | bytes
Field: TypeAlias = "tuple[int, int, int, int]"

# For each kind of message, the fields in which tensors may stand and the kind of what stands there.
_WITHIN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_FIXED = {1: 8, 5: 4}

_MOST_WORDS = 10_000
_LONGEST_WORD = 1_000


class _Malformed(ValueError):
    """These bytes are no protocol buffer."""


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """`external` are the names of the files that hold a model's external data.

    `labels` are the classes of its classifier, empty where it has none or several; `words` are some of the strings that
    its encoders know, to make samples of.
    """

    external: tuple[str, ...]
    labels: tuple[str | int, ...]
    words: tuple[str, ...]


def read(content: Content) -> OnnxFile | None:
    """What a model's bytes tell; None when they are no ONNX model.

    Raises ModelError for a file name that leads out of the model's folder, which Pilotlight never follows.
    """
    external: set[str] = set()
    labels: set[tuple[str | int, ...]] = set()
    words: set[str] = set()
    try:
        if not any(number == 7 and kind == 2 for number, kind, _, _ in _fields(content, 0, len(content))):
            return None
        for message, start, end in _walk(content):
            fields = list(_fields(content, start, end)) if message in ("entry", "attribute") else []
            if message == "entry" and _text(content, fields, 1) == "location":
                external.add(_text(content, fields, 2))
            name = _text(content, fields, 1) if message == "attribute" else ""
            if name.startswith("classlabels_"):
                labels.add(_strings(content, fields) or _integers(content, fields))
            elif name in ("cats_strings", "keys_strings"):
                words.update(_strings(content, fields))
    except _Malformed:
        return None
    for name in sorted(external):
        if not re.fullmatch(FILE_NAME, name):
            raise ModelError(
                f"the model keeps tensors in {name!r}, expected a plain file name beside the model; save it again with "
                "onnx.save(..., save_as_external_data=True, location='model.data')"
            )
    known = sorted(word for word in words if len(word) <= _LONGEST_WORD)[:_MOST_WORDS]
    return OnnxFile(tuple(sorted(external)), labels.pop() if len(labels) == 1 else (), tuple(known))


def _walk(content: Content) -> Iterator[tuple[str, int, int]]:
    """Every message in which something of interest may stand, and where it stands."""
    waiting = [("model", 0, len(content))]
    while waiting:
        message, start, end = waiting.pop()
        yield message, start, end
        inner = _WITHIN.get(message, {})
        for number, kind, first, last in _fields(content, start, end) if inner else ():
            if kind == 2 and number in inner:
                waiting.append((inner[number], first, last))


def _text(content: Content, fields: list[Field], wanted: int) -> str:
    return next(
        (
            content[first:last].decode("utf-8", "replace")
            for number, kind, first, last in fields
            if (number, kind) == (wanted, 2)
        ),
        "",
    )


def _strings(content: Content, fields: list[Field]) -> tuple[str, ...]:
    return tuple(content[first:last].decode("utf-8", "replace") for number, _, first, last in fields if number == 9)


def _integers(content: Content, fields: list[Field]) -> tuple[int, ...]:
    """Whole numbers, one to a field or packed into one."""
    values = []
    for number, _, first, last in fields:
        position = first if number == 8 else last
        while position < last:
            value, position = _varint(content, position, last)
            values.append(value - 2**64 if value >= 2**63 else value)
    return tuple(values)


def _fields(content: Content, start: int, end: int) -> Iterator[Field]:
    """Each field's number and wire type, and where its value stands."""
    position = start
    while position < end:
        key, position = _varint(content, position, end)
        number, kind = key >> 3, key & 7
        if kind == 0:
            first = position
            _, position = _varint(content, position, end)
        elif kind == 2:
            length, first = _varint(content, position, end)
            position = first + length
        elif kind in _FIXED:
            first = position
            position += _FIXED[kind]
        else:
            raise _Malformed
        if position > end or number == 0:
            raise _Malformed
        yield number, kind, first, position


def _varint(content: Content, position: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            raise _Malformed
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _Malformed

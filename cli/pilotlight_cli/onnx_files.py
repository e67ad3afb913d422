"""The files that an ONNX model refers to, read from its protocol buffer without any library.

https://github.com/onnx/onnx/blob/main/onnx/onnx.proto: ModelProto.graph = 7, functions = 25; GraphProto.node = 1,
initializer = 5, sparse_initializer = 15; NodeProto.attribute = 5; AttributeProto.t = 5, g = 6, tensors = 10,
graphs = 11, sparse_tensor = 22, sparse_tensors = 23; FunctionProto.node = 7; SparseTensorProto.values = 1, indices = 2;
TensorProto.external_data = 13; StringStringEntryProto.key = 1, value = 2.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator

from pilotlight.description import FILE_NAME
from pilotlight.errors import ModelError

Content = mmap.mmap | bytes

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


class _Malformed(ValueError):
    """These bytes are no protocol buffer."""


def external_files(content: Content) -> tuple[str, ...] | None:
    """The names of the files with a model's external data, sorted; None when `content` is no ONNX model.

    Raises ModelError for a name that leads out of the model's folder, which Pilotlight never follows.
    """
    try:
        if not any(number == 7 and kind == 2 for number, kind, _, _ in _fields(content, 0, len(content))):
            return None
        names = set(_locations(content))
    except _Malformed:
        return None
    for name in sorted(names):
        if not re.fullmatch(FILE_NAME, name):
            raise ModelError(
                f"the model keeps tensors in {name!r}, expected a plain file name beside the model; save it again with "
                "onnx.save(..., save_as_external_data=True, location='model.data')"
            )
    return tuple(sorted(names))


def _locations(content: Content) -> Iterator[str]:
    waiting = [("model", 0, len(content))]
    while waiting:
        message, start, end = waiting.pop()
        if message == "entry":
            entry = {
                number: content[first:last] for number, kind, first, last in _fields(content, start, end) if kind == 2
            }
            if entry.get(1) == b"location":
                yield entry.get(2, b"").decode("utf-8", "replace")
            continue
        for number, kind, first, last in _fields(content, start, end):
            within = _WITHIN[message].get(number)
            if within and kind == 2:
                waiting.append((within, first, last))


def _fields(content: Content, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
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

"""An ONNX file's main graph, read from its protocol buffer without any library and without its weights.

https://github.com/onnx/onnx/blob/main/onnx/onnx.proto has the numbers of the fields.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Final

from pilotlight.errors import ModelError
from pilotlight.runtimes.onnx.external import Content, Field, Malformed, fields, varint

_KINDS: Final = {1: "tensor", 4: "sequence", 5: "map", 8: "sparse", 9: "optional"}  # fields of TypeProto
# TensorProto.DataType of what can be a class: the field of the values, and struct's code for raw ones.
_NUMBERS: Final = {1: (4, "f"), 6: (5, "i"), 7: (7, "q"), 9: (5, "?"), 11: (10, "d")}
_STRING: Final = 8


@dataclass(frozen=True, slots=True)
class Value:
    """An input or output of the graph.

    In `shape`, None without a declared one, a length may have a name, which is empty for any length.
    """

    name: str
    kind: str
    shape: tuple[int | str, ...] | None


@dataclass(frozen=True, slots=True)
class Message:
    """A protocol buffer within the file. Its fields are read when they are asked for."""

    content: Content
    start: int
    end: int

    def fields(self) -> list[Field]:
        """Return all fields: number, wire type, start and end."""
        return list(fields(self.content, self.start, self.end))

    def text(self, number: int) -> str:
        """Return a string; of several the last, as a parser does."""
        return (self.texts(number) or ("",))[-1]

    def texts(self, number: int) -> tuple[str, ...]:
        """Return the strings of a field."""
        return tuple(
            self.content[first:last].decode("utf-8", "replace")
            for found, kind, first, last in self.fields()
            if (found, kind) == (number, 2)
        )

    def integers(self, number: int) -> tuple[int, ...]:
        """Return the integers of a field, one a field or packed into one."""
        values = []
        for found, _, first, last in self.fields():
            position = first if found == number else last
            while position < last:
                value, position = varint(self.content, position, last)
                values.append(value - 2**64 if value >= 2**63 else value)
        return tuple(values)

    def numbers(self, number: int, code: str) -> tuple[float, ...]:
        """Return the floats of a field; `code` is struct's."""
        raw = b"".join(self.content[first:last] for found, _, first, last in self.fields() if found == number)
        return tuple(value for (value,) in struct.iter_unpack(f"<{code}", raw))

    def inner(self, number: int) -> Iterator[Message]:
        """Yield the messages of a field."""
        for found, kind, first, last in self.fields():
            if (found, kind) == (number, 2):
                yield Message(self.content, first, last)


@dataclass(frozen=True, slots=True)
class Node:
    """A node. The attributes are `AttributeProto`s by name, the operator has its domain unless that is ONNX's own."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Message]

    def strings(self, name: str) -> tuple[str, ...]:
        """Return an attribute's strings."""
        return self.attributes[name].texts(9) if name in self.attributes else ()

    def integers(self, name: str) -> tuple[int, ...]:
        """Return an attribute's integers."""
        return self.attributes[name].integers(8) if name in self.attributes else ()

    def floats(self, name: str) -> tuple[float, ...]:
        """Return an attribute's floats."""
        return self.attributes[name].numbers(7, "f") if name in self.attributes else ()

    def integer(self, name: str, default: int = 0) -> int:
        """Return an attribute's one integer."""
        found = self.attributes[name].integers(3) if name in self.attributes else ()
        return found[-1] if found else default


@dataclass(frozen=True, slots=True)
class Graph:
    """The main graph: `tensors` are its constants, of initializers and Constant nodes, as `TensorProto`s by name."""

    nodes: tuple[Node, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    tensors: Mapping[str, Message]

    def producer(self, name: str) -> Node | None:
        """Return the node that makes a value."""
        return next((node for node in self.nodes if name in node.outputs), None)

    def consumers(self, name: str) -> list[Node]:
        """Return the nodes that take a value."""
        return [node for node in self.nodes if name in node.inputs]

    def dimensions(self, name: str) -> tuple[int, ...]:
        """Return a constant's shape, empty for what is none."""
        return self.tensors[name].integers(1) if name in self.tensors else ()

    def constants(self, name: str) -> tuple[str | int | float, ...]:
        """Return the values of a constant of strings or numbers, empty for what is none."""
        tensor = self.tensors.get(name)
        if tensor is None:
            return ()
        kind = (tensor.integers(2) or (0,))[-1]
        if kind == _STRING:
            return tensor.texts(6)
        if kind not in _NUMBERS:
            return ()
        number, code = _NUMBERS[kind]
        raw = tensor.numbers(9, code)
        return raw or (tensor.numbers(number, code) if code in "fd" else tensor.integers(number))


@contextmanager
def open_graph(path: Path) -> Iterator[Graph]:
    """Yield the main graph of the ONNX file at `path`. Raise ModelError for bytes that are none."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        try:
            yield read_graph(content)
        except (Malformed, struct.error):
            raise ModelError(f"{path.name} is not an ONNX model, expected a protocol buffer; save it again") from None


def read_graph(content: Content) -> Graph:
    """Read the main graph, which a writer may have split. Raise Malformed."""
    nodes: list[Node] = []
    values: dict[int, list[Value]] = {11: [], 12: []}
    tensors: dict[str, Message] = {}
    for graph in Message(content, 0, len(content)).inner(7):
        for number, kind, first, last in graph.fields():
            message = Message(content, first, last)
            if kind != 2:
                continue
            if number == 1:
                nodes.append(read_node(message))
            elif number == 5:
                tensors[message.text(8)] = message
            elif number in values:
                values[number].append(_read_value(message))
    for node in nodes:
        if node.operator == "Constant" and "value" in node.attributes:
            tensors |= {name: value for name in node.outputs for value in node.attributes["value"].inner(5)}
    inputs = tuple(value for value in values[11] if value.name not in tensors)
    return Graph(tuple(nodes), inputs, tuple(values[12]), tensors)


def read_node(message: Message) -> Node:
    """Read a `NodeProto`."""
    domain = message.text(7)
    return Node(
        operator=message.text(4) if domain in ("", "ai.onnx", "ai.onnx.ml") else f"{domain}.{message.text(4)}",
        inputs=message.texts(1),
        outputs=message.texts(2),
        attributes={attribute.text(1): attribute for attribute in message.inner(5)},
    )


def read_classes(node: Node) -> tuple[str | int, ...]:
    """Return the classes that a classifier or a ZipMap has, empty for other nodes."""
    names = [name for name in node.attributes if name.startswith("classlabels_")]
    return next((node.strings(name) or node.integers(name) for name in names), ())


def _read_value(message: Message) -> Value:
    name = message.text(1)
    for proto in message.inner(2):
        for number, kind, first, last in proto.fields():
            if kind == 2 and number in _KINDS:
                shape = list(Message(message.content, first, last).inner(2)) if number == 1 else []
                return Value(name, _KINDS[number], tuple(map(_length, shape[-1].inner(1))) if shape else None)
    return Value(name, "", None)


def _length(dimension: Message) -> int | str:
    """Return a dimension's length, or its name."""
    lengths = dimension.integers(1)
    return lengths[-1] if lengths else dimension.text(2)

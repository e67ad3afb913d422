"""Reading an ONNX file's protocol buffer without any library: external files, labels, vocabulary, repairs.

https://github.com/onnx/onnx/blob/main/onnx/onnx.proto: ModelProto.graph = 7; AttributeProto.name = 1, ints = 8,
strings = 9.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pilotlight.errors import ModelError
from pilotlight.model.lock import FILE_NAME
from pilotlight.runtimes.onnx.external import Content, Malformed, fields, locations, walk
from pilotlight_cli.formats.onnx_graph import Graph, Message, Node, read_classes, read_graph, read_node

_MOST_WORDS = 10_000
_LONGEST_WORD = 1_000
_TEXTS = ("case_change_action", "locale")

# What no path of a model has: control characters, other separators, and what is not UTF-8.
_ODD = re.compile(r"[\x00-\x1f\\\ufffd]")


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """An ONNX file's contents: `external` are its external data files, as it names them and as a store can.

    `places` are the positions in the file at which names have to be replaced by those for the store, of equal length.
    `labels` are the classes of its classifier, empty where it has none or several. `vocabulary` has some of the strings
    that its encoders know, for generated samples. `repairs`: the graph has what publish may rewrite.
    """

    external: Mapping[str, str]
    labels: tuple[str | int, ...]
    vocabulary: tuple[str, ...]
    places: tuple[tuple[int, str], ...] = ()
    repairs: bool = False


def read(content: Content) -> OnnxFile | None:
    """Read an ONNX model. Return None for anything else.

    Raise ModelError for an external file outside the model's folder, which Pilotlight never opens.
    """
    labels: set[tuple[str | int, ...]] = set()
    vocabulary: set[str] = set()
    repairs = False
    try:
        if not any(number == 7 and kind == 2 for number, kind, _, _ in fields(content, 0, len(content))):
            return None
        external, places = _external(content)
        for message, start, end in walk(content):
            if message == "NodeProto":
                node = read_node(Message(content, start, end))
                repairs = repairs or depends_on_locale(node)
                labels.update({classes} if (classes := read_classes(node)) else ())
                for name in ("cats_strings", "keys_strings", "pool_strings"):
                    vocabulary.update(node.strings(name))
        repairs = repairs or _needs_repair(read_graph(content))
    except Malformed:
        return None
    known = sorted(word for word in vocabulary if len(word) <= _LONGEST_WORD)[:_MOST_WORDS]
    return OnnxFile(external, labels.pop() if len(labels) == 1 else (), tuple(known), places, repairs)


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


def fixed_batch(graph: Graph) -> int:
    """Return the first length that all inputs have, and that an output has or may have; 0 if there is none."""
    firsts = {(value.shape or ("",))[0] if value.kind == "tensor" else "" for value in graph.inputs}
    batch = firsts.pop() if len(firsts) == 1 else 0
    lengths = {value.shape[0] for value in graph.outputs if value.shape}
    return batch if isinstance(batch, int) and any(isinstance(each, str) or each == batch for each in lengths) else 0


def _needs_repair(graph: Graph) -> bool:
    return fixed_batch(graph) > 0 or any(value.kind != "tensor" for value in (*graph.inputs, *graph.outputs))


def depends_on_locale(node: Node) -> bool:
    """Return whether a node needs a locale that not every system has."""
    if node.operator != "StringNormalizer":
        return False
    action, locale = (node.attributes[name].text(4) if name in node.attributes else "" for name in _TEXTS)
    used = action not in ("", "NONE") or (bool(node.strings("stopwords")) and not node.integer("is_case_sensitive"))
    return used and locale not in ("C", "C.UTF-8", "POSIX")

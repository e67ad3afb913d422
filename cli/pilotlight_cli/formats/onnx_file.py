"""Reading an ONNX file's protocol buffer without any library: external files, labels, vocabulary, repairs.

https://github.com/onnx/onnx/blob/main/onnx/onnx.proto: ModelProto.graph = 7; AttributeProto.name = 1, ints = 8,
strings = 9.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pilotlight.errors import ModelError
from pilotlight.model.lock import FILE_NAME
from pilotlight.runtimes.onnx.external import Content, Malformed, external_files, fields, walk
from pilotlight_cli.formats.onnx_graph import Graph, Message, Node, read_classes, read_graph, read_node

_MOST_WORDS = 10_000
_LONGEST_WORD = 1_000
_TEXTS = ("case_change_action", "locale")


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """An ONNX file's contents: `external` are the names of its external data files.

    `labels` are the classes of its classifier, empty where it has none or several. `vocabulary` has some of the strings
    that its encoders know, for generated samples. `repairs`: the graph has what publish may rewrite.
    """

    external: tuple[str, ...]
    labels: tuple[str | int, ...]
    vocabulary: tuple[str, ...]
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
        external = external_files(content)
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
    for name in sorted(external):
        if not re.fullmatch(FILE_NAME, name):
            raise ModelError(
                f"the model has external data in {name!r}, expected the name of a file beside the model; save it again "
                "with onnx.save(..., save_as_external_data=True, location='model.data')"
            )
    known = sorted(word for word in vocabulary if len(word) <= _LONGEST_WORD)[:_MOST_WORDS]
    return OnnxFile(tuple(sorted(external)), labels.pop() if len(labels) == 1 else (), tuple(known), repairs)


def fixed_batch(graph: Graph) -> int:
    """Return the first length that all inputs and at least one output have, 0 if there is none."""
    firsts = {(value.shape or ("",))[0] if value.kind == "tensor" else "" for value in graph.inputs}
    batch = firsts.pop() if len(firsts) == 1 else 0
    if not isinstance(batch, int) or not any(value.shape and value.shape[0] == batch for value in graph.outputs):
        return 0
    return batch


def _needs_repair(graph: Graph) -> bool:
    return fixed_batch(graph) > 0 or any(value.kind != "tensor" for value in (*graph.inputs, *graph.outputs))


def depends_on_locale(node: Node) -> bool:
    """Return whether a node needs a locale that not every system has."""
    if node.operator != "StringNormalizer":
        return False
    action, locale = (node.attributes[name].text(4) if name in node.attributes else "" for name in _TEXTS)
    used = action not in ("", "NONE") or (bool(node.strings("stopwords")) and not node.integer("is_case_sensitive"))
    return used and locale not in ("C", "C.UTF-8", "POSIX")

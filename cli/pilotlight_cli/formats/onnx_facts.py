"""What the nodes of an ONNX graph show about its ends: widths, classes, missing values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Final

from pilotlight_cli.formats.onnx_graph import Graph, Node, Value, open_graph, read_classes

# Operators that pass values on: each by itself, or columns of several.
_SAME: Final = ("Cast", "Identity", "Normalizer")
_MOVES: Final = ("Reshape", "Squeeze", "Unsqueeze", "Flatten")
_COLUMNS: Final = ("Concat", "ArrayFeatureExtractor", "Gather", "Slice", "FeatureVectorizer")
_BROADCASTS: Final = ("Add", "Sub", "Mul", "Div")
# Operators that make a missing number of a missing number.
_KEEPS_MISSING: Final = (*_SAME, *_MOVES, *_COLUMNS, *_BROADCASTS, "Scaler")
_TREES: Final = ("TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor")
# ONNX Runtime reads the columns that these name without comparing them with the width of a row.
_UNCHECKED: Final = (
    *_TREES,
    "LinearClassifier",
    "LinearRegressor",
    "SVMClassifier",
    "SVMRegressor",
    "Scaler",
    "Imputer",
)

Labels = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Width:
    """The number of columns that the weights show: `exact` or `least`, 0 where they do not.

    `unchecked` is set if a node would read beyond a row that is too short.
    """

    exact: int = 0
    least: int = 0
    unchecked: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What a graph shows.

    `shapes` are the declared ones of inputs and outputs, None for none. `labels` are the classes by output, in the
    order of the probabilities; they are empty for an output that is the number of its class. `missing` are the inputs
    of which a value may be missing; `lengths` are those of all constants, of which one may be the width of an input.
    `training` is an operator that is in training mode, or empty.
    """

    shapes: dict[str, tuple[int | str, ...] | None]
    widths: dict[str, Width]
    labels: dict[str, Labels]
    missing: frozenset[str]
    lengths: frozenset[int]
    training: str


def read_facts(path: Path) -> Facts:
    """Read what the graph of the file at `path` shows. Raise ModelError."""
    with open_graph(path) as graph:
        traced = {output.name: _trace_labels(graph, output.name) for output in graph.outputs}
        return Facts(
            shapes={value.name: value.shape for value in (*graph.outputs, *graph.inputs)},
            widths={value.name: _width(graph, value) for value in graph.inputs},
            labels={name: labels for name, labels in traced.items() if labels is not None},
            missing=frozenset(value.name for value in graph.inputs if _takes_missing(graph, value.name)),
            lengths=frozenset(length for name in graph.tensors for length in graph.dimensions(name)),
            training=next((node.operator for node in graph.nodes if _is_training(graph, node)), ""),
        )


def _is_training(graph: Graph, node: Node) -> bool:
    if node.operator == "Dropout" and len(node.inputs) > 2:
        return any(graph.constants(node.inputs[2]))
    return node.operator == "BatchNormalization" and node.integer("training_mode") == 1


def _trace_labels(graph: Graph, name: str) -> Labels | None:
    """Follow an output back to where its classes are. Return None if that is nowhere."""
    for _ in graph.nodes:
        node = graph.producer(name)
        if node is None:
            return None
        if node.operator == "ArgMax":
            return ()
        if node.operator in ("ArrayFeatureExtractor", "Gather"):
            return _as_labels(graph.constants(node.inputs[0]))
        if node.operator == "LabelEncoder":
            return _encoded(node, _trace_labels(graph, node.inputs[0]))
        classes = read_classes(node)
        if classes or node.operator not in (*_SAME, *_MOVES):
            return classes if classes and name == node.outputs[0] else None
        name = node.inputs[0]
    return None


def _as_labels(values: tuple[str | int | float, ...]) -> Labels | None:
    whole = tuple(value if isinstance(value, str) else int(value) for value in values)
    return whole if whole and whole == values else None


def _encoded(node: Node, before: Labels | None) -> Labels | None:
    """Return the classes that an encoder makes of those before it."""
    keys = node.strings("keys_strings") or node.integers("keys_int64s")
    values = node.strings("values_strings") or node.integers("values_int64s")
    if before is None or not keys or len(keys) != len(values):
        return None
    known: dict[str | int, str | int] = dict(zip(keys, values, strict=True))
    before = before or tuple(range(len(keys)))
    return tuple(known[label] for label in before) if known.keys() >= set(before) else None


def may_read_beyond_a_row(path: Path) -> bool:
    """Return whether a file in ONNX Runtime's own format, whose graph is not read, names an operator that might."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        return any(content.find(name.encode()) >= 0 for name in _UNCHECKED)


def _width(graph: Graph, value: Value) -> Width:
    exact: set[int] = set()
    least, unchecked = 0, False
    for node, name in _readers(graph, value.name, (*_SAME,)):
        width = _columns(graph, node, name)
        exact |= {width} if width > 0 else set()
        least = max(least, *(1 + index for index in _named_columns(graph, node, name)), 0)
        unchecked = unchecked or (node.operator in _UNCHECKED and not width)
    known = exact.pop() if len(exact) == 1 else 0
    return Width(known if known >= least else 0, least, unchecked)


def _columns(graph: Graph, node: Node, name: str) -> int:
    """Return the number of columns that a node takes of its input `name`, 0 if it does not show it."""
    weights = next((graph.dimensions(each) for each in node.inputs if each != name), ())
    count = 0
    match node.operator:
        case "Gemm" if len(weights) == 2 and node.inputs[0] == name:
            count = weights[1 if node.integer("transB") else 0]
        case "MatMul" if len(weights) >= 2 and node.inputs[0] == name:
            count = weights[-2]
        case "Scaler":
            count = _several(max(len(node.floats("offset")), len(node.floats("scale"))))
        case "Imputer":
            count = _several(len(node.floats("imputed_value_floats")))
        case "LinearClassifier" | "LinearRegressor":
            rows = len(node.floats("intercepts")) or node.integer("targets", 1)
            count = len(node.floats("coefficients")) // rows
        case "SVMClassifier" | "SVMRegressor":
            rows = sum(node.integers("vectors_per_class")) or node.integer("n_supports")
            count = len(node.floats("support_vectors")) // max(rows, 1)
        case operator if operator in _BROADCASTS and weights:
            count = _several(weights[-1])
    return count


def _several(count: int) -> int:
    """Return 0 for one value, which goes with any number of columns."""
    return count if count > 1 else 0


def _named_columns(graph: Graph, node: Node, name: str) -> tuple[int, ...]:
    """Return the indices of the columns that a node takes of its input `name`."""
    if node.operator in _TREES:
        return node.integers("nodes_featureids")
    if node.operator == "ArrayFeatureExtractor" and node.inputs[0] == name:
        return tuple(int(index) for index in graph.constants(node.inputs[1]))
    return ()


def _takes_missing(graph: Graph, name: str) -> bool:
    """Return whether all that reads the columns of an input expects missing values."""
    readers = list(_readers(graph, name, _KEEPS_MISSING))
    ends = {output.name for output in graph.outputs}
    passed = any(made in ends for node, _ in readers for made in node.outputs if node.operator in _KEEPS_MISSING)
    reading = [(node, read) for node, read in readers if node.operator not in _KEEPS_MISSING]
    expected = all(_expects_missing(graph, node, read) for node, read in reading)
    return bool(reading) and not passed and name not in ends and expected


def _expects_missing(graph: Graph, node: Node, name: str) -> bool:
    if node.operator == "Imputer":
        replaced = node.attributes.get("replaced_value_float")
        return replaced is not None and any(map(isnan, replaced.numbers(2, "f")))
    if node.operator == "Where":  # another value where this one is missing
        asked = graph.producer(node.inputs[0])
        return asked is not None and asked.operator == "IsNaN" and asked.inputs[0] == name == node.inputs[2]
    if node.operator == "IsNaN":
        return True
    return node.operator in _TREES and any(node.integers("nodes_missing_value_tracks_true"))


def _readers(graph: Graph, name: str, passing: tuple[str, ...]) -> Iterator[tuple[Node, str]]:
    """Yield the nodes that read a value, directly or behind nodes that pass it on, with the name that each reads."""
    waiting, seen = [name], {name}
    while waiting:
        current = waiting.pop()
        for node in graph.consumers(current):
            yield node, current
            if node.operator in passing:
                waiting.extend(set(node.outputs) - seen)
                seen.update(node.outputs)

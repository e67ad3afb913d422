"""Rows on the thresholds of a graph's trees, where a difference in the last place of a number decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Tuple

import numpy as np

from pilotlight_cli.converting.child.ensemble import ABOVE, AT_MOST, BELOW, EQUAL, LEAF

# Nodes of which a row is made; of more, every so many.
MOST_NODES = 30_000

# Operators that change no number but in its precision.
_PASSING = ("Cast", "Identity")

_LARGEST = float(np.finfo(np.float32).max)

Path_ = Tuple[Tuple[int, str, float, bool], ...]


@dataclass(frozen=True)
class Node:
    """A split: what it compares, and the splits above it with the way that leads here."""

    feature: int
    mode: str
    threshold: float
    path: Path_


def nodes(model: Any, features: str = "") -> list[Node]:  # noqa: ANN401 - onnx may be untyped
    """Return the splits of all trees that get these features: by default the model's as they are."""
    inputs = {features or model.graph.input[0].name} if features or len(model.graph.input) == 1 else set()
    found: list[Node] = []
    for node in model.graph.node:
        if node.op_type in _PASSING and inputs.intersection(node.input):
            inputs.add(node.output[0])
        elif node.op_type.startswith("TreeEnsemble") and node.input[0] in inputs:
            found += _splits(node)
    return found


def by_feature(splits: list[Node]) -> dict[int, Any]:
    """Return the different thresholds of each feature that separate numbers, as sorted arrays."""
    found: dict[int, set] = {}  # type: ignore[type-arg] # Python 3.8
    for split in splits:
        if abs(split.threshold) < _LARGEST:  # others separate missing numbers from all
            found.setdefault(split.feature, set()).add(split.threshold)
    return {feature: np.array(sorted(values)) for feature, values in found.items()}


def _splits(node: Any) -> Iterator[Node]:  # noqa: ANN401
    from onnx import helper, numpy_helper

    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    values = attributes.get("nodes_values")
    if values is None:
        values = numpy_helper.to_array(attributes["nodes_values_as_tensor"])
    rows = zip(
        attributes["nodes_treeids"],
        attributes["nodes_nodeids"],
        attributes["nodes_featureids"],
        attributes["nodes_modes"],
        values,
        attributes["nodes_truenodeids"],
        attributes["nodes_falsenodeids"],
    )
    trees: dict[int, dict[int, Any]] = {}
    for tree, number, *fields in rows:
        trees.setdefault(tree, {})[number] = fields
    for tree in trees.values():
        waiting: list[tuple[int, Path_]] = [(next(iter(tree)), ())]
        seen = set()
        while waiting:
            number, path = waiting.pop()
            feature, mode, threshold, yes, no = tree[number]
            name = mode.decode() if isinstance(mode, bytes) else mode
            if name == LEAF or number in seen:
                continue
            seen.add(number)
            step = (feature, name, float(threshold))
            yield Node(*step, path)
            waiting += [(yes, (*path, (*step, True))), (no, (*path, (*step, False)))]


def probe(splits: list[Node], rows: Any, dtype: str) -> tuple[Any, Any, Any]:  # noqa: ANN401 - arrays
    """Return rows just below, at and just above the thresholds; of each the feature in question, and where it is from.

    Both are indices. Each is one of `rows` moved to where it reaches the split. A split that no row reaches has none.
    """
    kind = np.dtype(dtype).type
    chosen = splits[:: max(1, -(-len(splits) // MOST_NODES))]
    made, features, sources = [], [], []
    for index, split in enumerate(chosen):
        row = rows[index % len(rows)].astype(dtype)
        bounds = _bounds(split.path, kind)
        if any(low > high for low, high in bounds.values()):
            continue
        for feature, (low, high) in bounds.items():
            if low == np.inf:  # no number comes here
                row[feature] = np.nan
            else:
                row[feature] = min(max(np.nan_to_num(row[feature]), low), high)
        least, most = bounds.get(split.feature, (kind(-np.inf), kind(np.inf)))
        for probed in _around(split, kind):
            if least <= probed <= most and np.isfinite(probed):
                changed = row.copy()
                changed[split.feature] = probed
                made.append(changed)
                features.append(split.feature)
                sources.append(index % len(rows))
    shaped = np.array(made, dtype).reshape(-1, rows.shape[1])
    return shaped, np.array(features, np.int64), np.array(sources, np.int64)


def _around(split: Node, kind: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401 - a type of numpy
    """Return a threshold and its neighbours: numbers of this type, or of a category the whole ones."""
    value = kind(split.threshold)
    if split.mode == EQUAL:
        return value - 1, value, value + 1
    return np.nextafter(value, kind(-np.inf)), value, np.nextafter(value, kind(np.inf))


def categories(splits: list[Node]) -> frozenset[int]:
    """Return the features that are codes of categories."""
    return frozenset(split.feature for split in splits if split.mode == EQUAL)


def _bounds(path: Path_, kind: Any) -> dict[int, tuple[Any, Any]]:  # noqa: ANN401 - a type of numpy
    """Return the least and the greatest number of each feature that goes this way."""
    bounds: dict[int, tuple[Any, Any]] = {}
    for feature, mode, threshold, yes in path:
        low, high = bounds.get(feature, (kind(-np.inf), kind(np.inf)))
        value = kind(threshold)  # the nearest: for FP32 it may be on either side
        at = bool(float(value) <= threshold) if mode in (AT_MOST, ABOVE) else bool(float(value) < threshold)
        up, down = np.nextafter(value, kind(np.inf)), np.nextafter(value, kind(-np.inf))
        if mode == EQUAL:
            low, high = (value, value) if yes else (low, high)
        elif yes == (mode in (AT_MOST, BELOW)):  # below
            high = min(high, value if at else down)
        else:
            low = max(low, up if at else value)
        bounds[feature] = (low, high)
    return bounds

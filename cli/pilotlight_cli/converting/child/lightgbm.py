"""LightGBM: the trees of a booster, from the JSON form of its model."""

from __future__ import annotations

import itertools
from typing import Any, Iterator

import numpy as np

from pilotlight_cli.converting.child.ensemble import ABOVE, AT_LEAST, AT_MOST, BELOW, EQUAL, Ensemble, Place, Test
from pilotlight_cli.converting.child.errors import CannotConvert
from pilotlight_cli.converting.child.models import Trees

# LightGBM takes numbers of at most this size as zero (kZeroThreshold).
_ZERO = float(np.float32(1e-35))

_LINKS = {
    "binary": "two classes",
    "cross_entropy": "sigmoid",
    "cross_entropy_lambda": "softplus",
    "gamma": "exp",
    "multiclass": "softmax",
    "multiclassova": "sigmoid",
    "poisson": "exp",
    "tweedie": "exp",
}
_PLAIN = ("fair", "huber", "lambdarank", "mape", "quantile", "rank_xendcg", "regression", "regression_l1")


def read(booster: Any) -> Trees:  # noqa: ANN401 - LightGBM may be untyped
    """Read a booster's trees, those of its best iteration if it has one. Raise CannotConvert."""
    document = booster.dump_model()
    _check_categories(document)
    name, *options = (document.get("objective") or "custom").split()
    classes = int(document["num_tree_per_iteration"])
    ensemble = Ensemble(classes, missing=False)
    trees = document["tree_info"]
    scale = classes / len(trees) if document.get("average_output") and trees else 1.0
    for index, tree in enumerate(trees):
        _add(ensemble, index, tree["tree_structure"], index % classes, scale)
    slope = dict(option.partition(":")[::2] for option in options).get("sigmoid", "1")
    if name in ("binary", "multiclassova") and float(slope) != 1.0:
        raise CannotConvert(f"the booster was trained with sigmoid={slope}, expected 1; train it again")
    names = document["feature_names"]
    if names == [f"Column_{index}" for index in range(len(names))]:
        names = ()
    labels = 2 if name == "binary" else classes if name.startswith("multiclass") else 0
    width = int(document["max_feature_idx"]) + 1
    return Trees(ensemble, _link(name, options), labels, names, width, narrow=False)


def _link(name: str, options: list[str]) -> str:
    if name in _LINKS:
        return _LINKS[name]
    if name in _PLAIN:
        return "signed square" if "sqrt" in options else "identity"
    raise CannotConvert(
        f"the objective is {name}, whose predictions are unknown here; train with one of LightGBM's own"
    )


def _check_categories(document: dict[str, Any]) -> None:
    """Refuse categories that the booster itself turns into numbers: a caller has no way to send them."""
    if document.get("pandas_categorical"):
        raise CannotConvert(
            "the model was trained on a data frame with columns of type 'category', which LightGBM numbers by itself; "
            "train again on their numbers (OrdinalEncoder, then categorical_feature=[...]), or with a OneHotEncoder "
            "in the pipeline"
        )


def _add(ensemble: Ensemble, index: int, root: dict[str, Any], target: int, scale: float) -> None:
    numbers = itertools.count()
    waiting = [(root, next(numbers))]
    while waiting:
        node, number = waiting.pop()
        if node.get("leaf_coeff"):
            raise CannotConvert("the trees have linear models in their leaves (linear_tree=True); train without")
        if "split_feature" not in node:
            ensemble.leaf((index, number), [node["leaf_value"] * scale], target)
            continue
        ensemble.missing = ensemble.missing or node["missing_type"] != "None"
        children = (next(numbers), next(numbers))
        _split(ensemble, (index, number), node, children, numbers)
        waiting += zip((node["left_child"], node["right_child"]), children)


def _split(
    ensemble: Ensemble, place: Place, node: dict[str, Any], children: tuple[int, int], numbers: Iterator[int]
) -> None:
    feature, default_left = node["split_feature"], bool(node["default_left"])
    if node["decision_type"] == "==":
        members = [float(member) for member in str(node["threshold"]).split("||")]
        links = [next(numbers) for _ in members]
        ensemble.chain(place, Test(feature, EQUAL, 0.0, missing=False), members, children, links[0])
        return
    threshold = float(node["threshold"])
    missing = default_left
    if node["missing_type"] == "None":  # a missing number is a zero
        missing = threshold >= 0.0
    elif node["missing_type"] == "Zero":  # a zero is a missing number
        default = children[0] if default_left else children[1]
        low, compare = next(numbers), next(numbers)
        ensemble.split(place, Test(feature, ABOVE, _ZERO, missing=False), (compare, low))
        ensemble.split((place[0], low), Test(feature, AT_LEAST, -_ZERO, missing=True), (default, compare))
        place = (place[0], compare)
    mode = AT_MOST
    if abs(threshold) <= _ZERO:  # on zeros
        mode, threshold = (AT_MOST, _ZERO) if threshold >= 0.0 else (BELOW, -_ZERO)
    ensemble.split(place, Test(feature, mode, threshold, missing), children)

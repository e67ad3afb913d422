"""XGBoost: the trees of a booster, from the JSON form of its model."""

from __future__ import annotations

import json
import math
import os
import tempfile
from typing import Any

import numpy as np

from pilotlight_cli.converting.child.ensemble import BELOW, EQUAL, Ensemble, Test
from pilotlight_cli.converting.child.errors import CannotConvert
from pilotlight_cli.converting.child.models import Trees

_LOGISTIC = ("binary:logistic", "reg:logistic")
_EXPONENTIAL = ("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft")
_PLAIN = ("reg:", "rank:", "binary:logitraw", "multi:", "binary:hinge")


def read(booster: Any, last: int = 0) -> Trees:  # noqa: ANN401 - XGBoost may be untyped
    """Read a booster's trees; with `last` only those of so many rounds. Raise CannotConvert."""
    document = _document(booster)["learner"]
    model = document["gradient_booster"]
    if model["name"] == "gblinear":
        raise CannotConvert("the booster is gblinear, expected trees; train scikit-learn's linear models instead")
    weights = model.get("weight_drop")
    trees = model.get("gbtree", model)["model"]
    parameters, objective = document["learner_model_param"], document["objective"]["name"]
    classes = max(int(parameters["num_class"]), int(parameters.get("num_target", 1)), 1)
    _check_categories(document, trees)
    ensemble = Ensemble(classes, _base(parameters["base_score"], objective, classes))
    count = last * classes * int(trees["gbtree_model_param"].get("num_parallel_tree", 1)) or len(trees["trees"])
    for index, tree in enumerate(trees["trees"][:count]):
        weight = float(weights[index]) if weights else 1.0
        _add(ensemble, index, tree, int(trees["tree_info"][index]), weight)
    labels = int(parameters["num_class"]) or (2 if objective == "binary:logistic" else 0)
    return Trees(
        ensemble, _link(objective), labels, booster.feature_names or (), int(parameters["num_feature"]), narrow=True
    )


def _document(booster: Any) -> dict[str, Any]:  # noqa: ANN401
    handle, path = tempfile.mkstemp(suffix=".json")
    os.close(handle)
    booster.save_model(path)
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        document: dict[str, Any] = json.load(file)
    return document


def _check_categories(document: dict[str, Any], trees: dict[str, Any]) -> None:
    """Refuse categories that the booster itself turns into numbers: a caller has no way to send them."""
    if any(encoding for encoding in trees.get("cats", {}).get("enc", ())):
        names = document.get("feature_names") or [
            f"f{index}" for index, kind in enumerate(document["feature_types"]) if kind == "c"
        ]
        kinds = document["feature_types"]
        chosen = [name for name, kind in zip(names, kinds) if kind == "c"] if len(names) == len(kinds) else names
        raise CannotConvert(
            "the columns {} are categories of a data frame, which XGBoost numbers by itself; train again on their "
            "numbers (OrdinalEncoder, then feature_types 'c'), or with a OneHotEncoder in the pipeline".format(
                ", ".join(chosen)
            )
        )


def _base(text: Any, objective: str, classes: int) -> list[float]:  # noqa: ANN401 - a number or a list, as text
    """Return the sums' beginnings: the base score as a margin."""
    found = json.loads(text) if isinstance(text, str) else text
    scores = [float(score) for score in (found if isinstance(found, list) else [found])]
    if objective in _LOGISTIC:
        scores = [-math.log(1.0 / score - 1.0) for score in scores]
    elif objective in _EXPONENTIAL:
        scores = [math.log(score) for score in scores]
    return scores * classes if len(scores) == 1 else scores


def _link(objective: str) -> str:
    if objective in _EXPONENTIAL:
        return "exp"
    if objective == "binary:logistic":
        return "two classes"
    if objective == "reg:logistic":
        return "sigmoid"
    if objective == "binary:hinge":
        return "step"
    if objective.startswith("multi:"):
        return "softmax"
    if objective.startswith(_PLAIN):
        return "identity"
    raise CannotConvert(
        f"the objective is {objective}, whose predictions are unknown here; train with one of XGBoost's own"
    )


def _add(ensemble: Ensemble, index: int, tree: dict[str, Any], target: int, weight: float) -> None:
    """Add a tree. The file has FP32 numbers in as few digits as tell them apart, so they are read as FP32."""
    if int(tree["tree_param"].get("size_leaf_vector", 1) or 1) > 1:
        raise CannotConvert(
            "the trees have several outputs in a leaf (multi_strategy='multi_output_tree'); train with "
            "multi_strategy='one_output_per_tree'"
        )
    segments = zip(tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"])
    sets = {node: tree["categories"][begin : begin + size] for node, begin, size in segments}
    spare = len(tree["left_children"])
    for node, (left, right, feature, value, default_left) in enumerate(
        zip(
            tree["left_children"],
            tree["right_children"],
            tree["split_indices"],
            tree["split_conditions"],
            tree["default_left"],
        )
    ):
        if left == -1:
            ensemble.leaf((index, node), [float(np.float32(value)) * weight], target)
        elif node in sets:  # members go to the right
            test = Test(feature, EQUAL, 0.0, not default_left)
            spare = ensemble.chain((index, node), test, sets[node], (right, left), spare)
        else:
            test = Test(feature, BELOW, float(np.float32(value)), bool(default_left))
            ensemble.split((index, node), test, (left, right))

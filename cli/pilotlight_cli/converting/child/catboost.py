"""CatBoost: the trees of a model, from its JSON form."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from dataclasses import dataclass
from typing import Any

from pilotlight_cli.converting.child.ensemble import ABOVE, Ensemble, Test
from pilotlight_cli.converting.child.errors import CannotConvert
from pilotlight_cli.converting.child.models import Trees

_LINKS = {
    "CrossEntropy": "two classes",
    "Logloss": "two classes",
    "MultiClass": "softmax",
    "MultiClassOneVsAll": "sigmoid",
    "Poisson": "exp",
    "Tweedie": "exp",
}


@dataclass(frozen=True)
class _Features:
    """The features by their numbers in splits, and the factor of all leaves."""

    scale: float
    described: dict[int, dict[str, Any]]

    def test(self, split: dict[str, Any]) -> Test:
        """Return the question of a split, whether the number is above its border."""
        feature = self.described[split["float_feature_index"]]
        missing = feature["nan_value_treatment"] == "AsTrue"
        return Test(feature["flat_feature_index"], ABOVE, split["border"], missing)


def read(model: Any) -> Trees:  # noqa: ANN401 - CatBoost may be untyped
    """Read a model's trees. Raise CannotConvert."""
    document = _document(model)
    loss = str(model.get_all_params().get("loss_function", "")).partition(":")[0]
    features = document["features_info"]["float_features"]
    others = [kind for kind in document["features_info"] if kind != "float_features" and kind.endswith("_features")]
    if others:
        raise CannotConvert(
            "the model has {}, which it computes with by itself; train it again on numbers, with an encoder or a "
            "vectorizer before it in a pipeline".format(" and ".join(kind.replace("_", " ") for kind in others))
        )
    scale, biases = document["scale_and_bias"]
    missing = any(feature["nan_value_treatment"] != "AsIs" for feature in features)
    ensemble = Ensemble(len(biases), [float(bias) for bias in biases], missing=missing)
    described = _Features(scale, {feature["feature_index"]: feature for feature in features})
    for index, tree in enumerate(document.get("oblivious_trees") or ()):
        _add_oblivious(ensemble, index, tree, described)
    for index, tree in enumerate(document.get("trees") or ()):
        _add_tree(ensemble, index, tree, described)
    names: list[str] = [str(name) for name in model.feature_names_ or ()]
    if names == [str(index) for index in range(len(names))]:
        names = []
    labels = (2 if _LINKS.get(loss) == "two classes" else len(biases)) if len(model.classes_) else 0
    width = max((feature["flat_feature_index"] for feature in features), default=0) + 1
    link = _LINKS.get(loss, "identity")
    return Trees(ensemble, link, labels, names, width, narrow=True)


def _document(model: Any) -> dict[str, Any]:  # noqa: ANN401
    handle, path = tempfile.mkstemp(suffix=".json")
    os.close(handle)
    model.save_model(path, format="json")
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        document: dict[str, Any] = json.load(file)
    return document


def _values(found: Any, scale: float) -> list[float]:  # noqa: ANN401 - a number, or one for each class
    return [value * scale for value in (found if isinstance(found, list) else [found])]


def _add_oblivious(ensemble: Ensemble, index: int, tree: dict[str, Any], features: _Features) -> None:
    """Add a tree with one split a level; its splits are the bits of the leaf's number, the lowest first."""
    splits = tree["splits"] or ()
    values, targets = tree["leaf_values"], ensemble.targets
    inner = 2 ** len(splits) - 1
    for node in range(inner):
        depth = (node + 1).bit_length() - 1
        test = features.test(splits[len(splits) - 1 - depth])
        ensemble.split((index, node), test, (2 * node + 2, 2 * node + 1))
    for leaf in range(2 ** len(splits)):
        found = values[leaf * targets : (leaf + 1) * targets]
        ensemble.leaf((index, inner + leaf), _values(found, features.scale))


def _add_tree(ensemble: Ensemble, index: int, root: dict[str, Any], features: _Features) -> None:
    numbers = itertools.count()
    waiting = [(root, next(numbers))]
    while waiting:
        node, number = waiting.pop()
        if "value" in node:
            ensemble.leaf((index, number), _values(node["value"], features.scale))
            continue
        children = (next(numbers), next(numbers))
        ensemble.split((index, number), features.test(node["split"]), children)
        waiting += zip((node["right"], node["left"]), children)

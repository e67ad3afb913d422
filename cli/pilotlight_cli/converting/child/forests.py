"""scikit-learn's trees: alone, averaged in forests, and boosted."""

from __future__ import annotations

from typing import Any

import numpy as np

from pilotlight_cli.converting.child.ensemble import AT_MOST, Ensemble, Test
from pilotlight_cli.converting.child.models import Trees

_TREES = ("DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor")
_FORESTS = ("ExtraTreesClassifier", "ExtraTreesRegressor", "RandomForestClassifier", "RandomForestRegressor")
_EXPONENTIAL = ("gamma", "poisson")


def read(model: Any) -> Trees | None:  # noqa: ANN401 - scikit-learn has no types
    """Read a fitted model of one output; None if it is of another kind."""
    name = type(model).__name__
    if not type(model).__module__.startswith("sklearn."):
        return None
    if name in _TREES + _FORESTS and model.n_outputs_ == 1:
        return _forest(model, [model] if name in _TREES else list(model.estimators_))
    if name in ("GradientBoostingClassifier", "GradientBoostingRegressor"):
        return _boosted(model)
    if name in ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"):
        return _histograms(model)
    return None


def _labels(model: Any) -> int:  # noqa: ANN401
    return len(model.classes_) if hasattr(model, "classes_") else 0


def _forest(model: Any, members: list[Any]) -> Trees:  # noqa: ANN401
    labels = _labels(model)
    ensemble = Ensemble(labels or 1)
    for index, member in enumerate(members):
        values = member.tree_.value[:, 0, :]
        if labels:  # before scikit-learn 1.3 these are counts
            values = values / np.maximum(values.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        _add(ensemble, index, member.tree_, values)
    # The sum of whole shares is exact in FP32, and so is a tie of two classes.
    link = "identity" if len(members) == 1 else f"mean of {len(members)}"
    return Trees(ensemble, link, labels, (), int(model.n_features_in_), narrow=True)


def _boosted(model: Any) -> Trees | None:  # noqa: ANN401
    """Read the trees and the constant that they begin with; None if another model is in its place."""
    raw = getattr(model, "_raw_predict_init", None)
    if raw is None or (model.init_ != "zero" and type(model.init_).__module__ != "sklearn.dummy"):
        return None
    labels, targets = _labels(model), model.estimators_.shape[1]
    if labels and model.loss not in ("deviance", "log_loss"):
        return None
    base = [float(value) for value in raw(np.zeros((1, model.n_features_in_), np.float32)).ravel()]
    ensemble = Ensemble(targets, base)
    for index, member in enumerate(model.estimators_.ravel()):
        values = member.tree_.value[:, 0, :] * model.learning_rate
        _add(ensemble, index, member.tree_, values, index % targets)
    link = "identity" if not labels else "two classes" if targets == 1 else "softmax"
    return Trees(ensemble, link, labels, (), int(model.n_features_in_), narrow=True)


def _histograms(model: Any) -> Trees | None:  # noqa: ANN401
    """Read the trees of a model without categories, whose columns it orders anew."""
    if getattr(model, "is_categorical_", None) is not None:
        return None
    labels = _labels(model)
    base = [float(value) for value in np.ravel(model._baseline_prediction)]  # noqa: SLF001 - it has no public name
    ensemble = Ensemble(len(base), base)
    predictors = [each for members in model._predictors for each in members]  # noqa: SLF001
    for index, predictor in enumerate(predictors):
        for node, found in enumerate(predictor.nodes):
            if found["is_leaf"]:
                ensemble.leaf((index, node), [float(found["value"])], index % len(base))
            else:
                missing = bool(found["missing_go_to_left"])
                test = Test(int(found["feature_idx"]), AT_MOST, float(found["num_threshold"]), missing)
                ensemble.split((index, node), test, (found["left"], found["right"]))
    link = "exp" if model.loss in _EXPONENTIAL else "identity"
    link = link if not labels else "two classes" if len(base) == 1 else "softmax"
    return Trees(ensemble, link, labels, (), int(model.n_features_in_), narrow=False)


def _add(ensemble: Ensemble, index: int, tree: Any, values: Any, target: int = 0) -> None:  # noqa: ANN401
    missing = getattr(tree, "missing_go_to_left", np.zeros(tree.node_count, bool))
    for node in range(tree.node_count):
        left, right = int(tree.children_left[node]), int(tree.children_right[node])
        if left == -1:
            ensemble.leaf((index, node), values[node].tolist(), target)
        else:
            test = Test(int(tree.feature[node]), AT_MOST, float(tree.threshold[node]), bool(missing[node]))
            ensemble.split((index, node), test, (left, right))

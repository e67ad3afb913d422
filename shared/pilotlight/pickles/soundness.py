"""Forged attributes of a model, which its classes believe without a check and an attacker could set to anything.

An allow-list of classes says nothing about the content of their objects. Compiled code follows the indices in a tree or
a sparse matrix wherever they lead, and some estimators call the method or open the file that one of their strings
names. The known cases are checked here; compiled code may not survive every other forged number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from pilotlight.errors import UnsafePickle
from pilotlight.pickles import shapes
from pilotlight.pickles.attributes import Refused, check_attributes
from pilotlight.pickles.rules import REBUILDS

_HOMES: Final = re.compile(r"scipy\.sparse\.|sklearn\.(?!base$|utils\.)")
_METHODS = frozenset({"auto", "decision_function", "predict", "predict_log_proba", "predict_proba", "transform"})
_METHOD_FIELDS = ("_response_method", "chain_method", "chain_method_", "response_method", "stack_method_")
# Fields with functions that are called with the data alone, and fields with keywords for a call. All other functions
# also get arrays of the model, into which a function of numpy writes: its last argument is where the result goes.
_CALLED: Final = ("func", "inverse_func", "pooling_func", "weights")
_KEYWORDS: Final = (
    "effective_metric_params_",
    "inv_kw_args",
    "kernel_params",
    "kw_args",
    "metric_params",
    "pairwise_kernels_kwargs",
)
# Fields with classes that are datatypes; the last two are a make_column_selector's, which only fitting calls.
_DTYPES: Final = re.compile(r".*dtype|dtype_(include|exclude)")
# Keywords that write over an array of the model, leave memory uninitialised, or hold lengths that nothing compares.
_WRITING: Final = frozenset({"X_norm_squared", "Y_norm_squared", "out", "where"})
_NEIGHBOURS = ("sklearn.neighbors._ball_tree", "sklearn.neighbors._kd_tree")
_FORESTS = ("sklearn.ensemble._forest", "sklearn.ensemble._gb")
_FROZEN: Final = frozenset({"estimator", "_metadata_request", "_sklearn_output_config", "_sklearn_version"})
_TREES: Final = (*_FORESTS, "sklearn.ensemble._iforest")
_PREDICTOR: Final = "sklearn.ensemble._hist_gradient_boosting.predictor"


def check(parts: Iterable[Any]) -> None:
    """Raise UnsafePickle for an object whose content leads outside of it."""
    for part in parts:
        module = _home(type(part))
        try:
            check_attributes(part)
            shapes.check(part, module)
        except Refused as refused:
            raise _forged(part, str(refused)) from None
        if module == "sklearn.tree._tree" and hasattr(part, "children_left"):
            _check_tree(part)
        elif module in _NEIGHBOURS and hasattr(part, "get_arrays"):
            _check_neighbours(part)
        elif module.startswith("sklearn."):
            _check_estimator(part, module)
        elif isinstance(part, partial) and (part.func.__name__ != "check_array" or part.args):
            raise _forged(part, f"the function {part.func.__name__}, expected check_array with keywords alone")


def _home(kind: type) -> str:
    """Return the module of a class, or of its first base that is a model of scikit-learn or a sparse matrix."""
    modules = [base.__module__ for base in kind.__mro__]
    return next((module for module in modules if _HOMES.match(module)), modules[0])


def _check_estimator(part: Any, module: str) -> None:  # noqa: ANN401 - scikit-learn has no types
    fields = getattr(part, "__dict__", {})
    _check_trees(part, fields, module)
    if module == "sklearn.frozen._frozen" and not (fields.keys() <= _FROZEN and hasattr(type(part.estimator), "fit")):
        raise _forged(part, "more than an estimator, whose attributes it could hide behind its own")
    _check_names(part, {**fields, **part} if isinstance(part, dict) else fields)
    if module == "sklearn.feature_extraction.text" and fields.get("input", "content") != "content":
        raise UnsafePickle(
            f"{type(part).__name__} opens the files that its texts name, expected input='content'; train it with that"
        )


def _check_trees(part: Any, fields: dict[str, Any], module: str) -> None:  # noqa: ANN401 - scikit-learn has no types
    """Check trees, and the members of an ensemble, which treats each as a tree of its own features unchecked."""
    width = fields.get("n_features_in_")
    for member in _members(part, fields.get("estimators_")) if module in _TREES else ():
        if module in _FORESTS and member.n_features_in_ != width:
            raise _forged(part, f"a tree of {member.n_features_in_} features, where the model has {width}")
    if module == "sklearn.tree._classes" and "tree_" in fields:
        tree = fields["tree_"]
        if type(tree).__module__ != "sklearn.tree._tree":
            raise _forged(part, f"an object of type {type(tree).__name__}, expected a tree")
        if tree.n_features != width:
            raise _forged(part, f"a tree of {tree.n_features} features, where the model has {width}")
    for predictors in fields.get("_predictors") or ():
        for predictor in predictors:
            if type(predictor).__module__ != _PREDICTOR:
                raise _forged(part, f"an object of type {type(predictor).__name__}, expected a tree")
            _check_nodes(predictor, predictor.nodes, width, getattr(part, "_bin_mapper", None))


def _members(part: Any, trees: Any) -> Iterable[Any]:  # noqa: ANN401 - scikit-learn has no types
    if type(trees).__name__ not in ("NoneType", "list", "ndarray"):
        raise _forged(part, f"an object of type {type(trees).__name__}, expected a list of trees")
    members = list(getattr(trees, "flat", trees) if trees is not None else ())
    for member in members:
        if type(member).__module__ != "sklearn.tree._classes":
            raise _forged(part, f"an object of type {type(member).__name__}, expected a tree")
    return members


def _check_names(part: Any, fields: dict[str, Any]) -> None:  # noqa: ANN401 - scikit-learn has no types
    """Check what an estimator calls: methods by their names, and functions. A class could make objects of bytes."""
    for field in _METHOD_FIELDS:
        value = fields.get(field)
        for method in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(method, str) and method not in _METHODS:
                raise _forged(part, f"the method {method!r}, expected one that predicts")
    getter = fields.get("importance_getter")
    if isinstance(getter, str) and any(name.startswith("_") for name in getter.split(".")):
        raise _forged(part, f"the path {getter!r} to importances, expected public attributes")
    for field, value in fields.items():
        if callable(value) and not (isinstance(value, type) and _DTYPES.fullmatch(field)):
            _check_function(part, field, value)
    for field in _KEYWORDS:
        _check_keywords(part, field, fields.get(field))


def _check_function(part: Any, field: str, function: Any) -> None:  # noqa: ANN401
    name = getattr(function, "__name__", "")
    if isinstance(function, type):
        raise _forged(part, f"the class {name} as {field!r}, expected a function at most")
    if REBUILDS.fullmatch(name):
        raise _forged(part, f"the function {name} as {field!r}, which only rebuilds objects")
    if name and field not in _CALLED and _is_numeric(function):
        raise _forged(part, f"the function {name} as {field!r}, where it could write into the model")
    if name.startswith("_") and function.__module__.startswith("sklearn.") and not field.startswith("_"):
        raise _forged(part, f"the function {name} as {field!r}, expected a public one")


def _is_numeric(function: Any) -> bool:  # noqa: ANN401
    """Return whether a function is of numpy or scipy."""
    module = getattr(function, "__module__", None) or type(function).__module__
    return str(module).partition(".")[0] in ("numpy", "scipy")


def _check_keywords(part: Any, field: str, keywords: Any) -> None:  # noqa: ANN401
    if keywords is not None and not isinstance(keywords, dict):
        raise _forged(part, f"an object of type {type(keywords).__name__} as {field!r}, expected a dictionary")
    for name in _WRITING & set(keywords or ()):
        raise _forged(part, f"the keyword {name!r} in {field!r}, expected none that passes memory")


def _check_tree(tree: Any) -> None:  # noqa: ANN401 - scikit-learn has no types
    """Require that a node's children come after it, as scikit-learn builds trees, so that following them ends."""
    if not 0 < tree.node_count <= tree.capacity:
        raise _forged(tree, f"{tree.node_count} nodes, expected at most its capacity of {tree.capacity}")
    inner = (tree.children_left != -1).nonzero()[0]
    _check_children(tree, inner, (tree.children_left, tree.children_right), tree.node_count)
    _check_features(tree, tree.feature[inner], tree.n_features)


def _check_nodes(predictor: Any, nodes: Any, width: Any, mapper: Any) -> None:  # noqa: ANN401 - scikit-learn has no types
    inner = (nodes["is_leaf"] == 0).nonzero()[0]
    _check_children(predictor, inner, (nodes["left"], nodes["right"]), len(nodes))
    _check_features(predictor, nodes["feature_idx"][inner], width)
    categorical = inner[nodes["is_categorical"][inner] != 0]
    if (nodes["bitset_idx"][categorical] >= len(predictor.raw_left_cat_bitsets)).any():
        raise _forged(predictor, "categories that do not exist")
    known = getattr(mapper, "is_categorical_", ())
    if len(categorical) and (len(known) != width or not known[nodes["feature_idx"][categorical]].all()):
        raise _forged(predictor, "categories of features that have none")


def _check_children(part: Any, inner: Any, sides: tuple[Any, Any], count: int) -> None:  # noqa: ANN401
    for side in sides:
        if (side[inner] <= inner).any() or (side[inner] >= count).any() or count < 1:
            raise _forged(part, "nodes that point outside of the tree")


def _check_features(part: Any, features: Any, width: Any) -> None:  # noqa: ANN401
    if (features < 0).any() or (features >= width).any():
        raise _forged(part, "features that do not exist")


def _check_neighbours(tree: Any) -> None:  # noqa: ANN401 - scikit-learn has no types
    """Check a tree of points: node i has its children at 2i + 1 and 2i + 2, and a slice of the points' numbers."""
    data, numbers, nodes, bounds, _, _, count, *_, distance, weights = tree.__getstate__()
    rows, width = data.shape
    starts, ends = nodes["idx_start"], nodes["idx_end"]
    inner = (nodes["is_leaf"] == 0).nonzero()[0]
    if not (
        0 < count <= len(nodes) <= bounds.shape[1]
        and bounds.shape[::2] == (2 if type(tree).__name__.startswith("KD") else 1, width)
        and len(numbers) == rows
        and (weights is None or len(weights) == rows)
        and shapes.distance_fits(distance, width)
        and ((numbers >= 0) & (numbers < rows)).all()
        and ((starts >= 0) & (starts <= ends) & (ends <= rows)).all()
        and (2 * inner + 2 < count).all()
    ):
        raise _forged(tree, "points that do not exist")
    for function in distance.__getstate__()[3:4]:  # some distances call one with addresses of rows
        _check_function(tree, "metric", function)


def _forged(part: object, found: str) -> UnsafePickle:
    return UnsafePickle(f"{type(part).__name__} holds {found}; the file was altered, train and save the model again")

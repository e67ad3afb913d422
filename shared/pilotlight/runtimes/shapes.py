"""Lengths that compiled code takes from one part of a model and uses on another without comparing them.

A forged length makes it read the memory behind an array, whose content then shows in the model's answers, or write
there.
"""

from __future__ import annotations

from typing import Any

from pilotlight.pickle_rules import Refused

# Rows that requests are compared with: as wide as the model's features.
_ROWS = ("_fit_X", "centroids_", "cluster_centers_", "subcluster_centers_")


def check(part: Any, module: str) -> None:  # noqa: ANN401 - scikit-learn has no types
    """Refuse an object whose lengths do not fit each other. Raises Refused."""
    if module == "scipy.interpolate._bsplines" and hasattr(part, "k"):
        _check_spline(part)
    elif module.startswith("numpy.random"):
        _check_generator(part)
    elif module.startswith("sklearn."):
        fields = getattr(part, "__dict__", {})
        width = fields.get("n_features_in_")
        for name in _ROWS if hasattr(part, "get_params") else ():
            _check_width(name, fields.get(name), width)
        if "_bisecting_tree" in fields:
            _check_bisections(fields["_bisecting_tree"], width)
        if module == "sklearn.svm._classes" and "_dual_coef_" in fields:
            _check_support(fields, classifies=type(part).__name__.endswith("SVC"))
        if module == "sklearn.ensemble._iforest" and "estimators_" in fields:
            _check_isolation(fields, width)


def distance_fits(distance: Any, width: int) -> bool:  # noqa: ANN401 - scikit-learn has no types
    """Whether the weights of a distance are for rows of this width."""
    _, weights, matrix = distance.__getstate__()[:3]
    kind = type(distance).__name__
    if kind.startswith("Mahalanobis"):
        return bool(matrix.shape == (width, width))
    if kind.startswith("SEuclidean"):
        return len(weights) == width
    return len(weights) in (0, width) or not kind.startswith(("Minkowski", "WMinkowski"))


def _check_width(name: str, rows: Any, width: Any) -> None:  # noqa: ANN401
    shape: tuple[int, ...] = getattr(rows, "shape", ())
    if len(shape) == 2 and shape[1] != width:
        raise Refused(f"{name} of {shape[1]} columns, where the model has {width} features")


def _check_bisections(tree: Any, width: Any) -> None:  # noqa: ANN401
    waiting, seen = [tree], set()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if getattr(node.center, "shape", ()) != (width,):
            raise Refused(f"a centre of another width, where the model has {width} features")
        waiting += [node.left, node.right]


def _check_support(fields: dict[str, Any], *, classifies: bool) -> None:
    """What libsvm is handed as bare addresses: coefficients for each pair of classes and each support vector.

    libsvm follows the number of vectors of each class where it classifies.
    """
    vectors, support, counts = fields["support_vectors_"], fields["support_"], fields["_n_support"]
    precomputed = fields.get("kernel") == "precomputed"
    rows, classes = len(support) if precomputed else vectors.shape[0], max(len(counts), 2)
    pairs = classes * (classes - 1) // 2
    dual = fields["_dual_coef_"]
    known = fields["shape_fit_"]
    if not (
        len(support) == rows
        and (not precomputed or ((support >= 0) & (support < known[1])).all())
        and (precomputed or vectors.shape[1] == fields["n_features_in_"])
        and dual.shape == (classes - 1, rows)
        and getattr(dual, "nnz", dual.size) == dual.size
        and len(fields["_intercept_"]) == pairs
        and all(len(fields[name]) in (0, pairs) for name in ("_probA", "_probB"))
        and (counts >= 0).all()
        and (counts.sum() == rows or not classifies)
    ):
        raise Refused("support vectors and coefficients that do not fit each other")


def _check_isolation(fields: dict[str, Any], width: Any) -> None:  # noqa: ANN401
    for member, features in zip(fields["estimators_"], fields["estimators_features_"], strict=True):
        expected = width if fields["_max_features"] == width else len(features)
        if member.tree_.n_features != expected:
            raise Refused(f"a tree of {member.tree_.n_features} features, where it is given {expected}")


def _check_spline(spline: Any) -> None:  # noqa: ANN401 - scipy has no types here
    knots, coefficients, degree = spline.t, spline.c, spline.k
    if not (
        isinstance(degree, int)
        and knots.ndim == 1
        and 0 <= degree < len(knots) - degree - 1 <= len(coefficients)
        and (knots[1:] >= knots[:-1]).all()
    ):
        raise Refused("knots, coefficients and a degree that do not fit each other")


def _check_generator(part: Any) -> None:  # noqa: ANN401 - numpy is not imported
    """The place in a generator's own buffer, which numpy does not look at."""
    generator = getattr(part, "_bit_generator", getattr(part, "bit_generator", part))
    state = getattr(generator, "state", None)
    inner = state.get("state") if isinstance(state, dict) else None
    if not isinstance(state, dict) or not isinstance(inner, dict):
        return
    if not (0 <= state.get("buffer_pos", 0) <= 4 and 0 <= inner.get("pos", 0) <= 624):  # Philox, MT19937
        raise Refused("a random generator with a place outside of its buffer")

"""Lengths that compiled code takes from one part of a model and uses on another without a comparison.

A forged length makes it read beyond an array, so that the model's answers show that memory, or write there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pilotlight.pickles.attributes import Refused

# Rows that requests are compared with: as wide as the model's features.
_ROWS = ("_fit_X", "centroids_", "cluster_centers_", "subcluster_centers_")


def check(part: Any, module: str) -> None:  # noqa: ANN401 - scikit-learn has no types
    """Raise Refused for an object whose lengths do not fit each other."""
    if module == "scipy.interpolate._bsplines" and hasattr(part, "k"):
        _check_spline(part)
    elif module.startswith("scipy.sparse"):
        _check_matrix(part)
    elif module.startswith("numpy.random"):
        _check_generator(part)
    elif module.startswith("sklearn."):
        fields = getattr(part, "__dict__", {})
        width = fields.get("n_features_in_")
        for name in _ROWS if hasattr(part, "get_params") else ():
            _check_width(name, fields.get(name), width)
        for name, verify in _CHECKS.items():
            if name in fields:
                verify(fields, part)


def distance_fits(distance: Any, width: int) -> bool:  # noqa: ANN401 - scikit-learn has no types
    """Return whether the weights of a distance are for rows of this width."""
    _, weights, matrix = distance.__getstate__()[:3]
    kind = type(distance).__name__
    if kind.startswith("Mahalanobis"):
        return bool(matrix.shape == (width, width))
    if kind.startswith("Haversine"):
        return width == 2
    if kind.startswith("SEuclidean"):
        return len(weights) == width
    return len(weights) in (0, width) or not kind.startswith(("Minkowski", "WMinkowski"))


def _check_width(name: str, rows: Any, width: Any) -> None:  # noqa: ANN401
    shape: tuple[int, ...] = getattr(rows, "shape", ())
    if len(shape) == 2 and shape[1] != width:
        raise Refused(f"{name} of {shape[1]} columns, where the model has {width} features")
    if name == "_fit_X" and shape[:1] == (0,):
        raise Refused("no points, by the number of which compiled code divides")


def _check_bisections(fields: dict[str, Any], _: object) -> None:
    width = fields.get("n_features_in_")
    waiting: list[Any] = [fields["_bisecting_tree"]]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if getattr(node.center, "shape", ()) != (width,):
            raise Refused(f"a centre of another width, where the model has {width} features")
        waiting += [node.left, node.right]


def _check_support(fields: dict[str, Any], part: Any) -> None:  # noqa: ANN401
    """Check what libsvm gets as bare addresses: coefficients for each pair of classes and each support vector.

    libsvm relies on the number of vectors of each class where it classifies.
    """
    vectors, support, counts = fields["support_vectors_"], fields["support_"], fields["_n_support"]
    # A kernel that is a function is computed before libsvm is called, which then treats it as precomputed.
    precomputed = fields.get("kernel") == "precomputed" or callable(fields.get("kernel"))
    rows, classes = len(support) if precomputed else vectors.shape[0], len(counts)
    pairs = classes * (classes - 1) // 2
    dual = fields["_dual_coef_"]
    sparse = bool(fields["_sparse"])
    probable = fields.get("probability") is True or fields.get("_effective_probability") is True
    if not (
        "_impl" not in fields
        and classes >= 2
        and len(support) == rows
        and (not precomputed or ((support >= 0) & (support < fields["shape_fit_"][0])).all())
        and (precomputed or vectors.shape[1] == fields["n_features_in_"])
        and dual.shape == (classes - 1, rows)
        and all(type(held).__name__[:3] == ("csr" if sparse else "nda") for held in (vectors, dual))
        and (not sparse or dual.nnz == (classes - 1) * rows)
        and len(fields["_intercept_"]) == pairs
        and all(len(fields[name]) in ((pairs,) if probable else (0, pairs)) for name in ("_probA", "_probB"))
        and (counts >= 0).all()
        and (counts.sum() == rows or part._impl not in ("c_svc", "nu_svc"))  # noqa: SLF001 - of its class
    ):
        raise Refused("support vectors and coefficients that do not fit each other")


def _check_isolation(fields: dict[str, Any], _: object) -> None:
    width = fields.get("n_features_in_")
    for member, features in zip(fields["estimators_"], fields["estimators_features_"], strict=True):
        expected = width if fields["_max_features"] == width else len(features)
        if member.tree_.n_features != expected:
            raise Refused(f"a tree of {member.tree_.n_features} features, where it is given {expected}")


def _check_labels(fields: dict[str, Any], _: object) -> None:
    """Check the classes of known points, which are counted without a check that they exist."""
    labels, classes = fields["_y"], fields["classes_"]
    columns = labels.reshape(len(labels), -1).T
    if len(labels) != fields["_fit_X"].shape[0]:
        raise Refused("labels of another number than its points")
    for column, known in zip(columns, classes if fields["outputs_2d_"] else [classes], strict=True):
        if len(column) and not 0 <= column.min() <= column.max() < len(known):
            raise Refused("labels of unknown classes")


def _check_norms(fields: dict[str, Any], _: object) -> None:
    if fields["_subcluster_norms"].shape != fields["subcluster_centers_"].shape[:1]:
        raise Refused("norms of another number than its centres")


def _check_vocabulary(fields: dict[str, Any], _: object) -> None:
    """Check the columns of words, of which a sparse matrix is made unchecked."""
    columns = dict.values(fields["vocabulary_"])
    if columns and not 0 <= min(columns) <= max(columns) < len(columns):
        raise Refused("words in columns that do not exist")


def _check_encoder(fields: dict[str, Any], _: object) -> None:
    """Check the columns of categories, of which a sparse matrix is made unchecked."""
    grouped = fields["_default_to_infrequent_mappings"] if fields["_infrequent_enabled"] else None
    dropped = fields["_drop_idx_after_grouping"]
    for index, (categories, width) in enumerate(zip(fields["categories_"], fields["_n_features_outs"], strict=True)):
        count = len(categories)
        if grouped is not None and grouped[index] is not None:
            groups = grouped[index]
            if groups.shape != (count,) or groups.min() < 0:
                raise Refused("groups of categories that do not exist")
            count = int(groups.max()) + 1
        if dropped is not None and dropped[index] is not None:
            if not 0 <= dropped[index] < count:
                raise Refused("a category to drop that does not exist")
            count -= 1
        if count != width:
            raise Refused(f"{count} categories, where {width} columns are for them")


def _check_encodings(fields: dict[str, Any], _: object) -> None:
    columns = len(fields["classes_"]) if fields["target_type_"] == "multiclass" else 1
    if len(fields["encodings_"]) != fields["n_features_in_"] * columns:
        raise Refused("encodings of another number than its columns")


def _check_combinations(fields: dict[str, Any], part: Any) -> None:  # noqa: ANN401
    """Check the number of columns that a PolynomialFeatures fills."""
    limits = {name: fields[name] for name in ("interaction_only", "include_bias")}
    columns = type(part)._num_combinations(  # noqa: SLF001 - as scikit-learn counts them
        n_features=fields["n_features_in_"], min_degree=0, max_degree=fields["_max_degree"], **limits
    )
    if fields["_n_out_full"] != columns:
        raise Refused(f"{fields['_n_out_full']} columns, where there are {columns} combinations")


def _check_bins(fields: dict[str, Any], _: object) -> None:
    count, thresholds = len(fields["n_bins_non_missing_"]), fields["bin_thresholds_"]
    if type(thresholds) is not list or len(thresholds) != count or fields["is_categorical_"].shape != (count,):
        raise Refused("bins of another number than its features")


def _check_bitsets(fields: dict[str, Any], _: object) -> None:
    if fields["raw_left_cat_bitsets"].shape[1:] != (8,):  # 256 categories in words of 32 bits
        raise Refused("sets of categories that are cut off")


def _check_mixture(fields: dict[str, Any], _: object) -> None:
    if fields["covariance_type"] != "tied" and len(fields["precisions_cholesky_"]) != len(fields["means_"]):
        raise Refused("precisions of another number than its means")


def _check_order(fields: dict[str, Any], _: object) -> None:
    if sorted(fields["order_"]) != list(range(len(fields["estimators_"]))):
        raise Refused("an order that leaves out members")


def _check_matrix(matrix: Any) -> None:  # noqa: ANN401 - scipy has no types here
    kind = type(matrix)  # an object may have attributes in front of its class's
    form = kind.__name__[:3]
    try:
        if hasattr(kind, "check_format"):
            kind.check_format(matrix, full_check=True)
        elif hasattr(kind, "_check"):  # of coordinates
            kind._check(matrix)  # noqa: SLF001 - scipy has no public one
    except (TypeError, ValueError) as error:
        raise Refused(f"indices that do not fit: {error}") from None
    if form == "dia" and (matrix.data.ndim != 2 or matrix.offsets.shape != matrix.data.shape[:1]):
        raise Refused("indices that do not fit: as many diagonals as offsets are expected")
    if form == "lil":
        _check_lists(matrix)


def _check_lists(matrix: Any) -> None:  # noqa: ANN401 - scipy has no types here
    rows, values = matrix.rows, matrix.data
    height, width = matrix.shape
    if rows.shape != (height,) or values.shape != (height,):
        raise Refused("indices that do not fit: a list for each row is expected")
    for columns, held in zip(rows, values, strict=True):
        if len(columns) != len(held) or (columns and not 0 <= min(columns) <= max(columns) < width):
            raise Refused("indices that do not fit: columns that do not exist")


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
    """Check the position in a generator's own buffer, which numpy does not check."""
    generator = getattr(part, "_bit_generator", getattr(part, "bit_generator", part))
    state = getattr(generator, "state", None)
    inner = state.get("state") if isinstance(state, dict) else None
    if not isinstance(state, dict) or not isinstance(inner, dict):
        return
    if not (0 <= state.get("buffer_pos", 0) <= 4 and 0 <= inner.get("pos", 0) <= 624):  # Philox, MT19937
        raise Refused("a random generator with a position outside of its buffer")


# By a field that only the class with these lengths has.
_CHECKS: Final[dict[str, Callable[[dict[str, Any], Any], None]]] = {
    "_bisecting_tree": _check_bisections,
    "_decision_path_lengths": _check_isolation,
    "_dual_coef_": _check_support,
    "_n_features_outs": _check_encoder,
    "_n_out_full": _check_combinations,
    "_subcluster_norms": _check_norms,
    "bin_thresholds_": _check_bins,
    "encodings_": _check_encodings,
    "order_": _check_order,
    "outputs_2d_": _check_labels,
    "precisions_cholesky_": _check_mixture,
    "raw_left_cat_bitsets": _check_bitsets,
    "vocabulary_": _check_vocabulary,
}

"""Preparing fitted estimators to serve: on arrays without pandas, in the thread that calls them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from typing import Any

from pilotlight.errors import ModelError
from pilotlight.pickles import soundness


class NumericTransformer:
    """A fitted transformer of a frame's numeric columns, for an array that also has columns of strings."""

    def __init__(self, transformer: Any) -> None:  # noqa: ANN401 - scikit-learn has no types
        self._transformer = transformer

    def transform(self, columns: Any, **parameters: Any) -> Any:  # noqa: ANN401 - arrays of any shape
        """Transform the columns as numbers, which they are in a frame."""
        return self._transformer.transform(columns.astype("f8"), **parameters)


class ShapeChecked:
    """A method of gradient boosting whose result compiled code uses without a check of its shape.

    The result comes from another estimator in the same file.
    """

    def __init__(self, boosting: Any, method: str, columns: int) -> None:  # noqa: ANN401 - scikit-learn has no types
        self._boosting = boosting
        self._method = method
        self._columns = columns

    def __call__(self, rows: Any, **parameters: Any) -> Any:  # noqa: ANN401 - arrays
        """Return the method's result. Raise ModelError if it has another shape."""
        result = getattr(type(self._boosting), self._method)(self._boosting, rows, **parameters)
        expected = (rows.shape[0], self._columns)
        if result.shape != expected:
            raise ModelError(f"{self._method} returns the shape {result.shape}, expected {expected}")
        return result


def prepare(root: object, numeric: Collection[str] = ()) -> None:
    """Make a fitted estimator accept arrays. Raise UnsafePickle if its content is forged.

    Columns that a ColumnTransformer chose by name become positions, pandas frames as outputs become arrays, and work
    for several processes runs in one: a function has none to spare. `numeric` are the features that are numbers, where
    others are strings and all come in one array of objects.
    """
    parts = list(walk(root))
    soundness.check(parts)
    for part in parts:
        fields = getattr(part, "__dict__", {})
        if "_transformer_to_input_indices" in fields:
            part.transformers_ = [_on_arrays(part, numeric, *step) for step in part.transformers_]
        if "_sklearn_output_config" in fields:
            part._sklearn_output_config = {}  # noqa: SLF001 - no public way to unset it
        if fields.get("n_jobs") is not None:
            part.n_jobs = None
        if "_n_threads" in fields:
            part._n_threads = 1  # noqa: SLF001 - of the machine that trained it; there is no public one
        if "_cached_dict" in fields:
            part._cached_dict = None  # noqa: SLF001 - it is made again from the classes
        if type(part).__module__ == "sklearn.ensemble._gb" and "estimators_" in fields:
            # The trees add to it: a column for each tree of a stage.
            part._raw_predict_init = ShapeChecked(part, "_raw_predict_init", part.estimators_.shape[1])  # noqa: SLF001
        if "_predictors" in fields and fields.get("_preprocessor") is not None:
            part._preprocess_X = ShapeChecked(part, "_preprocess_X", part.n_features_in_)  # noqa: SLF001


def walk(root: object) -> Iterator[Any]:
    """Yield a fitted estimator and every object in it, except strings, numbers, classes and functions."""
    seen: dict[int, object] = {}
    waiting = [root]
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, (str, bytes, int, float)) or _is_named(item):
            continue
        seen[id(item)] = item
        if isinstance(item, dict):
            waiting.extend(item.values())
            waiting.extend(key for key in item if type(key) is not str)
            waiting.append(getattr(item, "default_factory", None))
        elif isinstance(item, (list, tuple, set, frozenset)):
            waiting.extend(item)
        elif getattr(getattr(item, "dtype", None), "hasobject", False):
            waiting.extend(item.ravel().tolist())  # type: ignore[attr-defined]
        elif isinstance(item, partial):
            waiting.append(item.keywords)
        yield item
        waiting.extend(getattr(item, "__dict__", {}).values())


def _is_named(item: object) -> bool:
    """Return whether an item is a class or a function, to which a model only refers.

    The item's type decides: an object may claim any name by delegating to a function that it holds.
    """
    return any(vars(kind).keys() & {"__qualname__", "__name__", "__get__"} for kind in type(item).__mro__)


def _on_arrays(columns: Any, numeric: Collection[str], name: str, transformer: Any, chosen: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """Return a step of a ColumnTransformer that selects columns of an array; `transformer` may be "drop"."""
    indices = columns._transformer_to_input_indices  # noqa: SLF001 - where scikit-learn itself keeps them
    if name not in indices:
        return name, transformer, chosen
    positions = [int(position) for position in indices[name]]
    names = getattr(columns, "feature_names_in_", ())
    if len(names) and hasattr(transformer, "transform") and all(names[position] in numeric for position in positions):
        transformer = NumericTransformer(transformer)
    # A single name or number selects a column of one dimension.
    return name, transformer, positions[0] if isinstance(chosen, (str, int)) else positions

"""The columns of a fitted scikit-learn model: names, which are strings, and what its transformers know of them."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from pilotlight_cli.converting.child.errors import CannotConvert
from pilotlight_cli.converting.child.models import Column, Table

_VECTORIZERS = ("CountVectorizer", "HashingVectorizer", "TfidfVectorizer")
_MEMBERS = ("best_estimator_", "regressor_", "classifier_", "estimator_", "estimator", "base_estimator_")


def find(model: Any) -> Table:  # noqa: ANN401 - scikit-learn has no types
    """Return the model's table. Raise CannotConvert if it does not know its features."""
    first = _first_step(model)
    if type(first).__name__ in _VECTORIZERS:
        return Table([Column("text", text=True, known=_texts(first))], named=False, matrix=False, alone=True)
    count = _attribute(model, "n_features_in_")
    if count is None:
        raise CannotConvert(f"the {type(model).__name__} does not know how many features it takes; is it fitted?")
    names = _attribute(model, "feature_names_in_")
    found = [str(name) for name in names] if names is not None else [f"f{index}" for index in range(count)]
    columns = [Column(name) for name in found]
    _visit(model, columns)
    transformed = any(hasattr(part, "transformers_") for part in _parts(model))
    matrix = not (transformed and names is not None) and not any(column.text for column in columns)
    return Table(columns, names is not None, matrix)


def _attribute(model: Any, name: str) -> Any:  # noqa: ANN401
    value = getattr(model, name, None)
    if value is None and hasattr(model, "steps"):
        return _attribute(_first_step(model), name)
    members = (getattr(model, member, None) for member in _MEMBERS) if value is None else ()
    return next((found for found in (_attribute(each, name) for each in members if each is not None) if found), value)


def _first_step(model: Any) -> Any:  # noqa: ANN401
    while hasattr(model, "steps"):
        model = model.steps[0][1]
    return model


def _parts(model: Any) -> list[Any]:  # noqa: ANN401
    """Return the model and the estimators in it that get its columns."""
    found = [model]
    inner = [step for _, step in getattr(model, "steps", ())]
    inner += [getattr(model, member, None) for member in _MEMBERS]
    for part in inner:
        if hasattr(part, "get_params") and not isinstance(part, type):
            found += _parts(part)
    return found


def _texts(vectorizer: Any) -> list[str]:  # noqa: ANN401
    return sorted(map(str, getattr(vectorizer, "vocabulary_", None) or ("a", "text")))


def _visit(model: Any, columns: Sequence[Column]) -> None:  # noqa: ANN401
    """Note, in the columns that a fitted estimator gets, what it knows of them."""
    if hasattr(model, "transformers_"):
        indices = getattr(model, "_transformer_to_input_indices", {})
        for name, transformer, chosen in model.transformers_:
            inner = [columns[index] for index in indices.get(name, ())]
            if type(transformer).__name__ in _VECTORIZERS and isinstance(chosen, (str, int)):
                inner[0].text, inner[0].known = True, _texts(transformer)
            else:
                _visit(transformer, inner)
        return
    for part in _parts(model)[1:]:
        _note(part, columns)
        if hasattr(part, "transformers_"):
            _visit(part, columns)
        if not hasattr(part, "steps") and not hasattr(part, "statistics_"):
            return  # what follows gets other columns
    _note(model, columns)


def _note(part: Any, columns: Sequence[Column]) -> None:  # noqa: ANN401
    def each(name: str) -> Sequence[Any]:
        values = getattr(part, name, None)
        return values if values is not None and len(values) == len(columns) else [None] * len(columns)

    for column, categories, statistic in zip(columns, each("categories_"), each("statistics_")):
        values = [] if categories is None else list(categories)
        values += [] if statistic is None else [statistic]
        texts = [value for value in values if isinstance(value, str)]
        column.text = column.text or bool(texts)
        column.known += texts or [float(value) for value in values if _is_number(value)]
    for column, least, most in zip(columns, each("data_min_"), each("data_max_")):
        if least is not None and np.isfinite(least) and np.isfinite(most):
            column.low, column.high = float(least), float(most)
    for center in ("mean_", "center_"):
        for column, middle, width in zip(columns, each(center), each("scale_")):
            if middle is not None and width is not None:
                column.low, column.high = float(middle - 3 * width), float(middle + 3 * width)


def _is_number(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, (int, float, np.number)) and bool(np.isfinite(value))

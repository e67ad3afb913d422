"""scikit-learn's error for a category that an encoder does not know, in terms of the request."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Mapping, Sequence
from typing import Any

from pilotlight.model.json_document import describe
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import Tensor

_REFUSED = "the model does not accept these values"

# The column in this message is the encoder's, which is not the model's behind a ColumnTransformer or another step.
_UNKNOWN = re.compile(r"Found unknown categories \[(.*)\] in column \d+ during transform", re.DOTALL)
_LONG = 10_000  # characters of a list that is not searched
_MOST = 3  # categories that are searched for in the request

# numpy's scalars: np.str_('x'), np.float64(5.0).
_SCALAR = re.compile(r"np\.\w+\(((?:'[^']*'|\"[^\"]*\"|[^()'\"])*)\)")


def explain(error: ValueError, signature: Signature, inputs: Sequence[Tensor]) -> str:
    """Return the message for a caller whose values an estimator refused.

    It names an unknown category that the request itself has, and its feature if only one has that value. Everything
    else in the error is for the log alone.
    """
    found = _UNKNOWN.fullmatch(str(error))
    if not found:
        return _REFUSED
    columns = _columns(signature, inputs)
    for category in _categories(found[1]):
        names = [name for name, values in columns.items() if any(_is_same(category, value) for value in values)]
        if names:
            unknown = "a missing value" if category is None else f"the value {describe(category)}"
            feature = f" of the feature {describe(names[0])}" if len(names) == 1 else ""
            return f"the model does not know {unknown}{feature}"
    return _REFUSED


def _categories(text: str) -> list[Any]:
    """Return the first values in a list as Python prints it; None for a NaN, which is no literal and comes last."""
    if len(text) > _LONG:
        return []
    plain = _SCALAR.sub(r"\1", text)
    known = plain.removesuffix("nan")
    try:
        values = literal_eval(f"[{known}]")
    except (ValueError, SyntaxError):
        return []
    return [*values, *([None] if known != plain else [])][:_MOST]


def _columns(signature: Signature, inputs: Sequence[Tensor]) -> Mapping[str, Sequence[Any]]:
    names = signature.feature_names
    if signature.matrix:
        values = inputs[0].values()
        return {name: values[index :: len(names)] for index, name in enumerate(names)}
    return {name: tensor.values() for name, tensor in zip(names, inputs, strict=False)}


def _is_same(category: object, value: object) -> bool:
    """Whether a request's value is the category; a missing one is NaN or None."""
    if category is None:
        return value is None or value != value  # noqa: PLR0124
    return category == value

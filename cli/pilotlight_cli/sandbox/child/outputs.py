"""The outputs of a fitted scikit-learn estimator: labels and probabilities, or values."""

from __future__ import annotations

from typing import Any

import numpy as np

from pilotlight.errors import ModelError
from pilotlight.model.signature import Label, Output
from pilotlight.model.tensor import BOOL, BYTES, FP64, INT64, Datatype

_KINDS = {"f": FP64, "i": INT64, "u": INT64, "b": BOOL, "O": BYTES, "U": BYTES}


def find_outputs(estimator: Any, rows: Any) -> tuple[tuple[Output, ...], tuple[Label, ...]]:  # noqa: ANN401
    """Return outputs and labels; `rows` are some to predict, or None.

    Raise ModelError for outputs that a signature cannot describe.
    """
    name = type(estimator).__name__
    classes = getattr(estimator, "classes_", None)
    if isinstance(classes, list):
        raise ModelError(f"{name} predicts {len(classes)} labels for each row, expected one; publish a model for each")
    answer = None if rows is None else np.asarray(estimator.predict(rows))
    if classes is None:
        datatype = FP64 if answer is None else _datatype(answer, f"the predictions of {name}")
        shape = (-1,) if answer is None or answer.ndim == 1 else (-1, *answer.shape[1:])
        return (Output("prediction", datatype, shape, "tensor"),), ()
    if answer is not None and answer.ndim != 1:
        raise ModelError(f"{name} predicts several labels for each row, expected one; publish a model for each")
    labels = tuple(classes.tolist())
    if len(labels) < 2:
        raise ModelError(f"{name} has only the class {labels[0]!r}, expected two or more; train it on all classes")
    outputs = [Output("label", _datatype(classes, f"the classes of {name}"), (-1,), "label")]
    if hasattr(estimator, "predict_proba"):
        outputs.append(Output("probabilities", FP64, (-1, len(labels)), "probabilities"))
    return tuple(outputs), labels


def _datatype(values: Any, about: str) -> Datatype:  # noqa: ANN401 - an array
    """Return the datatype of an array, which may have objects. Raise ModelError for mixed or other types."""
    kinds = {type(value) for value in values.ravel().tolist()}
    uniform = {float: FP64, int: INT64, bool: BOOL, str: BYTES}.get(next(iter(kinds))) if len(kinds) == 1 else None
    datatype = uniform if values.dtype.kind == "O" else _KINDS.get(values.dtype.kind)
    if datatype is None:
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ModelError(f"{about} are of type {found}, expected all strings, all integers, all floats or all booleans")
    return datatype

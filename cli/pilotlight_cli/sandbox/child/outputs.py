"""The outputs of a fitted scikit-learn estimator, and the methods that return them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import OutlierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from pilotlight.errors import ModelError
from pilotlight.model.lock import METHODS
from pilotlight.model.signature import Label, Output
from pilotlight.model.tensor import BOOL, BYTES, FP64, INT64, Datatype

_KINDS = {"f": FP64, "i": INT64, "u": INT64, "b": BOOL, "O": BYTES, "U": BYTES}
_MOST_NAMED = 4  # targets whose classes a note lists


@dataclass(frozen=True, slots=True)
class Outputs:
    """Outputs of the signature, its labels, and the methods as `Runtime` has them; `notes` are for the publisher."""

    outputs: tuple[Output, ...]
    labels: tuple[Label, ...] = ()
    methods: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def called(self) -> list[str]:
        """The names of the estimator's methods that are called."""
        by_role = ("predict_proba" if output.role == "probabilities" else "predict" for output in self.outputs)
        return sorted({method.partition("[")[0] for method in self.methods or by_role})


def check_fitted(estimator: Any) -> None:  # noqa: ANN401 - scikit-learn has no types
    """Raise ModelError for an estimator that was never fitted."""
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise ModelError(
            f"the {type(estimator).__name__} is not fitted; call its fit, then save and publish it again"
        ) from None


def check_method(estimator: Any, method: str) -> None:  # noqa: ANN401 - scikit-learn has no types
    """Raise ModelError for an estimator without the publisher's --method, or without predict if there is none."""
    wanted = method or "predict"
    if hasattr(estimator, wanted):
        return
    name = type(estimator).__name__
    has = [known for known in METHODS if hasattr(estimator, known)]
    if not has:
        raise ModelError(f"{name} has none of the methods {', '.join(METHODS)}, so it cannot answer new rows")
    choice = f"publish it with {' or '.join(f'--method {known}' for known in has)}"
    raise ModelError(f"{name} has no {wanted}, only {', '.join(has)}; {choice}")


def find_outputs(estimator: Any, rows: Any, method: str = "") -> Outputs:  # noqa: ANN401
    """Return the outputs of a method, or of predict and predict_proba; `rows` are some to predict, or None.

    Raise ModelError for outputs that a signature cannot describe.
    """
    classes = getattr(estimator, "classes_", None)
    if method not in ("", "predict") and (method != "predict_proba" or classes is None):
        return _one_method(estimator, rows, method)
    wanted = [method] if method else [known for known in METHODS[:2] if hasattr(estimator, known)]
    name = type(estimator).__name__
    answer = None if rows is None else _dense(estimator.predict(rows))
    if isinstance(classes, list) or (classes is not None and answer is not None and answer.ndim != 1):
        return _several(estimator, rows, answer, wanted)
    if classes is None and not _detects_outliers(estimator):
        datatype = FP64 if answer is None else _datatype(answer, f"the predictions of {name}")
        return Outputs((Output("prediction", datatype, _shape(answer), "tensor"),), methods=(method,) if method else ())
    classes = np.array([-1, 1]) if classes is None else classes
    labels = tuple(classes.tolist())
    if len(labels) < 2:
        raise ModelError(f"{name} has only the class {labels[0]!r}, expected two or more; train it on all classes")
    known = {
        "predict": Output("label", _datatype(classes, f"the classes of {name}"), (-1,), "label"),
        "predict_proba": Output("probabilities", FP64, (-1, len(labels)), "probabilities"),
    }
    return Outputs(tuple(known[name] for name in wanted), labels, (method,) if method else ())


def _one_method(estimator: Any, rows: Any, method: str) -> Outputs:  # noqa: ANN401 - scikit-learn has no types
    answer = _dense(getattr(estimator, method)(_needed(rows, estimator)))
    datatype = _datatype(answer, f"what {method} of {type(estimator).__name__} returns")
    return Outputs((Output(method, datatype, _shape(answer), "tensor"),), methods=(method,))


def _several(estimator: Any, rows: Any, answer: Any, wanted: list[str]) -> Outputs:  # noqa: ANN401
    """Return the outputs of a classifier of several targets: a column for each, and probabilities as it gives them."""
    rows = _needed(rows, estimator)
    name = type(estimator).__name__
    found: dict[str, Output] = {}
    if "predict" in wanted:
        datatype = _datatype(answer, f"the predictions of {name}")
        found["predict"] = Output("prediction", datatype, _shape(answer), "tensor")
    notes = [f"{name} predicts {answer.shape[1]} values a row; the function answers with all of them"]
    columns = estimator.predict_proba(rows) if "predict_proba" in wanted else None
    if isinstance(columns, list):
        for index, part in enumerate(columns):
            found[f"predict_proba[{index}]"] = Output(f"probabilities_{index}", FP64, _shape(part), "tensor")
        notes.append(_columns_note(estimator.classes_))
    elif columns is not None:
        found["predict_proba"] = Output("probabilities", FP64, _shape(columns), "tensor")
    return Outputs(tuple(found.values()), (), tuple(found), tuple(notes))


def _columns_note(classes: list[Any]) -> str:
    shown = [
        f"probabilities_{index} has columns for {', '.join(map(str, known.tolist()))}"
        for index, known in enumerate(classes[:_MOST_NAMED])
    ]
    return "; ".join(shown) + (f"; and so on for {len(classes)} targets" if len(classes) > _MOST_NAMED else "")


def _needed(rows: Any, estimator: Any) -> Any:  # noqa: ANN401 - scikit-learn has no types
    if rows is None:
        raise ModelError(
            f"nothing shows the shape of what {type(estimator).__name__} returns, as no rows were made up; give real "
            "rows with --golden"
        )
    return rows


def _detects_outliers(estimator: Any) -> bool:  # noqa: ANN401 - scikit-learn has no types
    """Return whether it predicts 1 for what is as usual, and -1 for what is not."""
    steps = getattr(estimator, "steps", None)
    return isinstance(steps[-1][1] if steps else estimator, OutlierMixin)


def _dense(result: Any) -> np.ndarray[Any, Any]:  # noqa: ANN401 - an array or a sparse matrix
    return np.asarray(result.toarray() if hasattr(result, "toarray") else result)


def _shape(answer: Any) -> tuple[int, ...]:  # noqa: ANN401 - an array, or None
    return (-1,) if answer is None or answer.ndim == 1 else (-1, *answer.shape[1:])


def _datatype(values: Any, about: str) -> Datatype:  # noqa: ANN401 - an array
    """Return the datatype of an array, which may have objects. Raise ModelError for mixed or other types."""
    kinds = {type(value) for value in values.ravel().tolist()}
    uniform = {float: FP64, int: INT64, bool: BOOL, str: BYTES}.get(next(iter(kinds))) if len(kinds) == 1 else None
    datatype = uniform if values.dtype.kind == "O" else _KINDS.get(values.dtype.kind)
    if datatype is None:
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ModelError(f"{about} are of type {found}, expected all strings, all integers, all floats or all booleans")
    return datatype

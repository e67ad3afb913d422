"""Models of trees whose graphs are written here: the boosters, alone or behind scikit-learn's transformers."""

from __future__ import annotations

from typing import Any, Callable, Dict, Sequence

import numpy as np

from pilotlight_cli.converting.child import catboost, forests, lightgbm, xgboost
from pilotlight_cli.converting.child.errors import CannotConvert
from pilotlight_cli.converting.child.models import Trees

Predict = Callable[[Any], Dict[str, Any]]


def read(model: Any) -> Trees | None:  # noqa: ANN401 - the libraries may be untyped
    """Read the trees of a fitted model; None if it is of another kind. Raise CannotConvert."""
    library = type(model).__module__.partition(".")[0]
    name = type(model).__name__
    if library == "xgboost":
        return xgboost.read(model) if name == "Booster" else _xgboost(model)
    if library == "lightgbm":
        return lightgbm.read(model if name == "Booster" else model.booster_)
    if library == "catboost":
        return catboost.read(model)
    return forests.read(model)


def _xgboost(model: Any) -> Trees:  # noqa: ANN401
    missing = getattr(model, "missing", np.nan)
    if missing is not None and not np.isnan(missing):
        raise CannotConvert(f"the model takes {missing} as missing, expected NaN; train it with missing=nan")
    booster = model.get_booster()
    try:
        best = int(model.best_iteration) + 1
    except AttributeError:  # trained without early stopping
        best = 0
    return xgboost.read(booster, best)


def predictor(model: Any, trees: Trees) -> tuple[Sequence[Any], Predict]:  # noqa: ANN401
    """Return the classes of a bare Booster, and its predictions as outputs."""
    if type(model).__module__.startswith("xgboost"):
        from xgboost import DMatrix

        def answer(rows: Any) -> Any:  # noqa: ANN401
            kinds = model.feature_types
            data = DMatrix(
                rows, feature_names=model.feature_names, feature_types=kinds, enable_categorical="c" in (kinds or ())
            )
            return model.predict(data)

    else:
        answer = model.predict

    def predict(rows: Any) -> dict[str, Any]:  # noqa: ANN401
        found = np.asarray(answer(rows))
        if not trees.labels:
            return {"prediction": found}
        if found.ndim == 1 and trees.labels == 2:
            found = np.stack([1 - found, found], axis=1)
        if found.ndim == 1:  # multi:softmax answers with labels alone
            return {"label": found.astype(np.int64)}
        return {"label": found.argmax(axis=1), "probabilities": found}

    return list(range(trees.labels)), predict

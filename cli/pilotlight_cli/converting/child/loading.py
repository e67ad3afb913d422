"""Loading a model file with its own library. Loading a pickle runs what it names: the user has agreed to that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pilotlight_cli.converting.child.errors import CannotConvert


def load(path: Path, form: str) -> Any:  # noqa: ANN401 - any model
    """Load the model. Raise CannotConvert."""
    try:
        return _LOADERS[form](path)
    except CannotConvert:
        raise
    except Exception as error:  # a library, or what a pickle runs, may raise anything
        raise CannotConvert(
            f"{path.name} cannot be loaded: {type(error).__name__}: {error}; if it was saved by another version, name "
            "that with --with PACKAGE==VERSION"
        ) from error


def _pickle(path: Path) -> Any:  # noqa: ANN401
    import joblib

    return _model(joblib.load(path), path)


def _model(found: Any, path: Path) -> Any:  # noqa: ANN401
    if hasattr(found, "predict"):
        return found
    raise CannotConvert(
        f"{path.name} holds a {type(found).__name__}, expected a model with predict; save the model or the pipeline "
        "alone"
    )


def _skops(path: Path) -> Any:  # noqa: ANN401
    import skops.io

    names = skops.io.get_untrusted_types(file=path)
    return _model(skops.io.load(path, trusted=names), path)


def _xgboost(path: Path) -> Any:  # noqa: ANN401
    from xgboost import Booster

    return Booster(model_file=str(path))


def _lightgbm(path: Path) -> Any:  # noqa: ANN401
    from lightgbm import Booster

    return Booster(model_file=str(path))


def _catboost(path: Path) -> Any:  # noqa: ANN401
    from catboost import CatBoost, CatBoostClassifier

    model = CatBoost().load_model(str(path))
    if len(model.classes_):
        return CatBoostClassifier().load_model(str(path))
    loss = str(model.get_all_params().get("loss_function", ""))
    return _regressor(loss).load_model(str(path))


def _regressor(loss: str) -> Any:  # noqa: ANN401
    """Return the class whose `predict` answers as the trained model's: with the mean, not its logarithm."""
    from catboost import CatBoost, CatBoostRegressor

    return CatBoostRegressor(loss_function=loss) if loss.partition(":")[0] in ("Poisson", "Tweedie") else CatBoost()


_LOADERS = {
    "catboost": _catboost,
    "lightgbm": _lightgbm,
    "pickle": _pickle,
    "skops": _skops,
    "xgboost": _xgboost,
}

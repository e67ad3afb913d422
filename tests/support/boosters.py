"""Fitted models by library, for tests of what converts to ONNX: functions that train them, by name.

Nothing is imported before one is called: each library is installed in an environment of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Model = Any
WIDTH = 8


def data(classes: int = 2, rows: int = 600) -> tuple[Any, Any]:
    """Return a table of numbers and the classes of its rows."""
    random = np.random.RandomState(classes)
    table = random.normal(size=(rows, WIDTH)).round(3)
    score = table[:, 0] + table[:, 1] * table[:, 2] + np.abs(table[:, 3]) + random.normal(scale=0.3, size=rows)
    return table, np.digitize(score, np.quantile(score, np.arange(1, classes) / classes))


def values(*, positive: bool = False) -> tuple[Any, Any]:
    """Return a table of numbers and a number for each of its rows."""
    table, _ = data()
    target = 3 * table[:, 0] + table[:, 1] * table[:, 2] + np.abs(table[:, 4])
    return table, np.exp(target / 4).round(1) + 0.1 if positive else target


def with_gaps(table: Any) -> Any:
    """Return a table in which a tenth is missing."""
    return np.where(np.random.RandomState(1).uniform(size=table.shape) < 0.1, np.nan, table)


def with_codes() -> tuple[Any, Any]:
    """Return a table whose first two columns are codes of categories."""
    table, target = data(3)
    random = np.random.RandomState(2)
    table[:, 0], table[:, 1] = random.randint(0, 12, len(table)), random.randint(0, 40, len(table))
    return table, (target + table[:, 0].astype(int) % 3) % 3


def frame() -> tuple[Any, Any]:
    """Return a data frame with numbers, some missing, and strings."""
    import pandas as pd

    table, target = data()
    columns = pd.DataFrame(with_gaps(table), columns=[f"size {index}" for index in range(WIDTH)])
    random = np.random.RandomState(3)
    columns["plan"] = random.choice(["free", "solo", "team"], len(table)).astype(object)
    return columns, (target + (columns["plan"] == "team")) % 2


def prepared(final: Model) -> Model:
    """Return a pipeline of an imputer, a scaler and a one-hot encoder before a model."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = [f"size {index}" for index in range(WIDTH)]
    encoded = make_column_transformer((numbers, columns), (OneHotEncoder(handle_unknown="ignore"), ["plan"]))
    return make_pipeline(encoded, final).fit(*frame())


def scaled(final: Model, *, gaps: bool = False) -> Model:
    """Return a pipeline of a scaler and a model of numbers, of which some may be missing."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table, target = data()
    return make_pipeline(StandardScaler(), final).fit(with_gaps(table) if gaps else table, target)


def named(final: Model) -> Model:
    """Return a model that was trained on a data frame, with names for its classes if it takes them."""
    import pandas as pd

    table, target = data(3)
    names = target if "xgboost" in type(final).__module__ else np.array(["setosa", "versicolor", "virginica"])[target]
    return final.fit(pd.DataFrame(table, columns=[f"leaf_{index}" for index in range(WIDTH)]), names)


def xgb(kind: str = "XGBClassifier", **options: Any) -> Model:
    import xgboost

    return getattr(xgboost, kind)(**{"n_estimators": 20, "n_jobs": 1, "random_state": 0} | options)


def lgbm(kind: str = "LGBMClassifier", **options: Any) -> Model:
    import lightgbm

    return getattr(lightgbm, kind)(**{"n_estimators": 20, "n_jobs": 1, "random_state": 0, "verbose": -1} | options)


def cat(kind: str = "CatBoostClassifier", **options: Any) -> Model:
    import catboost

    quiet = {"verbose": 0, "allow_writing_files": False, "thread_count": 1, "random_seed": 0}
    return getattr(catboost, kind)(**{"iterations": 30, **quiet} | options)


def _missing(model: Model) -> Model:
    table, target = data()
    return model.fit(with_gaps(table), target)


def _early(model: Model) -> Model:
    table, target = data()
    return model.fit(table[:400], target[:400], eval_set=[(table[400:], target[400:])])


def _two_values() -> tuple[Any, Any]:
    table, target = values()
    return table, np.stack([target, -target], axis=1)


def _xgboost_regressor(objective: str) -> Callable[[], Model]:
    positive = objective != "reg:absoluteerror"
    return lambda: xgb("XGBRegressor", objective=objective).fit(*values(positive=positive))


def _lightgbm_regressor(objective: str) -> Callable[[], Model]:
    return lambda: lgbm("LGBMRegressor", objective=objective).fit(*values(positive=True))


XGBOOST: dict[str, Callable[[], Model]] = {
    "two classes": lambda: xgb().fit(*data()),
    "three classes": lambda: xgb().fit(*data(3)),
    "missing values": lambda: _missing(xgb()),
    "named": lambda: named(xgb()),
    "dart": lambda: xgb(booster="dart", rate_drop=0.2).fit(*data()),
    "random forest": lambda: xgb("XGBRFClassifier").fit(*data()),
    "stopped early": lambda: _early(xgb(n_estimators=300, early_stopping_rounds=3)),
    "categories as codes": lambda: xgb(enable_categorical=True, feature_types=["c", "c", *"q" * 6]).fit(*with_codes()),
    "regressor": lambda: xgb("XGBRegressor").fit(*values()),
    "two outputs": lambda: xgb("XGBRegressor").fit(*_two_values()),
    "poisson": _xgboost_regressor("count:poisson"),
    "gamma": _xgboost_regressor("reg:gamma"),
    "absolute error": _xgboost_regressor("reg:absoluteerror"),
    "booster": lambda: xgb().fit(*data()).get_booster(),
    "booster of three classes": lambda: xgb().fit(*data(3)).get_booster(),
    "behind a scaler": lambda: scaled(xgb()),
    "missing values behind a scaler": lambda: scaled(xgb(), gaps=True),
    "behind columns": lambda: prepared(xgb()),
}

LIGHTGBM: dict[str, Callable[[], Model]] = {
    "two classes": lambda: lgbm().fit(*data()),
    "three classes": lambda: lgbm().fit(*data(3)),
    "missing values": lambda: _missing(lgbm()),
    "named": lambda: named(lgbm()),
    "zero as missing": lambda: _missing(lgbm(zero_as_missing=True)),
    "dart": lambda: lgbm(boosting_type="dart").fit(*data()),
    "random forest": lambda: lgbm(boosting_type="rf", bagging_freq=1, bagging_fraction=0.5).fit(*data()),
    "one against all": lambda: lgbm(objective="multiclassova").fit(*data(3)),
    "categories as codes": lambda: lgbm().fit(*with_codes(), categorical_feature=[0, 1]),
    "regressor": lambda: lgbm("LGBMRegressor").fit(*values()),
    "square root": lambda: lgbm("LGBMRegressor", reg_sqrt=True).fit(*values()),
    "poisson": _lightgbm_regressor("poisson"),
    "tweedie": _lightgbm_regressor("tweedie"),
    "quantile": _lightgbm_regressor("quantile"),
    "booster": lambda: lgbm().fit(*data()).booster_,
    "behind a scaler": lambda: scaled(lgbm()),
    "missing values behind a scaler": lambda: scaled(lgbm(), gaps=True),
    "behind columns": lambda: prepared(lgbm()),
}

CATBOOST: dict[str, Callable[[], Model]] = {
    "two classes": lambda: cat().fit(*data()),
    "three classes": lambda: cat().fit(*data(3)),
    "missing values": lambda: _missing(cat()),
    "missing values as the largest": lambda: _missing(cat(nan_mode="Max")),
    "named": lambda: named(cat()),
    "one against all": lambda: cat(loss_function="MultiClassOneVsAll").fit(*data(3)),
    "trees that grow by leaves": lambda: cat(grow_policy="Lossguide").fit(*data()),
    "regressor": lambda: cat("CatBoostRegressor").fit(*values()),
    "poisson": lambda: cat("CatBoostRegressor", loss_function="Poisson").fit(*values(positive=True)),
    "two outputs": lambda: cat("CatBoostRegressor", loss_function="MultiRMSE").fit(*_two_values()),
    "behind a scaler": lambda: scaled(cat()),
    "missing values behind a scaler": lambda: scaled(cat(), gaps=True),
    "behind columns": lambda: prepared(cat()),
}

FACTORIES = {"xgboost": XGBOOST, "lightgbm": LIGHTGBM, "catboost": CATBOOST}


def _lightgbm_frame() -> Model:
    columns, target = frame()
    return lgbm().fit(columns.astype({"plan": "category"}), target)


def _xgboost_frame() -> Model:
    columns, target = frame()
    return xgb(enable_categorical=True).fit(columns.astype({"plan": "category"}), target)


def _catboost_frame() -> Model:
    columns, target = frame()
    return cat(cat_features=["plan"]).fit(columns, target)


# What cannot be converted, with a part of the sentence that says why.
REFUSED: dict[str, dict[str, tuple[Callable[[], Model], str]]] = {
    "xgboost": {
        "linear": (lambda: xgb(booster="gblinear").fit(*data()), "gblinear, expected trees"),
        "categories of a data frame": (_xgboost_frame, "the columns plan are categories of a data frame"),
        "vectors in leaves": (
            lambda: xgb("XGBRegressor", multi_strategy="multi_output_tree").fit(*_two_values()),
            "several outputs in a leaf",
        ),
        "another missing value": (lambda: xgb(missing=-1.0).fit(*data()), "takes -1.0 as missing"),
    },
    "lightgbm": {
        "linear leaves": (lambda: lgbm(linear_tree=True).fit(*data()), "linear models in their leaves"),
        "categories of a data frame": (_lightgbm_frame, "columns of type 'category'"),
    },
    "catboost": {"categories": (_catboost_frame, "categorical features")},
}

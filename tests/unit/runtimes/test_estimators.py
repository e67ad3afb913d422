from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from estimators import (
    COLUMNS,
    FLATS,
    POINTS,
    REGRESSOR,
    VALUES,
    columns,
    matrix,
    predict,
)
from pilotlight.runtimes.sklearn import serve


def encoders(remainder: Any = "drop") -> ColumnTransformer:
    return ColumnTransformer(
        [
            (
                "city",
                make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
                ["city"],
            ),
            ("note", CountVectorizer(), "note"),
            ("area", FunctionTransformer(np.log1p), ["area"]),
        ],
        remainder=remainder,
    )


FRAMED = {
    "columns by name": lambda: make_pipeline(encoders(), Ridge()),
    "a remainder that passes": lambda: make_pipeline(encoders("passthrough"), Ridge()),
    "a remainder that is scaled": lambda: make_pipeline(encoders(StandardScaler()), Ridge()),
    "a search": lambda: GridSearchCV(make_pipeline(encoders(), Ridge()), {"ridge__alpha": [1.0, 2.0]}, cv=2),
    "a transformed target": lambda: TransformedTargetRegressor(
        make_pipeline(encoders(), Ridge()), func=np.arcsinh, inverse_func=np.sinh
    ),
    "a union": lambda: make_pipeline(make_union(encoders(), encoders(StandardScaler())), Ridge()),
    "a slice of names": lambda: make_pipeline(
        ColumnTransformer([("o", OrdinalEncoder(), slice("city", "city")), ("n", "passthrough", ["floor", "area"])]),
        RandomForestRegressor(5, n_jobs=2),
    ),
    "chosen by type": lambda: make_pipeline(
        ColumnTransformer([("n", StandardScaler(), make_column_selector(dtype_include="number"))]), Ridge()
    ),
    "transformers within transformers": lambda: make_pipeline(
        ColumnTransformer(
            [("a", ColumnTransformer([("o", OneHotEncoder(), ["city"])], remainder="passthrough"), ["floor", "city"])]
        ),
        Ridge(),
    ),
    "frames between the steps": lambda: make_pipeline(
        ColumnTransformer(
            [("o", OneHotEncoder(sparse_output=False), ["city"]), ("p", "passthrough", ["area", "floor"])],
            verbose_feature_names_out=False,
        ),
        ColumnTransformer([("s", StandardScaler(), ["floor"])], remainder="passthrough"),
        Ridge(),
    ).set_output(transform="pandas"),
    "boosting on categories": lambda: make_pipeline(
        ColumnTransformer([("o", OrdinalEncoder(), ["city"]), ("p", "passthrough", ["area"])]),
        HistGradientBoostingRegressor(max_iter=5, categorical_features=[0]),
    ),
}


@pytest.mark.parametrize("name", FRAMED)
def test_a_model_fitted_on_a_frame_answers_on_arrays(name: str, tmp_path: Path) -> None:
    estimator = FRAMED[name]().fit(FLATS, VALUES)
    found = predict(tmp_path, estimator, COLUMNS, columns(FLATS))
    np.testing.assert_allclose(found, estimator.predict(FLATS), rtol=1e-12)


def test_a_model_fitted_on_a_frame_of_numbers_answers_on_a_matrix(tmp_path: Path) -> None:
    frame = pd.DataFrame(POINTS, columns=["a", "b", "c"])
    columns_by_name = ColumnTransformer([("s", StandardScaler(), ["c", "a"])], remainder="passthrough")
    estimator = make_pipeline(columns_by_name, Ridge()).fit(frame, VALUES)
    found = predict(tmp_path, estimator, REGRESSOR, [matrix(POINTS)])
    np.testing.assert_allclose(found, estimator.predict(frame), rtol=1e-12)


def test_only_the_warning_about_names_is_silenced(tmp_path: Path) -> None:
    frame = pd.DataFrame(POINTS, columns=["a", "b", "c"])
    noisy = FunctionTransformer(np.log, check_inverse=False)  # of numbers below zero
    estimator = make_pipeline(StandardScaler(), noisy, SimpleImputer(), Ridge())
    with np.errstate(invalid="ignore"):
        estimator.fit(frame, VALUES)
    with pytest.warns(RuntimeWarning, match="invalid value") as caught:
        predict(tmp_path, estimator, REGRESSOR, [matrix(POINTS)])
    assert not any("feature names" in str(warning.message) for warning in caught)


def test_predictions_start_no_processes(tmp_path: Path) -> None:
    estimator = RandomForestRegressor(5, n_jobs=-1).fit(POINTS, VALUES)
    serve(estimator, REGRESSOR)
    assert estimator.n_jobs is None

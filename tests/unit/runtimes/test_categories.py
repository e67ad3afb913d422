"""What a caller is told about a value that an encoder does not know, and that missing values arrive as NaN."""

from __future__ import annotations

from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from estimators import NUMBER, store
from pilotlight import runtimes
from pilotlight.codec.decode import read_instances
from pilotlight.errors import InvalidRequest
from pilotlight.model.signature import Input, Signature
from pilotlight.model.tensor import BYTES, FP64

ROWS = 30
FLATS = pd.DataFrame(
    {
        "floor": [float(row % 3) for row in range(ROWS)],
        "city": [("Bath", "Ely", "Hull")[row % 3] for row in range(ROWS)],
        "heating": [("gas", "oil")[row % 2] for row in range(ROWS)],
    }
)
RENTS = np.arange(ROWS, dtype=float)
COLUMNS = Signature(
    (
        Input("floor", FP64, (-1, 1), "features", missing=True),
        Input("city", BYTES, (-1, 1), "features", missing=True),
        Input("heating", BYTES, (-1, 1), "features", missing=True),
    ),
    (NUMBER,),
)
MATRIX = Signature((Input("x", FP64, (-1, 2), "features", ("floor", "rooms"), missing=True),), (NUMBER,))

ENCODED = {
    "a column transformer": lambda encoder: ColumnTransformer([("words", encoder, ["city", "heating"])]),
    "one encoder a column": lambda encoder: ColumnTransformer(
        [("floor", "passthrough", ["floor"]), ("heating", encoder, ["heating"]), ("city", encoder, ["city"])]
    ),
    "an encoder of all columns": lambda encoder: encoder,
    "a pipeline within": lambda encoder: ColumnTransformer(
        [("words", Pipeline([("e", encoder)]), ["heating", "city"])]
    ),
}
ENCODERS = {"one-hot": OneHotEncoder(), "ordinal": OrdinalEncoder()}


def served(folder: Path, estimator: Any, signature: Signature) -> Any:
    return runtimes.load(store(folder, estimator, signature), folder, 1)


def refused(model: Any, signature: Signature, instances: list[Any]) -> str:
    with pytest.raises(InvalidRequest) as caught:
        model.predict(read_instances(signature, instances, "$"))
    assert isinstance(caught.value.__cause__, ValueError)
    return caught.value.message


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize("encoded", ENCODED.values(), ids=ENCODED)
def test_an_unknown_category_is_named_with_its_feature(encoded: Any, encoder: Any, tmp_path: Path) -> None:
    model = served(tmp_path, make_pipeline(encoded(encoder), Ridge()).fit(FLATS, RENTS), COLUMNS)
    for row, value, feature in (
        ([1.0, "Narnia", "oil"], '"Narnia"', "city"),
        ([1.0, "Bath", 'wood\'s "end"'], '"wood\'s \\"end\\""', "heating"),
    ):
        told = refused(model, COLUMNS, [[0.0, "Bath", "gas"], row])
        assert told == f'the model does not know the value {value} of the feature "{feature}"'
    none = refused(model, COLUMNS, [[1.0, None, "oil"]])
    assert none == 'the model does not know a missing value of the feature "city"'


def test_a_category_that_several_features_have_is_named_without_one(tmp_path: Path) -> None:
    model = served(tmp_path, make_pipeline(OneHotEncoder(), Ridge()).fit(FLATS, RENTS), COLUMNS)
    told = refused(model, COLUMNS, [[1.0, "Bath", "Narnia"], [1.0, "Narnia", "oil"]])
    assert told == 'the model does not know the value "Narnia"'


def test_a_number_that_is_no_known_category_is_named(tmp_path: Path) -> None:
    rows = np.column_stack([np.arange(ROWS) % 3, np.arange(ROWS) % 4]).astype(float)
    model = served(tmp_path, make_pipeline(OneHotEncoder(), Ridge()).fit(rows, RENTS), MATRIX)
    assert refused(model, MATRIX, [[1, 7]]) == 'the model does not know the value 7.0 of the feature "rooms"'
    assert refused(model, MATRIX, [[None, 1]]) == 'the model does not know a missing value of the feature "floor"'


@pytest.mark.parametrize(
    "error",
    [
        "Found unknown categories ['NARNIA'] in column 0 during transform",
        "Found unknown categories [object at 0x7f] in column 0 during transform",
        "Found unknown categories ['" + "Narnia" * 2000 + "'] in column 0 during transform",
        "Input X contains NaN, at /var/task/model.pkl",
    ],
)
def test_nothing_that_the_caller_did_not_send_is_told(error: str, tmp_path: Path) -> None:
    model = served(tmp_path, make_pipeline(OneHotEncoder(), Ridge()).fit(FLATS, RENTS), COLUMNS)

    def fail(_rows: object) -> None:
        raise ValueError(error)

    model._estimator.predict = fail
    assert refused(model, COLUMNS, [[1.0, "Narnia", "oil"]]) == "the model does not accept these values"


def test_missing_values_are_nan_for_a_pipeline_as_in_a_frame(tmp_path: Path) -> None:
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    columns = ColumnTransformer([("words", words, ["city", "heating"]), ("floor", SimpleImputer(), ["floor"])])
    gaps = FLATS.mask(np.arange(ROWS * 3).reshape(ROWS, 3) % 7 == 0, nan)
    estimator = make_pipeline(columns, Ridge()).fit(gaps, RENTS)
    model = served(tmp_path, estimator, COLUMNS)
    instances = gaps.astype(object).where(gaps.notna(), None).to_numpy().tolist()
    assert sum(row.count(None) for row in instances) > 10
    (found,) = model.predict(read_instances(COLUMNS, instances, "$"))
    assert found.values() == pytest.approx(estimator.predict(gaps).tolist())


def test_a_missing_number_is_nan_for_trees_that_take_it(tmp_path: Path) -> None:
    rows = np.column_stack([np.arange(ROWS) % 3, np.arange(ROWS) % 4]).astype(float)
    rows[::4, 0] = nan
    estimator = HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=2).fit(rows, RENTS)
    instances = [[None if value != value else value for value in row] for row in rows.tolist()]  # noqa: PLR0124
    (found,) = served(tmp_path, estimator, MATRIX).predict(read_instances(MATRIX, instances, "$"))
    assert found.values() == estimator.predict(rows).tolist()

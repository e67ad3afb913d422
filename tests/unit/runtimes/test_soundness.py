from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor, StackingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import make_scorer, r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.tree import DecisionTreeRegressor

from estimators import (
    CLASSIFIER,
    FLATS,
    NAMES,
    POINTS,
    REGRESSOR,
    VALUES,
    matrix,
    predict,
    store,
)
from pilotlight import runtimes
from pilotlight.errors import UnsafePickle
from pilotlight.runtimes import soundness
from pilotlight.runtimes.estimators import walk
from pilotlight.runtimes.sklearn import serve


def forged_tree(**changes: Any) -> Any:
    """A regression tree with one field of its nodes changed."""
    estimator = DecisionTreeRegressor(max_depth=3).fit(POINTS, VALUES)
    state = estimator.tree_.__getstate__()
    for field, value in changes.items():
        if field == "node_count":
            state[field] = value
        else:
            state["nodes"][field][0] = value
    estimator.tree_.__setstate__(state)
    return estimator


@pytest.mark.parametrize("form", ["pickle", "skops"])
@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("left_child", 10**6, "point outside"),
        ("right_child", -5, "point outside"),
        ("left_child", 0, "point outside"),
        ("feature", 3, "features that are not there"),
        ("feature", -1, "features that are not there"),
        ("node_count", 10**6, "1000000 nodes"),
    ],
)
def test_a_tree_that_leads_out_of_itself_is_refused(
    form: str, field: str, value: int, why: str, tmp_path: Path
) -> None:
    estimator = forged_tree(**{field: value})
    if field == "node_count":  # it cannot even be saved again
        with pytest.raises(UnsafePickle, match=why):
            serve(estimator, REGRESSOR)
        return
    with pytest.raises(UnsafePickle, match=why):
        runtimes.load(store(tmp_path, estimator, REGRESSOR, form), tmp_path, 1)


def test_a_tree_of_other_features_than_its_model_is_refused() -> None:
    estimator = DecisionTreeRegressor().fit(POINTS, VALUES)
    estimator.n_features_in_ = 2
    with pytest.raises(UnsafePickle, match="a tree of 3 features, where the model has 2"):
        serve(estimator, REGRESSOR)


def test_a_forest_with_a_foreign_tree_is_refused() -> None:
    estimator = RandomForestRegressor(3).fit(POINTS, VALUES)
    estimator.estimators_[1] = RandomForestRegressor(1).fit(np.c_[POINTS, POINTS], VALUES).estimators_[0]
    with pytest.raises(UnsafePickle, match="a tree of 6 features"):
        serve(estimator, REGRESSOR)


@pytest.mark.parametrize(("field", "value"), [("left", 10**6), ("feature_idx", 7), ("bitset_idx", 9)])
def test_a_boosted_tree_that_leads_out_of_itself_is_refused(field: str, value: int) -> None:
    categories = np.c_[POINTS[:, 0] > 0, POINTS[:, 1:]]
    estimator = HistGradientBoostingRegressor(max_iter=2, categorical_features=[0]).fit(
        categories, VALUES * categories[:, 0]
    )
    nodes = estimator._predictors[0][0].nodes
    nodes[field][nodes["is_leaf"] == 0] = value
    nodes["is_categorical"] = 1
    with pytest.raises(UnsafePickle, match="TreePredictor holds"):
        serve(estimator, REGRESSOR)


def test_neighbours_that_are_not_there_are_refused() -> None:
    estimator = KNeighborsRegressor(algorithm="kd_tree").fit(POINTS, VALUES)
    state = list(estimator._tree.__getstate__())
    state[1] = state[1] + 1000
    estimator._tree.__setstate__(tuple(state))
    with pytest.raises(UnsafePickle, match="KDTree holds points that are not there"):
        serve(estimator, REGRESSOR)


@pytest.mark.parametrize("form", ["csr", "coo"])
def test_a_sparse_matrix_that_leads_out_of_itself_is_refused(form: str) -> None:
    estimator = Ridge().fit(POINTS, VALUES)
    estimator.extra_ = getattr(scipy.sparse, f"{form}_matrix")(np.eye(3))
    indices = estimator.extra_.indices if form == "csr" else estimator.extra_.coords[0]
    indices[0] = 1000
    with pytest.raises(UnsafePickle, match="indices that do not fit"):
        serve(estimator, REGRESSOR)


def test_a_vectorizer_that_would_open_files_is_refused() -> None:
    estimator = make_pipeline(CountVectorizer(), Ridge()).fit(FLATS["note"], VALUES)
    estimator[0].input = "filename"
    with pytest.raises(UnsafePickle, match="opens the files that its texts name"):
        serve(estimator, REGRESSOR)


def test_a_method_that_does_not_predict_is_never_called() -> None:
    estimator = StackingClassifier([("a", LogisticRegression())], cv=2).fit(POINTS, NAMES)
    estimator.stack_method_ = ["__getattribute__"]
    with pytest.raises(UnsafePickle, match="the method '__getattribute__'"):
        serve(estimator, CLASSIFIER)


def test_a_class_stands_nowhere_where_a_function_is_called() -> None:
    estimator = make_pipeline(FunctionTransformer(np.log1p), Ridge()).fit(np.abs(POINTS), VALUES)
    estimator[0].func = np.ndarray
    with pytest.raises(UnsafePickle, match="FunctionTransformer holds the class ndarray as 'func'"):
        serve(estimator, REGRESSOR)


def test_a_function_that_rebuilds_objects_is_never_called() -> None:
    estimator = make_pipeline(FunctionTransformer(np.log1p), Ridge()).fit(np.abs(POINTS), VALUES)
    estimator[0].func = np.ndarray.__reduce__(POINTS)[0]
    with pytest.raises(UnsafePickle, match="the function _reconstruct as 'func'"):
        serve(estimator, REGRESSOR)


def test_the_type_that_an_encoder_gives_is_a_class_and_fine(tmp_path: Path) -> None:
    estimator = make_pipeline(OneHotEncoder(dtype=np.float32), Ridge()).fit(np.round(POINTS), VALUES)
    assert len(predict(tmp_path, estimator, REGRESSOR, [matrix(np.round(POINTS))])) == 60


def test_a_search_may_refer_to_a_function_that_scores(tmp_path: Path) -> None:
    search = GridSearchCV(Ridge(), {"alpha": [1.0, 2.0]}, cv=2, scoring=make_scorer(r2_score)).fit(POINTS, VALUES)
    assert len(predict(tmp_path, search, REGRESSOR, [matrix(POINTS)])) == 60


def test_trees_of_other_kinds_are_left_alone() -> None:
    estimator = KernelDensity().fit(POINTS)
    soundness.check(walk(estimator))

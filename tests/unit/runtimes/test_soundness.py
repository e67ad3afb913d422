from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import scipy.sparse
import skops.io
from sklearn.cluster import BisectingKMeans, KMeans
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestRegressor,
    StackingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import make_scorer, r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeRegressor

import revealing
from estimators import (
    CLASSIFIER,
    FLATS,
    MATRIX,
    NAMES,
    POINTS,
    REGRESSOR,
    VALUES,
    describe,
    matrix,
    predict,
    store,
    with_schema,
)
from pilotlight import runtimes
from pilotlight.errors import ModelError, UnsafePickle
from pilotlight.runtimes import soundness
from pilotlight.runtimes.estimators import walk
from pilotlight.runtimes.sklearn import serve
from pilotlight.signature import Output, Signature
from pilotlight.tensor import INT64


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


def test_a_path_to_importances_leads_through_public_attributes() -> None:
    estimator = make_pipeline(SelectFromModel(Ridge()), Ridge()).fit(POINTS, VALUES)
    estimator[0].importance_getter = "coef_.__class__"
    with pytest.raises(UnsafePickle, match=r"the path 'coef_.__class__' to importances"):
        serve(estimator, REGRESSOR)


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


# --- addresses


@pytest.mark.parametrize("holder", revealing.HOLDERS)
def test_the_libraries_themselves_believe_an_address(holder: str) -> None:
    data = revealing.files(holder)
    loaded = [pickle.loads(data["pickle"]), joblib.load(BytesIO(data["joblib"]))]
    loaded.append(skops.io.loads(data["skops"], trusted=skops.io.get_untrusted_types(data=data["skops"])))
    assert [estimator.predict(POINTS[:1]).item() for estimator in loaded] == [revealing.CANARY.item()] * 3


@pytest.mark.parametrize("form", ["pickle", "skops"])
@pytest.mark.parametrize("holder", revealing.HOLDERS)
def test_a_file_that_holds_an_address_is_refused(holder: str, form: str, tmp_path: Path) -> None:
    described = describe(tmp_path, revealing.files(holder)[form], REGRESSOR, form)
    with pytest.raises(UnsafePickle, match="__array_interface__"):
        runtimes.load(described, tmp_path, 1)


@pytest.mark.parametrize("holder", revealing.HOLDERS)
def test_a_loaded_model_that_holds_an_address_is_refused(holder: str) -> None:
    with pytest.raises(UnsafePickle, match="__array_interface__"):
        serve(revealing.model(holder), REGRESSOR)


@pytest.mark.parametrize(
    ("why", "before", "after"),
    [
        ("no scalar", '"content": "1.0"', '"content": "{\\"__array_interface__\\": 1}"'),
        ("a ListNode of builtins.dict", '"__loader__": "DictNode"', '"__loader__": "ListNode"'),
        ("for the state of an object", '"__loader__": "DictNode"', '"__loader__": "SliceNode"'),
        ("an attribute __array__", '"alpha"', '"__array__"'),
    ],
)
def test_a_skops_file_whose_states_are_forged_is_refused(why: str, before: str, after: str, tmp_path: Path) -> None:
    data = with_schema(skops.io.dumps(Ridge().fit(POINTS, VALUES)), lambda schema: schema.replace(before, after))
    with pytest.raises(UnsafePickle, match=why):
        runtimes.load(describe(tmp_path, data, REGRESSOR, "skops", allowed=()), tmp_path, 1)


def test_a_skops_state_that_is_another_object_by_its_id_is_checked_as_such(tmp_path: Path) -> None:
    estimator = Ridge().fit(POINTS, VALUES)
    estimator.words_ = {"__array_interface__": 1}  # a dictionary's keys may have any name; an object's state may not

    def alias(text: str) -> str:
        schema = json.loads(text)
        schema["content"]["__id__"] = schema["content"]["content"]["words_"]["__id__"]
        return json.dumps(schema)

    data = skops.io.dumps(estimator)
    assert runtimes.load(describe(tmp_path, data, REGRESSOR, "skops"), tmp_path, 1)
    with pytest.raises(UnsafePickle, match="an attribute __array_interface__"):
        runtimes.load(describe(tmp_path, with_schema(data, alias), REGRESSOR, "skops"), tmp_path, 1)


def test_a_skops_file_rebuilds_nothing_by_a_function(tmp_path: Path) -> None:
    data = with_schema(skops.io.dumps(Ridge()), lambda schema: schema.replace('"Ridge"', '"newObj"'))
    with pytest.raises(UnsafePickle, match="newObj, which rebuilds objects"):
        runtimes.load(
            describe(tmp_path, data, REGRESSOR, "skops", allowed=("sklearn.linear_model._ridge.newObj",)), tmp_path, 1
        )


# --- lengths that compiled code believes


def wide(estimator: Any) -> Any:
    """The model, which says that it takes more features than its parts are made for."""
    estimator.n_features_in_ = 3000
    return estimator


def altered(estimator: Any, **changes: Any) -> Any:
    """The model with some of its fields changed."""
    vars(estimator).update(changes)
    return estimator


def support_vectors(**changes: Any) -> Any:
    return altered(SVC().fit(POINTS, NAMES), **changes)


def splined() -> Any:
    estimator = make_pipeline(SplineTransformer(), Ridge()).fit(POINTS, VALUES)
    for spline in estimator[0].bsplines_:
        spline.c = spline.c[:1]
    return estimator


def bisected() -> Any:
    estimator = BisectingKMeans(3).fit(POINTS)
    estimator._bisecting_tree.left.center = estimator._bisecting_tree.left.center[:1]
    return estimator


def weighted() -> Any:
    weights = {"w": np.ones(3)}
    estimator = KNeighborsRegressor(algorithm="ball_tree", p=3, metric_params=weights).fit(POINTS, VALUES)
    estimator._tree.__getstate__()[11].__setstate__((3.0, np.ones(1), np.ones((1, 1))))
    return estimator


def drawing(generator: Any, place: str) -> Any:
    state = generator.state
    (state if place == "buffer_pos" else state["state"])[place] = 100_000
    generator.state = state
    return altered(Ridge().fit(POINTS, VALUES), random_state=np.random.Generator(generator))


def uncategorical() -> Any:
    kinds = np.arange(60) % 3
    estimator = HistGradientBoostingRegressor(max_iter=2, categorical_features=[0])
    estimator.fit(np.c_[kinds, POINTS[:, 1:]], (kinds == 1) * 10.0)
    estimator._bin_mapper.is_categorical_[:] = 0
    return estimator


LENGTHS: dict[str, Callable[[], Any]] = {
    "cluster centres": lambda: wide(KMeans(3, n_init=1).fit(POINTS)),
    "centres without a width": lambda: altered(KMeans(3, n_init=1).fit(POINTS), n_features_in_=None),
    "neighbours": lambda: wide(KNeighborsRegressor(algorithm="brute").fit(POINTS, VALUES)),
    "a bisected centre": bisected,
    "a distance's weights": weighted,
    "support vectors": lambda: support_vectors(support_vectors_=np.ones((40, 1))),
    "coefficients": lambda: support_vectors(_dual_coef_=np.ones((1, 1))),
    "intercepts": lambda: support_vectors(_intercept_=np.array([])),
    "counts of support vectors": lambda: support_vectors(_n_support=np.array([5000, 5000], np.int32)),
    "trees of an isolation forest": lambda: altered(
        IsolationForest(n_estimators=3, max_features=2).fit(POINTS), _max_features=3
    ),
    "a spline's coefficients": splined,
    "a twister's place": lambda: drawing(np.random.MT19937(1), "pos"),
    "a Philox generator's place": lambda: drawing(np.random.Philox(1), "buffer_pos"),
    "categories": uncategorical,
}


@pytest.mark.parametrize("what", LENGTHS)
def test_lengths_that_do_not_fit_are_refused(what: str) -> None:
    with pytest.raises(UnsafePickle, match="holds"):
        serve(LENGTHS[what](), REGRESSOR)


def test_first_predictions_of_another_width_are_refused_when_they_are_made(tmp_path: Path) -> None:
    estimator = GradientBoostingClassifier(n_estimators=2).fit(POINTS, np.arange(60) % 3)
    signature = Signature((MATRIX,), (Output("label", INT64, (-1,), "label"),), (0, 1, 2))
    assert len(predict(tmp_path, estimator, signature, [matrix(POINTS)])) == 60
    estimator.n_trees_per_iteration_, estimator.init_ = 1, "zero"
    with pytest.raises(ModelError, match=r"the shape \(60, 1\), expected \(60, 3\)"):
        predict(tmp_path, estimator, signature, [matrix(POINTS)])


def test_an_object_cannot_hide_behind_a_function_that_it_holds() -> None:
    estimator = FrozenEstimator(len)
    estimator.predict = wide(KMeans(3, n_init=1).fit(POINTS))
    with pytest.raises(UnsafePickle, match="KMeans holds"):
        soundness.check(walk(estimator))

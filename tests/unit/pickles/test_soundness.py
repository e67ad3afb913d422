from __future__ import annotations

import json
import pickle
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import scipy.sparse
import scipy.special
import skops.io
from sklearn.cluster import Birch, BisectingKMeans, FeatureAgglomeration, KMeans
from sklearn.cluster._kmeans import _kmeans_single_lloyd
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestRegressor,
    StackingClassifier,
    VotingRegressor,
)
from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import DistanceMetric, make_scorer, r2_score
from sklearn.metrics.pairwise import linear_kernel
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import RegressorChain
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MultiLabelBinarizer,
    OneHotEncoder,
    PolynomialFeatures,
    SplineTransformer,
    TargetEncoder,
)
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils import Bunch
from sklearn.utils.validation import check_array

import revealing
from estimators import (
    CLASSIFIER,
    FLATS,
    MATRIX,
    NAMES,
    POINTS,
    REGRESSOR,
    VALUES,
    description,
    matrix,
    predict,
    store,
    with_schema,
)
from pilotlight import runtimes
from pilotlight.errors import ModelError, UnsafePickle
from pilotlight.model.signature import Output, Signature
from pilotlight.model.tensor import INT64
from pilotlight.pickles import soundness
from pilotlight.pickles.loading import scan
from pilotlight.runtimes.estimators import walk
from pilotlight.runtimes.sklearn import serve
from pilotlight_cli.formats.admitted import admitted_globals


def forged_tree(**changes: Any) -> Any:
    """Return a regression tree with one field of its nodes changed."""
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
        ("feature", 3, "features that do not exist"),
        ("feature", -1, "features that do not exist"),
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
    with pytest.raises(UnsafePickle, match="KDTree holds points that do not exist"):
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


def transformed(**changes: Any) -> Any:
    """Return a model that begins with a function."""
    estimator = make_pipeline(FunctionTransformer(np.log1p), Ridge()).fit(np.abs(POINTS), VALUES)
    vars(estimator[0]).update(changes)
    return estimator


def measured(distance: Any) -> Any:
    """Return a model whose distances are a function's."""
    estimator = KNeighborsRegressor(algorithm="ball_tree", metric=revealing.distance).fit(POINTS, VALUES)
    state = list(estimator._tree.__getstate__())
    state[11].__setstate__((2.0, np.zeros(1), np.zeros((1, 1)), distance, {}))
    return estimator


CALLS: dict[str, Callable[[], Any]] = {
    "the class ndarray as 'func'": lambda: transformed(func=np.ndarray),
    "the function _reconstruct as 'func'": lambda: transformed(func=np.ndarray.__reduce__(POINTS)[0]),
    "the function _kmeans_single_lloyd as 'func'": lambda: transformed(func=_kmeans_single_lloyd),
    "the keyword 'out' in 'kw_args'": lambda: transformed(kw_args={"out": POINTS}),
    "the keyword 'where' in 'kw_args'": lambda: transformed(kw_args={"where": False}),
    "the keyword 'where' in 'inv_kw_args'": lambda: transformed(inv_kw_args={"where": False}),
    "type Ridge as 'kw_args'": lambda: transformed(kw_args=Ridge()),
    "the function exp as 'kernel'": lambda: altered(SVC().fit(POINTS, NAMES), kernel=np.exp),
    "the function exp as 'kernel_'": lambda: altered(GaussianProcessRegressor().fit(POINTS, VALUES), kernel_=np.exp),
    "the function exp as 'predict'": lambda: altered(Ridge().fit(POINTS, VALUES), predict=np.exp),
    "the function softmax as 'metric'": lambda: altered(
        KNeighborsRegressor(algorithm="brute").fit(POINTS, VALUES), metric=scipy.special.softmax
    ),
    "the function exp as 'transform'": lambda: altered(Ridge(), held=Bunch(transform=np.exp)),
    "the keyword 'Y_norm_squared' in 'effective_metric_params_'": lambda: altered(
        KNeighborsRegressor(algorithm="brute").fit(POINTS, VALUES),
        effective_metric_params_={"Y_norm_squared": np.zeros(1)},
    ),
    "the function exp as 'metric'": lambda: measured(np.exp),
    "the class ndarray as 'metric'": lambda: measured(np.ndarray),
    "the function exp, expected check_array": lambda: altered(Ridge(), held=partial(np.exp, 1)),
    "the function check_array, expected check_array with": lambda: altered(Ridge(), held=partial(check_array, 1)),
    "the function exp, expected check_array ": lambda: altered(Ridge(), held=defaultdict(partial(np.exp))),
}


@pytest.mark.parametrize("what", CALLS)
def test_a_function_that_reaches_into_memory_is_never_called(what: str) -> None:
    with pytest.raises(UnsafePickle, match=what):
        serve(CALLS[what](), REGRESSOR)


def test_a_function_of_numpy_takes_the_data_alone(tmp_path: Path) -> None:
    estimator = make_pipeline(
        FunctionTransformer(np.clip, kw_args={"a_min": 0, "a_max": 2}), FeatureAgglomeration(), Ridge()
    ).fit(POINTS, VALUES)
    assert len(predict(tmp_path, estimator, REGRESSOR, [matrix(POINTS)])) == 60


def test_a_kernel_may_be_a_function(tmp_path: Path) -> None:
    estimator = SVR(kernel=linear_kernel).fit(POINTS, VALUES)
    assert len(predict(tmp_path, estimator, REGRESSOR, [matrix(POINTS)])) == 60


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
    assert set(scan(data["pickle"])) <= admitted_globals()  # an allow-list alone does not help
    loaded = [pickle.loads(data["pickle"]), joblib.load(BytesIO(data["joblib"]))]
    loaded.append(skops.io.loads(data["skops"], trusted=skops.io.get_untrusted_types(data=data["skops"])))
    assert [estimator.predict(POINTS[:1]).item() for estimator in loaded] == [revealing.CANARY.item()] * 3


@pytest.mark.parametrize("form", ["pickle", "skops"])
@pytest.mark.parametrize("holder", revealing.HOLDERS)
def test_a_file_that_holds_an_address_is_refused(holder: str, form: str, tmp_path: Path) -> None:
    described = description(tmp_path, revealing.files(holder)[form], REGRESSOR, form)
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
        ("a SliceNode for the state of an object", '"__loader__": "DictNode"', '"__loader__": "SliceNode"'),
        ("a ListNode of builtins.dict, which no model needs", '"DictNode"', '"ListNode"'),
        ("an attribute __array__", '"alpha"', '"__array__"'),
    ],
)
def test_a_skops_file_whose_states_are_forged_is_refused(why: str, before: str, after: str, tmp_path: Path) -> None:
    data = with_schema(skops.io.dumps(Ridge().fit(POINTS, VALUES)), lambda schema: schema.replace(before, after))
    with pytest.raises(UnsafePickle, match=why):
        runtimes.load(description(tmp_path, data, REGRESSOR, "skops", allowed=()), tmp_path, 1)


def test_a_skops_state_that_is_another_object_by_its_id_is_checked_as_such(tmp_path: Path) -> None:
    estimator = Ridge().fit(POINTS, VALUES)
    estimator.words_ = {"__array_interface__": 1}  # a dictionary's keys may have any name; an object's state may not

    def alias(text: str) -> str:
        schema = json.loads(text)
        schema["content"]["__id__"] = schema["content"]["content"]["words_"]["__id__"]
        return json.dumps(schema)

    data = skops.io.dumps(estimator)
    assert runtimes.load(description(tmp_path, data, REGRESSOR, "skops"), tmp_path, 1)
    with pytest.raises(UnsafePickle, match="an attribute __array_interface__"):
        runtimes.load(description(tmp_path, with_schema(data, alias), REGRESSOR, "skops"), tmp_path, 1)


def skops_node(loader: str, name: str, **parts: Any) -> dict[str, Any]:
    module, _, own = name.rpartition(".")
    return {"__class__": own, "__module__": module, "__loader__": loader, **parts}


def scalar(value: int) -> dict[str, Any]:
    return skops_node("JsonNode", "builtins.str", content=json.dumps(value), is_json=True)


SHAPE = [scalar(1), scalar(3)]
SHAPES = skops_node("TupleNode", "builtins.tuple", content=[skops_node("ListNode", "builtins.list", content=SHAPE)])
NOTHING = skops_node("TupleNode", "builtins.tuple", content=[])
ARRAY_TYPE = skops_node("TypeNode", "numpy.ndarray")
PAIRS = {"content": {"a": scalar(1)}, "key_types": skops_node("ListNode", "builtins.list", content=[ARRAY_TYPE])}
CALLING = {
    "a ConstructorFromReduceNode": skops_node("ConstructorFromReduceNode", "numpy.ndarray", content=SHAPES),
    "a ListNode": skops_node("ListNode", "numpy.ndarray", content=SHAPE),
    "a SetNode": skops_node("SetNode", "numpy.ndarray", content=SHAPE),
    "a LossNode": skops_node("LossNode", "numpy.ndarray", content=NOTHING, __reduce__={"args": SHAPES}),
}


def with_coefficients(node: dict[str, Any]) -> bytes:
    """Return a skops file of a model whose coefficients are what a node makes."""

    def change(text: str) -> str:
        schema = json.loads(text)
        schema["content"]["content"]["coef_"] = node
        return json.dumps(schema)

    return with_schema(skops.io.dumps(Ridge().fit(POINTS, VALUES)), change)


@pytest.mark.parametrize("what", CALLING)
def test_skops_itself_gives_out_memory_as_it_was_left(what: str) -> None:
    coefficients = skops.io.loads(with_coefficients(CALLING[what]), trusted=["numpy.ndarray"]).coef_
    assert (type(coefficients), coefficients.shape) == (np.ndarray, (1, 3))


@pytest.mark.parametrize(
    ("why", "node"),
    [
        *((f"{what} of numpy.ndarray, which no model needs", node) for what, node in CALLING.items()),
        ("a RandomStateNode of numpy.ndarray", skops_node("RandomStateNode", "numpy.ndarray", content=NOTHING)),
        ("a RandomGeneratorNode of numpy.ndarray", skops_node("RandomGeneratorNode", "numpy.ndarray", content={})),
        (
            "an? ObjectNode of numpy.random.mtrand.RandomState",
            skops_node("ObjectNode", "numpy.random.mtrand.RandomState"),
        ),
        ("an? NdArrayNode of sklearn", skops_node("NdArrayNode", "sklearn.neighbors._kd_tree.KDTree", type="numpy")),
        ("a DictNode of sklearn", skops_node("DictNode", "sklearn.linear_model._ridge.Ridge", **PAIRS)),
        (
            "a FunctionNode as the type of a key",
            skops_node(
                "DictNode",
                "builtins.dict",
                content={"a": scalar(1)},
                key_types=skops_node("ListNode", "builtins.list", content=[skops_node("FunctionNode", "numpy.exp")]),
            ),
        ),
        (
            "a partial of another function",
            skops_node("PartialNode", "functools.partial", content={"func": skops_node("FunctionNode", "numpy.exp")}),
        ),
    ],
)
def test_a_skops_file_in_which_another_name_is_called_is_refused(
    why: str, node: dict[str, Any], tmp_path: Path
) -> None:
    described = description(tmp_path, with_coefficients(node), REGRESSOR, "skops", allowed=("numpy.ndarray",))
    with pytest.raises(UnsafePickle, match=why):
        runtimes.load(described, tmp_path, 1)


def test_an_id_of_a_skops_file_stands_for_one_kind_of_object(tmp_path: Path) -> None:
    def alias(text: str) -> str:
        schema = json.loads(text)
        fields = schema["content"]["content"]
        fields["coef_"]["__id__"] = fields["alpha"]["__id__"]
        return json.dumps(schema)

    data = with_schema(skops.io.dumps(Ridge().fit(POINTS, VALUES)), alias)
    with pytest.raises(UnsafePickle, match="on another node"):
        runtimes.load(description(tmp_path, data, REGRESSOR, "skops", allowed=()), tmp_path, 1)


@pytest.mark.parametrize("outputs", [0, 2, 10**6])
def test_a_tree_of_a_skops_file_has_a_number_of_classes_for_each_output(outputs: int, tmp_path: Path) -> None:
    estimator = DecisionTreeRegressor(max_depth=2).fit(POINTS, VALUES)

    def change(text: str) -> str:
        schema = json.loads(text)
        tree = schema["content"]["content"]["tree_"]
        tree["__reduce__"]["args"]["content"][2].update(content=str(outputs), __id__=0)
        return json.dumps(schema)

    described = description(tmp_path, with_schema(skops.io.dumps(estimator), change), REGRESSOR, "skops")
    with pytest.raises(UnsafePickle, match="a tree whose parts do not fit"):
        runtimes.load(described, tmp_path, 1)


def test_parts_of_a_tree_are_no_other_objects_too(tmp_path: Path) -> None:
    estimator = DecisionTreeRegressor(max_depth=2).fit(POINTS, VALUES)

    def change(text: str) -> str:
        schema = json.loads(text)
        fields = schema["content"]["content"]
        fields["other_"] = fields["tree_"]["content"]["content"]["values"]
        fields["other_"]["__id__"] = fields["tree_"]["__reduce__"]["args"]["content"][1]["__id__"]
        return json.dumps(schema)

    described = description(tmp_path, with_schema(skops.io.dumps(estimator), change), REGRESSOR, "skops")
    with pytest.raises(UnsafePickle, match="different parts of trees under the same id"):
        runtimes.load(described, tmp_path, 1)


def test_a_skops_file_rebuilds_nothing_by_a_function(tmp_path: Path) -> None:
    data = with_schema(skops.io.dumps(Ridge()), lambda schema: schema.replace('"Ridge"', '"newObj"'))
    with pytest.raises(UnsafePickle, match="newObj, which rebuilds objects"):
        runtimes.load(
            description(tmp_path, data, REGRESSOR, "skops", allowed=("sklearn.linear_model._ridge.newObj",)),
            tmp_path,
            1,
        )


# --- lengths that compiled code believes


def wide(estimator: Any) -> Any:
    """Return the model, which says that it takes more features than its parts are made for."""
    estimator.n_features_in_ = 3000
    return estimator


def altered(estimator: Any, **changes: Any) -> Any:
    """Return the model with some of its fields changed."""
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


def bounded() -> Any:
    """Return a tree of points that has one corner of its boxes."""
    estimator = KNeighborsRegressor(algorithm="kd_tree").fit(POINTS, VALUES)
    state = list(estimator._tree.__getstate__())
    state[3] = state[3][:1]
    estimator._tree.__setstate__(tuple(state))
    return estimator


def on_a_globe() -> Any:
    estimator = KNeighborsRegressor(algorithm="ball_tree").fit(POINTS, VALUES)
    state = list(estimator._tree.__getstate__())
    state[11] = DistanceMetric.get_metric("haversine")
    estimator._tree.__setstate__(tuple(state))
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


def worded() -> Any:
    estimator = make_pipeline(CountVectorizer(), Ridge()).fit(FLATS["note"], VALUES)
    estimator[0].vocabulary_["loud"] = 10**8
    return estimator


def encoded(**changes: Any) -> Any:
    encoder = OneHotEncoder(min_frequency=3, drop="first", handle_unknown="ignore")
    estimator = make_pipeline(encoder, Ridge()).fit(np.round(POINTS), VALUES)
    vars(estimator[0]).update(changes)
    return estimator


def expanded() -> Any:
    estimator = make_pipeline(PolynomialFeatures(), Ridge()).fit(POINTS, VALUES)
    estimator[0]._n_out_full = 30
    return estimator


def target_encoded() -> Any:
    estimator = make_pipeline(TargetEncoder(cv=2), Ridge()).fit(np.round(POINTS), VALUES)
    estimator[0].encodings_ = estimator[0].encodings_[:1]
    return estimator


def binned() -> Any:
    estimator = make_pipeline(_BinMapper(), Ridge()).fit(POINTS, VALUES)
    estimator[0].n_bins_non_missing_ = np.zeros(3000, np.uint32)
    return estimator


def cut_off() -> Any:
    estimator = HistGradientBoostingRegressor(max_iter=2).fit(POINTS, VALUES)
    tree = estimator._predictors[0][0]
    tree.raw_left_cat_bitsets = np.zeros((1, 1), np.uint32)
    return estimator


def neighbours(**changes: Any) -> Any:
    return altered(KNeighborsClassifier(algorithm="brute", metric="manhattan").fit(POINTS, NAMES), **changes)


def precomputed() -> Any:
    estimator = SVC(kernel="precomputed").fit(POINTS[:3] @ POINTS[:3].T, [0, 1, 1])
    return altered(estimator, shape_fit_=(3, 10**9), support_=estimator.support_ + 10**8)


def sparse_vectors(**changes: Any) -> Any:
    return altered(SVC().fit(scipy.sparse.csr_matrix(POINTS), NAMES), **changes)


def linear(form: str, **changes: Any) -> Any:
    matrix_ = getattr(scipy.sparse, f"{form}_array")(np.ones((3, 1)))
    return altered(Ridge().fit(POINTS, VALUES), coef_=altered(matrix_, **changes))


LENGTHS: dict[str, Callable[[], Any]] = {
    "words of a vocabulary": worded,
    "columns of categories": lambda: encoded(_n_features_outs=[1, 1, 1]),
    "groups of categories": lambda: encoded(_default_to_infrequent_mappings=[np.array([10**7])] * 3),
    "a dropped category": lambda: encoded(_drop_idx_after_grouping=np.array([99, 99, 99], object)),
    "columns of combinations": expanded,
    "encodings of targets": target_encoded,
    "bins": binned,
    "sets of categories": cut_off,
    "labels of unknown classes": lambda: neighbours(_y=np.full(60, 10**8)),
    "no points": lambda: altered(KNeighborsRegressor(algorithm="brute").fit(POINTS, VALUES), _fit_X=np.empty((0, 3))),
    "fewer labels than points": lambda: neighbours(_y=np.zeros(1, np.int64)),
    "places of precomputed vectors": precomputed,
    "one count of support vectors": lambda: altered(SVR().fit(POINTS, VALUES), _n_support=np.array([60], np.int32)),
    "another algorithm of libsvm": lambda: altered(SVR().fit(POINTS, VALUES), _impl="c_svc"),
    "vectors that are no matrix": lambda: sparse_vectors(support_vectors_=Bunch(shape=(60, 3))),
    "vectors by column": lambda: sparse_vectors(support_vectors_=scipy.sparse.csc_matrix(np.ones((60, 3)))),
    "sparse coefficients": lambda: sparse_vectors(_dual_coef_=scipy.sparse.csr_matrix((1, 60))),
    "probabilities that were not fitted": lambda: support_vectors(_effective_probability=True),
    "norms of centres": lambda: altered(Birch().fit(POINTS), _subcluster_norms=np.zeros(1)),
    "precisions": lambda: altered(GaussianMixture(2).fit(POINTS), precisions_cholesky_=np.ones((1, 3, 3))),
    "an order": lambda: altered(RegressorChain(Ridge()).fit(POINTS, POINTS), order_=[0, 0, 0]),
    "diagonals": lambda: linear("dia", offsets=np.zeros(99, np.int32)),
    "lists of columns": lambda: linear("lil", rows=np.array([[1], [0], [0]], object)),
    "rows of lists": lambda: linear("lil", rows=np.array([[0], None], object)),
    "cluster centres": lambda: wide(KMeans(3, n_init=1).fit(POINTS)),
    "centres without a width": lambda: altered(KMeans(3, n_init=1).fit(POINTS), n_features_in_=None),
    "neighbours": lambda: wide(KNeighborsRegressor(algorithm="brute").fit(POINTS, VALUES)),
    "a bisected centre": bisected,
    "a distance's weights": weighted,
    "boxes around points": bounded,
    "a distance of places": on_a_globe,
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


class Heir(SVR):  # type: ignore[misc] # scikit-learn has no types
    """A publisher's own class."""


LENGTHS |= {
    "lengths of an heir's": lambda: altered(Heir().fit(POINTS, VALUES), _dual_coef_=np.ones((1, 1))),
    "a matrix that answers for itself": lambda: linear("csr", check_format=dict, indices=np.full(3, 10**8, np.int32)),
    "another form": lambda: sparse_vectors(
        support_vectors_=altered(scipy.sparse.csc_matrix(np.ones((60, 3))), _format="csr")
    ),
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
    estimator.predict = KMeans()
    assert estimator.predict in list(walk(estimator))


def other_tree() -> Any:
    """Return a tree of far more features."""
    return DecisionTreeRegressor(max_depth=3).fit(np.tile(POINTS, 1000), VALUES)


def hidden(**attributes: Any) -> Any:
    """Return a tree behind an object with attributes of its own."""
    estimator = FrozenEstimator(other_tree())
    vars(estimator).update(attributes)
    return estimator


def boosted() -> Any:
    estimator = GradientBoostingRegressor(n_estimators=2).fit(POINTS, VALUES)
    estimator.estimators_[1, 0] = FrozenEstimator(other_tree())
    return estimator


def binned_boosted() -> Any:
    estimator = HistGradientBoostingRegressor(max_iter=2).fit(POINTS, VALUES)
    estimator._predictors[0][0] = FrozenEstimator(estimator._predictors[0][0])
    return estimator


HIDDEN: dict[str, Callable[[], Any]] = {
    "type FrozenEstimator, expected a tree": boosted,
    "type FrozenEstimator, expected a tree;": binned_boosted,
    "type OrderedDict, expected a list of trees": lambda: altered(
        RandomForestRegressor(2).fit(POINTS, VALUES), estimators_=OrderedDict.fromkeys([other_tree()])
    ),
    "type Pipeline, expected a tree": lambda: altered(
        RandomForestRegressor(2).fit(POINTS, VALUES), estimators_=[make_pipeline(other_tree())]
    ),
    "type Bunch, expected a tree": lambda: altered(
        other_tree(), tree_=Bunch(n_features=3, children_left=(), tree=other_tree().tree_)
    ),
    "more than an estimator": lambda: hidden(n_features_in_=3),
    "more than an estimator,": lambda: FrozenEstimator(other_tree().tree_),
    "nodes that point outside": lambda: altered(
        VotingRegressor([("a", Ridge())]).fit(POINTS, VALUES), estimators_={forged_tree(left_child=10**6): 1}
    ),
}


@pytest.mark.parametrize("what", HIDDEN)
def test_a_tree_cannot_hide(what: str) -> None:
    with pytest.raises(UnsafePickle, match=what):
        soundness.check(walk(HIDDEN[what]()))


def test_preprocessed_rows_of_another_width_are_refused_when_they_are_made(tmp_path: Path) -> None:
    estimator = HistGradientBoostingRegressor(max_iter=2, categorical_features=[0])
    estimator.fit(np.c_[np.arange(60) % 3, POINTS[:, 1:]], VALUES)
    assert len(predict(tmp_path, estimator, REGRESSOR, [matrix(POINTS)])) == 60
    estimator._preprocessor = FunctionTransformer(np.mean, kw_args={"axis": 1, "keepdims": True})
    with pytest.raises(ModelError, match=r"_preprocess_X returns the shape \(60, 1\), expected \(60, 3\)"):
        predict(tmp_path, estimator, REGRESSOR, [matrix(POINTS)])


def test_what_was_cached_or_counted_where_a_model_was_trained_is_left_there() -> None:
    binarizer = MultiLabelBinarizer().fit([["a"], ["b"]])
    binarizer._cached_dict = {"a": 10**8}
    estimator = altered(KMeans(2, n_init=1).fit(POINTS), _n_threads=10**6, held=binarizer)
    serve(estimator, REGRESSOR)
    assert estimator._n_threads == 1
    assert binarizer.transform([["a"]]).tolist() == [[1, 0]]

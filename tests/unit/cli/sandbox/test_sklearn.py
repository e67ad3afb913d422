from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.stats
import sklearn
import skops.io
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import RandomizedSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, LabelEncoder, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC

import pickles
from estimators import FLATS, NAMES, POINTS, RANDOM, VALUES, with_schema
from pilotlight.errors import FormatError, ModelError, UnsafePickle
from pilotlight.model.signature import write_signature
from pilotlight.model.tensor import BYTES, FP64
from pilotlight_cli.formats.admitted import admitted_globals
from pilotlight_cli.formats.recognition import recognise
from pilotlight_cli.sandbox.child.sklearn import inspect
from pilotlight_cli.sandbox.job import Findings, Job, UsageError, read_findings, read_job, write_findings, write_job

NUMBERS = pd.DataFrame(POINTS, columns=["a", "b", "c"])


def job(path: Path, **changes: Any) -> Job:
    found = recognise(path)
    folder = path.parent / "again"
    folder.mkdir(exist_ok=True)
    return replace(Job(path, found.kind, admitted_globals(), folder, numpy_major=found.numpy_major), **changes)


def inspected(folder: Path, estimator: Any, form: str = "pickle", **changes: Any) -> Findings:
    path = folder / "model"
    if form == "joblib":
        joblib.dump(estimator, path)
    else:
        path.write_bytes(pickle.dumps(estimator, 5) if form == "pickle" else skops.io.dumps(estimator))
    return inspect(job(path, **changes))


def shown(answer: Findings) -> list[str]:
    """Return the signature in short."""
    inputs = [f"{t.name} {t.datatype.name} {list(t.shape)} {t.role}" for t in answer.signature.inputs]
    return inputs + [f"{t.name} {t.datatype.name} {list(t.shape)} {t.role}" for t in answer.signature.outputs]


# --- what it takes


def test_a_matrix_of_features_without_names(tmp_path: Path) -> None:
    answer = inspected(tmp_path, Ridge().fit(POINTS, VALUES))
    assert shown(answer) == ["features FP64 [-1, 3] features", "prediction FP64 [-1] tensor"]
    assert answer.signature.feature_names == ("f0", "f1", "f2")
    assert any("called f0, f1, f2" in note for note in answer.notes)


def test_features_have_the_names_of_the_frame(tmp_path: Path) -> None:
    answer = inspected(tmp_path, make_pipeline(StandardScaler(), Ridge()).fit(NUMBERS, VALUES))
    assert answer.signature.feature_names == ("a", "b", "c")
    assert not any("called" in note for note in answer.notes)


MIXED: dict[str, Callable[[], Any]] = {
    "an encoder": lambda: make_pipeline(
        ColumnTransformer([("o", OneHotEncoder(), ["city"])], remainder="passthrough"), Ridge()
    ),
    "an imputer before an encoder": lambda: make_pipeline(
        ColumnTransformer(
            [("o", make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), ["city"])],
            remainder="passthrough",
        ),
        Ridge(),
    ),
    "a transformed target around all": lambda: TransformedTargetRegressor(
        make_pipeline(ColumnTransformer([("o", OrdinalEncoder(), ["city"])], remainder="passthrough"), Ridge()),
        func=np.arcsinh,
        inverse_func=np.sinh,
    ),
    "a union": lambda: make_pipeline(
        make_union(ColumnTransformer([("o", OneHotEncoder(), ["city"]), ("n", "passthrough", ["area"])])), Ridge()
    ),
}


@pytest.mark.parametrize("name", MIXED)
def test_columns_of_strings_show_in_the_encoders(name: str, tmp_path: Path) -> None:
    frame = FLATS[["city", "area", "floor"]]
    answer = inspected(tmp_path, MIXED[name]().fit(frame, VALUES))
    assert shown(answer)[:3] == [
        "city BYTES [-1, 1] features",
        "area FP64 [-1, 1] features",
        "floor FP64 [-1, 1] features",
    ]
    assert any("strings: city" in note for note in answer.notes)
    assert set(answer.golden.samples[0].inputs[0].data) <= {"Bath", "Ely", "Hull", None}


def test_categories_of_boosting_are_strings(tmp_path: Path) -> None:
    frame = FLATS[["city", "area"]].assign(city=FLATS["city"].astype("category"))
    estimator = HistGradientBoostingRegressor(max_iter=3, categorical_features="from_dtype").fit(frame, VALUES)
    answer = inspected(tmp_path, estimator)
    assert shown(answer)[0] == "city BYTES [-1, 1] features"
    assert "functools.partial" in answer.names[0]


def test_a_vectorizer_within_a_column_transformer_takes_strings(tmp_path: Path) -> None:
    columns = ColumnTransformer([("t", TfidfVectorizer(), "note"), ("n", StandardScaler(), ["area"])])
    answer = inspected(tmp_path, make_pipeline(columns, Ridge()).fit(FLATS[["note", "area"]], VALUES))
    assert shown(answer)[:2] == ["note BYTES [-1, 1] features", "area FP64 [-1, 1] features"]


GAPS = NUMBERS.mask(RANDOM.random(NUMBERS.shape) < 0.2)
CITIES = FLATS[["city", "area"]].mask(np.arange(60)[:, None] % 7 == [0, 9]).astype({"city": object})


def pipeline(*steps: Any, rest: str = "drop") -> Any:
    return make_pipeline(make_column_transformer(*steps, remainder=rest), Ridge())


MISSING: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "nothing that replaces them": (lambda: make_pipeline(StandardScaler(), Ridge()).fit(NUMBERS, VALUES), set()),
    "an imputer": (lambda: make_pipeline(SimpleImputer(), Ridge()).fit(GAPS, VALUES), {"features"}),
    "neighbours": (lambda: make_pipeline(KNNImputer(), Ridge()).fit(GAPS, VALUES), {"features"}),
    "an imputer after a scaler": (
        lambda: make_pipeline(StandardScaler(), SimpleImputer(), Ridge()).fit(GAPS, VALUES),
        {"features"},
    ),
    "boosting": (lambda: HistGradientBoostingRegressor(max_iter=3).fit(NUMBERS, VALUES), {"features"}),
    "a forest that saw them": (lambda: RandomForestRegressor(3, random_state=0).fit(GAPS, VALUES), {"features"}),
    "a forest that did not": (lambda: RandomForestRegressor(3, random_state=0).fit(NUMBERS, VALUES), set()),
    "an imputer before such a forest": (
        lambda: make_pipeline(SimpleImputer(), RandomForestRegressor(3, random_state=0)).fit(GAPS, VALUES),
        {"features"},
    ),
    "an imputer of one column": (
        lambda: pipeline((SimpleImputer(), ["a"]), (StandardScaler(), ["b", "c"])).fit(NUMBERS, VALUES),
        {"a"},
    ),
    "a matrix of which one column is unused": (
        lambda: pipeline((StandardScaler(), ["a", "b"])).fit(NUMBERS, VALUES),
        set(),
    ),
    "a category of its own": (
        lambda: pipeline((OneHotEncoder(), ["city"]), rest="passthrough").fit(CITIES, VALUES),
        {"city"},
    ),
    "no such category": (
        lambda: pipeline((OneHotEncoder(), ["city"]), rest="passthrough").fit(FLATS[["city", "area"]], VALUES),
        set(),
    ),
    "unknown ones ignored": (
        lambda: pipeline((OneHotEncoder(handle_unknown="ignore"), ["city"]), (StandardScaler(), ["area"])).fit(
            FLATS[["city", "area"]], VALUES
        ),
        {"city"},
    ),
    "an unused column beside an imputer": (
        lambda: pipeline((OneHotEncoder(), ["city"]), (SimpleImputer(), ["area"])).fit(
            FLATS[["city", "area", "floor"]], VALUES
        ),
        {"area", "floor"},
    ),
}


@pytest.mark.parametrize("name", MISSING)
def test_values_may_be_missing_where_the_model_answers_without(name: str, tmp_path: Path) -> None:
    make, expected = MISSING[name]
    answer = inspected(tmp_path, make())
    inputs = answer.signature.inputs
    assert {tensor.name for tensor in inputs if tensor.missing} == expected
    for tensor, values in zip(inputs, answer.golden.samples[0].inputs, strict=True):
        assert (None in values.data[-len(values.data) // 5 :]) is tensor.missing, "the last row proves it"
    assert any(note.startswith("values may be missing in") for note in answer.notes) is bool(expected)


def test_missing_values_of_a_signature_are_proved(tmp_path: Path) -> None:
    estimator = Ridge().fit(POINTS, VALUES)
    own = signature_of(tmp_path, estimator)
    own["inputs"][0]["missing"] = True
    with pytest.raises(ModelError, match="the model fails on"):
        inspected(tmp_path, estimator, signature=json.dumps(own))


def test_golden_rows_may_miss_values_where_the_model_takes_it(tmp_path: Path) -> None:
    rows = json.dumps({"instances": [{"a": 1.0, "b": None, "c": 2.0}, {"a": 1.0, "b": 2.0, "c": 2.0}]})
    answer = inspected(tmp_path, make_pipeline(SimpleImputer(), Ridge()).fit(GAPS, VALUES), golden=rows)
    assert answer.golden.samples[0].inputs[0].data[:3] == (1.0, None, 2.0)
    with pytest.raises(FormatError, match=r"\$\.instances\[0\]\.b: expected a number \(FP64\), found null"):
        inspected(tmp_path, Ridge().fit(NUMBERS, VALUES), golden=rows)


def test_a_matrix_of_given_samples_stays_one(tmp_path: Path) -> None:
    estimator = pipeline((SimpleImputer(), ["a"]), (StandardScaler(), ["b", "c"])).fit(NUMBERS, VALUES)
    sample = {"inputs": [{"name": "features", "datatype": "FP64", "shape": [1, 3], "data": [1.0, 2.0, 3.0]}]}
    golden = {"format": 1, "source": "given", "tolerance": {"absolute": 0, "relative": 1e-6}, "samples": [sample]}
    answer = inspected(tmp_path, estimator, golden=json.dumps(golden))
    assert shown(answer)[0] == "features FP64 [-1, 3] features"


# What people's frames have beside numbers.
FRAME = FLATS[["city", "area", "note"]].assign(new=POINTS[:, 0] > 0, sold=POINTS[:, 1] > 0, floor=FLATS["floor"])


def test_booleans_show_in_an_encoder(tmp_path: Path) -> None:
    estimator = pipeline((OneHotEncoder(), ["city", "new"]), (StandardScaler(), ["area"])).fit(
        FRAME[["city", "new", "area"]], VALUES
    )
    answer = inspected(tmp_path, estimator)
    assert [tensor.datatype.name for tensor in answer.signature.inputs] == ["BYTES", "BOOL", "FP64"]
    assert "strings: city; booleans: new; all other features are numbers, by the model's encoders" in answer.notes


@pytest.mark.parametrize("form", ["records", "lists", "CSV"])
def test_the_publishers_rows_show_the_types_of_columns_that_the_model_does_not(form: str, tmp_path: Path) -> None:
    estimator = pipeline((OneHotEncoder(), ["city"]), ("passthrough", ["area", "sold"])).fit(FRAME, VALUES)
    answer = inspected(tmp_path, estimator)
    assert [tensor.datatype.name for tensor in answer.signature.inputs] == ["BYTES", *["FP64"] * 5]
    assert any(
        note.startswith("the model does not use note, new, floor, taken as numbers; if they are strings")
        for note in answer.notes
    )
    texts = {
        "records": json.dumps({"instances": FRAME[:3].to_dict("records")}),
        "lists": json.dumps({"instances": FRAME[:3].to_numpy().tolist()}),
        "CSV": FRAME[:3].to_csv(index=False),
    }
    answer = inspected(tmp_path, estimator, golden=texts[form])
    assert [tensor.datatype.name for tensor in answer.signature.inputs] == [
        *("BYTES", "FP64", "BYTES", "BOOL", "BOOL", "FP64"),
    ]
    assert not any("does not use" in note for note in answer.notes)
    assert list(answer.golden.samples[0].outputs[0].data) == pytest.approx(estimator.predict(FRAME[:3]).tolist())


@pytest.mark.parametrize("vectorizer", [TfidfVectorizer(), HashingVectorizer(n_features=16)])
def test_a_model_of_texts_takes_one_string(vectorizer: Any, tmp_path: Path) -> None:
    answer = inspected(tmp_path, make_pipeline(vectorizer, LogisticRegression()).fit(FLATS["note"], NAMES))
    assert shown(answer)[0] == "text BYTES [-1] features"
    assert len(answer.golden.samples[0].outputs[0].data) == 5


def test_a_model_that_does_not_say_what_it_takes_asks_for_a_signature(tmp_path: Path) -> None:
    estimator = make_pipeline(FunctionTransformer(np.abs), Ridge()).fit(POINTS, VALUES)
    del estimator[0].n_features_in_
    with pytest.raises(ModelError, match="does not have its number of features; .* --signature"):
        inspected(tmp_path, estimator)


# --- what it gives


@pytest.mark.parametrize(
    ("classes", "shape", "labels"),
    [
        (NAMES, "BYTES", ("no", "yes")),
        (NAMES.astype(object), "BYTES", ("no", "yes")),
        ((NAMES == "yes").astype(int) + 3, "INT64", (3, 4)),
        (NAMES == "yes", "BOOL", (False, True)),
        ((NAMES == "yes").astype(float), "FP64", (0.0, 1.0)),
    ],
)
def test_labels_are_the_classes(classes: Any, shape: str, labels: tuple[Any, ...], tmp_path: Path) -> None:
    answer = inspected(tmp_path, LogisticRegression().fit(POINTS, classes))
    assert shown(answer)[1:] == [f"label {shape} [-1] label", "probabilities FP64 [-1, 2] probabilities"]
    assert answer.signature.labels == labels
    assert [type(label) for label in answer.signature.labels] == [type(label) for label in labels]


def test_a_classifier_without_probabilities_gives_labels_alone(tmp_path: Path) -> None:
    answer = inspected(tmp_path, RidgeClassifier().fit(POINTS, NAMES))
    assert shown(answer)[1:] == ["label BYTES [-1] label"]


def test_a_regressor_of_two_values_gives_both(tmp_path: Path) -> None:
    answer = inspected(tmp_path, LinearRegression().fit(POINTS, np.c_[VALUES, -VALUES]))
    assert shown(answer)[1:] == ["prediction FP64 [-1, 2] tensor"]


def test_a_clustering_gives_whole_numbers(tmp_path: Path) -> None:
    assert shown(inspected(tmp_path, KMeans(2, n_init=1).fit(POINTS)))[1:] == ["prediction INT64 [-1] tensor"]


@pytest.mark.parametrize("steps", [(), (StandardScaler(),)])
def test_a_model_that_refuses_fp64_has_features_of_fp32(steps: tuple[Any, ...], tmp_path: Path) -> None:
    points = POINTS.astype(np.float32)
    found = inspected(tmp_path, make_pipeline(*steps, KMeans(2, n_init=1)).fit(points))
    assert found.signature.inputs[0].datatype.name == "FP32"
    assert any("refuses FP64" in note for note in found.notes)
    assert found.golden.samples


COLOURS = np.where(POINTS[:, 1] > 0.5, "red", np.where(POINTS[:, 1] > -0.5, "green", "blue"))
BOTH = np.c_[NAMES, COLOURS]
FLAGS = np.c_[POINTS[:, 0] > 0, POINTS[:, 1] > 0, POINTS[:, 2] > 0].astype(int)

SEVERAL: dict[str, tuple[Any, list[str], tuple[str, ...]]] = {
    "a classifier for each target": (
        MultiOutputClassifier(GaussianNB()).fit(POINTS, BOTH),
        ["prediction BYTES [-1, 2] tensor"],
        ("predict", "predict_proba[0]", "predict_proba[1]"),
    ),
    "a forest": (
        RandomForestClassifier(3, random_state=0).fit(POINTS, BOTH),
        ["prediction BYTES [-1, 2] tensor"],
        ("predict", "predict_proba[0]", "predict_proba[1]"),
    ),
    "flags in one matrix": (
        OneVsRestClassifier(LogisticRegression()).fit(POINTS, FLAGS),
        ["prediction INT64 [-1, 3] tensor", "probabilities FP64 [-1, 3] tensor"],
        ("predict", "predict_proba"),
    ),
    "a chain": (
        ClassifierChain(LogisticRegression()).fit(POINTS, FLAGS),
        ["prediction FP64 [-1, 3] tensor", "probabilities FP64 [-1, 3] tensor"],
        ("predict", "predict_proba"),
    ),
    "without probabilities": (
        MultiOutputClassifier(RidgeClassifier()).fit(POINTS, BOTH),
        ["prediction BYTES [-1, 2] tensor"],
        ("predict",),
    ),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_targets_are_a_matrix_and_probabilities_as_the_estimator_gives_them(name: str, tmp_path: Path) -> None:
    estimator, outputs, methods = SEVERAL[name]
    answer = inspected(tmp_path, estimator)
    each = ["probabilities_0 FP64 [-1, 2] tensor", "probabilities_1 FP64 [-1, 3] tensor"]
    assert shown(answer)[1:] == outputs + (each if "predict_proba[0]" in methods else [])
    assert answer.runtime.methods == methods
    assert answer.signature.labels == ()
    if "predict_proba[0]" in methods:
        assert (
            "probabilities_0 has columns for no, yes; probabilities_1 has columns for blue, green, red" in answer.notes
        )


def test_the_publisher_names_outputs_in_their_order_and_may_leave_some_out(tmp_path: Path) -> None:
    estimator = MultiOutputClassifier(GaussianNB()).fit(POINTS, BOTH)
    own = signature_of(tmp_path, estimator)
    for output, name in zip(own["outputs"], ("both", "answer", "colour"), strict=True):
        output["name"] = name
    answer = inspected(tmp_path, estimator, signature=json.dumps(own))
    assert [output.name for output in answer.signature.outputs] == ["both", "answer", "colour"]
    own["outputs"] = [own["outputs"][2] | {"name": "probabilities_1"}]
    answer = inspected(tmp_path, estimator, signature=json.dumps(own))
    assert answer.runtime.methods == ("predict_proba[1]",)
    own["outputs"][0]["name"] = "colour"
    with pytest.raises(FormatError, match=r"no output 'colour', only prediction, probabilities_0, probabilities_1"):
        inspected(tmp_path, estimator, signature=json.dumps(own))


@pytest.mark.parametrize(
    ("estimator", "method", "output"),
    [
        (PCA(2).fit(POINTS), "transform", "transform FP64 [-1, 2] tensor"),
        (KMeans(2, n_init=1).fit(POINTS), "transform", "transform FP64 [-1, 2] tensor"),
        (
            IsolationForest(n_estimators=3, random_state=0).fit(POINTS),
            "score_samples",
            "score_samples FP64 [-1] tensor",
        ),
        (SVC().fit(POINTS, COLOURS), "decision_function", "decision_function FP64 [-1, 3] tensor"),
        (LogisticRegression().fit(POINTS, NAMES), "predict", "label BYTES [-1] label"),
        (
            LogisticRegression().fit(POINTS, NAMES),
            "predict_proba",
            "probabilities FP64 [-1, 2] probabilities",
        ),
        (Ridge().fit(POINTS, VALUES), "predict", "prediction FP64 [-1] tensor"),
    ],
)
def test_the_publisher_chooses_a_method(estimator: Any, method: str, output: str, tmp_path: Path) -> None:
    answer = inspected(tmp_path, estimator, method=method)
    assert (shown(answer)[1:], answer.runtime.methods) == ([output], (method,))
    expected = np.asarray(getattr(estimator, method)(rows_of(answer)))
    assert list(answer.golden.samples[0].outputs[0].data) == expected.ravel().tolist()


def rows_of(answer: Findings) -> Any:
    (values,) = answer.golden.samples[0].inputs
    return np.array(values.data).reshape(values.shape)


def test_sparse_results_are_served_dense(tmp_path: Path) -> None:
    estimator = OneHotEncoder().fit(FLATS[["city"]])
    answer = inspected(tmp_path, estimator, method="transform")
    assert shown(answer) == ["city BYTES [-1, 1] features", "transform FP64 [-1, 3] tensor"]
    assert sum(answer.golden.samples[0].outputs[0].data) == 5  # type: ignore[arg-type]


def test_a_method_that_the_estimator_lacks_is_refused_with_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"Ridge has no transform, only predict; publish it with --method predict"):
        inspected(tmp_path, Ridge().fit(POINTS, VALUES), method="transform")


def test_a_detector_of_outliers_answers_with_labels(tmp_path: Path) -> None:
    estimator = make_pipeline(StandardScaler(), IsolationForest(n_estimators=3, random_state=0)).fit(POINTS)
    answer = inspected(tmp_path, estimator)
    assert (shown(answer)[1:], answer.signature.labels) == (["label INT64 [-1] label"], (-1, 1))


@pytest.mark.parametrize(
    ("estimator", "why"),
    [
        (GaussianNB().fit(POINTS, ["same"] * 60), "has only the class 'same'"),
        (StandardScaler().fit(POINTS), "StandardScaler has no predict, only transform; publish it with --method tran"),
        (DBSCAN().fit(POINTS), "DBSCAN has none of the methods predict, predict_proba"),
    ],
)
def test_what_a_signature_cannot_say_is_refused(estimator: Any, why: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=why):
        inspected(tmp_path, estimator)


# --- files and names


def test_a_pickle_is_published_as_it_is_with_its_names(tmp_path: Path) -> None:
    answer = inspected(tmp_path, Ridge().fit(POINTS, VALUES))
    allowed, extra = answer.names
    assert (answer.format, answer.path, extra) == ("pickle", tmp_path / "model", ())
    assert "sklearn.linear_model._ridge.Ridge" in allowed
    assert answer.runtime.packages.keys() == {"joblib", "numpy", "scikit-learn", "scipy"}


def test_a_skops_file_is_published_as_it_is_with_its_library(tmp_path: Path) -> None:
    answer = inspected(tmp_path, RandomForestClassifier(2).fit(POINTS, NAMES), "skops")
    assert (answer.format, answer.path) == ("skops", tmp_path / "model")
    assert answer.names == (("sklearn.tree._tree.Tree",), ())
    assert answer.runtime.packages["skops"] == skops.__version__


def test_a_joblib_file_becomes_skops_where_skops_trusts_it(tmp_path: Path) -> None:
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(POINTS, NAMES)
    answer = inspected(tmp_path, estimator, "joblib")
    assert (answer.format, answer.names) == ("skops", ((), ()))
    assert "model is a joblib file; it was saved again as skops" in answer.notes
    assert skops.io.load(answer.path).predict(POINTS).tolist() == estimator.predict(POINTS).tolist()


def test_a_joblib_file_becomes_a_plain_pickle_where_skops_does_not(tmp_path: Path) -> None:
    answer = inspected(tmp_path, RandomForestClassifier(2).fit(POINTS, NAMES), "joblib")
    assert (answer.format, answer.path.read_bytes()[:2]) == ("pickle", b"\x80\x05")
    assert "sklearn.tree._tree.Tree" in answer.names[0]
    assert "model is a joblib file; it was saved again as a plain pickle" in answer.notes


@pytest.mark.parametrize(
    ("form", "requested_format", "format_"),
    [("joblib", "pickle", "pickle"), ("joblib", "skops", "skops"), ("pickle", "skops", "skops")],
)
def test_the_format_may_be_chosen(form: str, requested_format: str, format_: str, tmp_path: Path) -> None:
    answer = inspected(tmp_path, RandomForestClassifier(2).fit(POINTS, NAMES), form, requested_format=requested_format)
    assert answer.format == format_
    assert recognise(answer.path).kind == format_


@pytest.mark.parametrize(("form", "requested_format"), [("skops", "pickle"), ("pickle", "onnx"), ("skops", "onnx")])
def test_a_format_that_the_file_cannot_have_is_wrong_usage(form: str, requested_format: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"--format says {requested_format}"):
        inspected(tmp_path, Ridge().fit(POINTS, VALUES), form, requested_format=requested_format)


def test_a_pickle_of_numpy_1_is_saved_again(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(pickle.dumps(LinearRegression().fit(POINTS, VALUES), 3).replace(b"numpy._core.", b"numpy.core."))
    answer = inspect(job(path))
    assert answer.format == "skops"
    assert any("made with numpy 1" in note for note in answer.notes)


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_a_pickle_of_an_old_protocol_is_saved_again(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "model"
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(POINTS, NAMES)
    path.write_bytes(pickle.dumps(estimator, protocol))
    answer = inspect(job(path))
    assert (answer.format, answer.names) == ("skops", ((), ()))
    assert "model is a pickle of an old protocol; it was saved again as skops" in answer.notes


@pytest.mark.parametrize("form", ["pickle", "joblib"])
@pytest.mark.parametrize("dtype", [np.number, [np.number, "bool"], object])
def test_columns_that_were_selected_by_type_are_served(dtype: Any, form: str, tmp_path: Path) -> None:
    frame = FLATS[["city", "area", "floor"]].astype({"city": object})
    chosen = (
        [("n", StandardScaler(), make_column_selector(dtype_include=dtype))]
        if dtype is not object
        else [("c", OneHotEncoder(), make_column_selector(dtype_exclude=np.number))]
    )
    estimator = make_pipeline(ColumnTransformer(chosen, remainder="drop"), Ridge()).fit(frame, VALUES)
    answer = inspected(tmp_path, estimator, form)
    assert "sklearn.compose._column_transformer.make_column_selector" in answer.names[0]


def test_a_ufunc_is_a_value_of_a_model(tmp_path: Path) -> None:
    estimator = make_pipeline(FunctionTransformer(np.expm1), Ridge()).fit(POINTS, VALUES)
    assert inspected(tmp_path, estimator).names[1] == ()


PARTS: dict[str, Any] = {
    "scaler": StandardScaler().fit(POINTS),
    "labels": LabelEncoder().fit(NAMES),
    "model": LogisticRegression().fit(StandardScaler().fit_transform(POINTS), NAMES),
    "threshold": 0.4,
}


@pytest.mark.parametrize("form", ["pickle", "joblib", "skops"])
def test_parts_of_a_dictionary_make_a_pipeline_where_the_publisher_says_so(form: str, tmp_path: Path) -> None:
    answer = inspected(tmp_path, PARTS, form, pipeline=("scaler", "model"))
    assert answer.format == "skops"
    assert (
        "model is a dict, of which scaler, model are served as a pipeline; it was saved again as skops" in answer.notes
    )
    expected = PARTS["model"].predict(PARTS["scaler"].transform(rows_of(answer)))
    assert list(answer.golden.samples[0].outputs[0].data) == expected.tolist()


def test_parts_of_a_tuple_go_by_their_positions(tmp_path: Path) -> None:
    texts = TfidfVectorizer().fit(FLATS["note"])
    model = LogisticRegression().fit(texts.transform(FLATS["note"]), NAMES)
    answer = inspected(tmp_path, (texts, model), pipeline=("0", "1"))
    assert shown(answer)[0] == "text BYTES [-1] features"


@pytest.mark.parametrize(
    ("content", "pipeline", "kind", "why"),
    [
        (
            PARTS,
            (),
            ModelError,
            r"a dict of scaler \(StandardScaler\), labels .* --pipeline scaler,model, and if not, save d\[\"model\"\]",
        ),
        (
            {"model": PARTS["model"], "version": 3},
            (),
            ModelError,
            r"expected one estimator; save d\[\"model\"\] by itself",
        ),
        ((PARTS["scaler"], PARTS["model"]), (), ModelError, r"--pipeline 0,1, and if not, save d\[1\] by itself"),
        ([PARTS["model"], PARTS["model"]], (), ModelError, r"save the one to serve by itself"),
        (PARTS, ("scale", "model"), UsageError, r"--pipeline: model has no scale, only scaler"),
        (PARTS, ("threshold", "model"), UsageError, r"threshold is a float, expected one with transform"),
        (PARTS["model"], ("model",), UsageError, r"holds a LogisticRegression, expected a dictionary or a tuple"),
    ],
)
def test_a_file_of_several_objects_is_refused_with_what_to_do(
    content: Any, pipeline: tuple[str, ...], kind: type[Exception], why: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=why):
        inspected(tmp_path, content, pipeline=pipeline)


@pytest.mark.parametrize(
    "estimator",
    [Ridge(), make_pipeline(StandardScaler(), Ridge()), make_pipeline(TfidfVectorizer(), LogisticRegression())],
)
def test_a_model_that_is_not_fitted_is_named_as_that(estimator: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the (Ridge|Pipeline) is not fitted; call its fit"):
        inspected(tmp_path, estimator)


@pytest.mark.parametrize("form", ["pickle", "joblib"])
def test_a_search_through_distributions_says_what_to_save(form: str, tmp_path: Path) -> None:
    estimator = RandomizedSearchCV(Ridge(), {"alpha": scipy.stats.uniform(0, 1)}, n_iter=2).fit(POINTS, VALUES)
    with pytest.raises(UnsafePickle, match="holds a search .* save its best_estimator_ instead"):
        inspected(tmp_path, estimator, form)


def test_a_booster_is_sent_to_convert(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(strange("xgboost.sklearn.XGBClassifier", "builtins.bytearray"))
    with pytest.raises(UnsafePickle, match=r"a model of XGBoost, .* 'pilotlight convert model model.onnx'"):
        inspect(job(path))
    path.write_bytes(strange("lightgbm.sklearn.LGBMClassifier"))
    with pytest.raises(UnsafePickle, match=r"--allow lightgbm.sklearn.LGBMClassifier. Or: model holds .* LightGBM"):
        inspect(job(path))


class Hostile:
    """Makes a folder when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("form", ["pickle", "joblib"])
@pytest.mark.parametrize("wrap", [lambda item: item, lambda item: np.array([item], object)])
def test_a_hostile_file_is_refused(form: str, wrap: Callable[[Any], Any], tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    estimator = Ridge().fit(POINTS, VALUES)
    estimator.extra_ = wrap(Hostile(marker))
    with pytest.raises(UnsafePickle, match=r"posix\.mkdir at byte .* never allowed"):
        inspected(tmp_path, estimator, form)
    assert not marker.exists()


def strange(*names: str) -> bytes:
    """Return a pickle of a model that asks for more names than Pilotlight knows."""
    parts = [pickles.named(*name.rsplit(".", 1)) for name in names]
    version = pickles.attribute("_sklearn_version", pickles.text(sklearn.__version__))
    return pickles.program(pickles.items(*parts, version))


def test_all_unknown_names_stand_in_one_refusal(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(strange("numpy.ndarray", "mypackage.Rounded", "other.Scaled"))
    with pytest.raises(UnsafePickle) as caught:
        inspect(job(path))
    assert "mypackage.Rounded at byte" in str(caught.value)
    assert "--allow mypackage.Rounded --allow other.Scaled" in str(caught.value)
    assert "numpy" not in str(caught.value)


def test_a_skops_file_asks_for_unknown_names_too(tmp_path: Path) -> None:
    path = tmp_path / "model"
    estimator = Ridge().fit(POINTS, VALUES)
    estimator.extra_ = KMeans(2)
    path.write_bytes(with_schema(skops.io.dumps(estimator), lambda schema: schema.replace('"KMeans"', '"Strange"')))
    with pytest.raises(UnsafePickle, match=r"sklearn\.cluster\._kmeans\.Strange, not allowed by default"):
        inspect(job(path))


@pytest.mark.parametrize("form", ["pickle", "joblib", "skops"])
def test_a_name_is_allowed_by_hand_and_then_shows(form: str, tmp_path: Path) -> None:
    name = "sklearn.tree._tree.Tree"
    known = admitted_globals() - {name}
    estimator = RandomForestClassifier(2).fit(POINTS, NAMES)
    with pytest.raises(UnsafePickle, match=r"sklearn\.tree\._tree\.Tree"):
        inspected(tmp_path, estimator, form, admitted=known)
    answer = inspected(tmp_path, estimator, form, admitted=known, allow=(name,))
    assert answer.names[1] == (name,)
    assert name not in answer.names[0]


@pytest.mark.parametrize("form", ["pickle", "joblib", "skops"])
@pytest.mark.parametrize("name", ["mypackage.Rounded", "sklearn.linear_model._ridge.Ridge"])
def test_a_name_that_is_allowed_without_need_is_wrong_usage(form: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"leave --allow {name} out"):
        inspected(tmp_path, Ridge().fit(POINTS, VALUES), form, allow=(name,))


# --- the publisher's own signature and samples


def signature_of(folder: Path, estimator: Any) -> dict[str, Any]:
    return write_signature(inspected(folder, estimator).signature)


def test_the_publishers_signature_names_features_and_ranges(tmp_path: Path) -> None:
    estimator = Ridge().fit(POINTS, VALUES)
    own = signature_of(tmp_path, estimator)
    own["inputs"][0] |= {"feature_names": ["x", "y", "z"], "datatype": "FP32"}
    own["outputs"][0] |= {"name": "height", "shape": [-1, 1], "range": [-10, 10]}
    answer = inspected(tmp_path, estimator, signature=json.dumps(own))
    assert answer.signature.feature_names == ("x", "y", "z")
    assert shown(answer) == ["features FP32 [-1, 3] features", "height FP64 [-1, 1] tensor"]
    assert answer.golden.samples[0].outputs[0].shape == (5, 1)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda own: own["inputs"][0].update(shape=[-1, 2], feature_names=["a", "b"]),
            "found 2 features, expected 3 as the model has them; missing: c",
        ),
        (
            lambda own: own["inputs"][0].update(feature_names=["a", "c", "b"]),
            "feature 1 is 'c', expected 'b' as the model has it",
        ),
        (lambda own: own["outputs"][0].update(datatype="INT64"), r"outputs\[0\]\.datatype: found INT64, expected FP64"),
        (lambda own: own["outputs"][0].update(shape=[-1, 2]), r"found \[-1, 2\], expected \[-1\] as the model has it"),
        (lambda own: own["outputs"][0].update(role="label"), "the model has no output with the role label"),
    ],
)
def test_a_signature_that_does_not_go_with_the_model_is_refused(change: Any, why: str, tmp_path: Path) -> None:
    estimator = Ridge().fit(NUMBERS, VALUES)
    own = signature_of(tmp_path, estimator)
    change(own)
    with pytest.raises(FormatError, match=why):
        inspected(tmp_path, estimator, signature=json.dumps(own))


def test_labels_in_another_order_are_refused(tmp_path: Path) -> None:
    estimator = LogisticRegression().fit(POINTS, NAMES)
    own = signature_of(tmp_path, estimator)
    own["labels"] = ["yes", "no"]
    message = r"\$\.labels: found \['yes', 'no'\], expected \['no', 'yes'\] as the model has them"
    with pytest.raises(FormatError, match=message):
        inspected(tmp_path, estimator, signature=json.dumps(own))


def test_a_number_where_the_model_takes_strings_is_refused(tmp_path: Path) -> None:
    estimator = MIXED["an encoder"]().fit(FLATS[["city", "area"]], VALUES)
    own = signature_of(tmp_path, estimator)
    own["inputs"][0]["datatype"] = "FP64"
    message = r"\$\.inputs\[0\]\.datatype: found FP64, expected BYTES: the model takes strings there"
    with pytest.raises(FormatError, match=message):
        inspected(tmp_path, estimator, signature=json.dumps(own))


def test_instances_become_a_sample_with_the_models_answers(tmp_path: Path) -> None:
    estimator = MIXED["an encoder"]().fit(FLATS[["city", "area"]], VALUES)
    instances = FLATS[["city", "area"]][:3].to_dict("records")
    answer = inspected(tmp_path, estimator, golden=json.dumps({"instances": instances}))
    (sample,) = answer.golden.samples
    assert [values.datatype for values in sample.inputs] == [BYTES, FP64]
    assert sample.outputs[0].data == pytest.approx(estimator.predict(FLATS[["city", "area"]][:3]))


def test_rows_that_the_model_does_not_answer_are_refused(tmp_path: Path) -> None:
    estimator = MIXED["an encoder"]().fit(FLATS[["city", "area"]], VALUES)
    with pytest.raises(ModelError, match="the model fails on the given rows: ValueError: .* unknown categories"):
        inspected(tmp_path, estimator, golden=json.dumps({"instances": [["Nowhere", 5]]}))


# --- between the processes


def test_jobs_and_answers_come_through_json(tmp_path: Path) -> None:
    asked = job_of(tmp_path)
    assert read_job(json.loads(json.dumps(write_job(asked)))) == asked
    answer = inspect(asked)
    assert read_findings(json.loads(json.dumps(write_findings(answer)))) == answer


def job_of(folder: Path) -> Job:
    path = folder / "model"
    path.write_bytes(pickle.dumps(LogisticRegression().fit(POINTS, NAMES), 5))
    return job(path)


def test_a_forged_model_is_refused_before_it_is_saved_again(tmp_path: Path) -> None:
    estimator = Ridge().fit(POINTS, VALUES)
    estimator.coef_ = scipy.sparse.csr_matrix(np.ones((1, 3)))
    estimator.coef_.indices[0] = 1000
    with pytest.raises(UnsafePickle, match="indices that do not fit"):
        inspected(tmp_path, estimator, "joblib")
    assert not list((tmp_path / "again").iterdir())

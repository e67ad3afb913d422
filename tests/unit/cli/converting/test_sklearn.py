"""scikit-learn's models as ONNX: the same answers, or the row that differs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, PowerTransformer, RobustScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from boosters import data, frame, named, prepared, scaled, values, with_gaps
from converting import ROWS, result
from pilotlight_cli.converting.child.attempts import prove
from pilotlight_cli.converting.child.compare import compare, read_rows
from pilotlight_cli.converting.child.errors import CannotConvert
from pilotlight_cli.converting.child.rows import Given
from pilotlight_cli.registry.rows import read_records

Model = Any

_PARTS = [("line", LogisticRegression()), ("tree", DecisionTreeClassifier(max_depth=3))]
_TEXTS = (["good film", "bad film", "very good indeed", "so very bad"] * 5, ["good", "bad", "good", "bad"] * 5)


def _missing(model: Model) -> Model:
    table, target = data()
    return model.fit(with_gaps(table), target)


MODELS: dict[str, Callable[[], Model]] = {
    "logistic regression": lambda: LogisticRegression().fit(*data(3)),
    "names": lambda: named(LogisticRegression(max_iter=500)),
    "scaler": lambda: scaled(LogisticRegression()),
    "pca": lambda: make_pipeline(StandardScaler(), PCA(4), LogisticRegression()).fit(*data()),
    "polynomials": lambda: make_pipeline(PolynomialFeatures(2), LogisticRegression(max_iter=2000)).fit(*data()),
    "columns": lambda: prepared(LogisticRegression()),
    "forest": lambda: RandomForestClassifier(100, random_state=0).fit(*data()),
    "forest with missing values": lambda: _missing(RandomForestClassifier(20, random_state=0)),
    "forest behind a scaler": lambda: scaled(RandomForestClassifier(20, random_state=0)),
    "extra trees": lambda: ExtraTreesClassifier(20, random_state=0).fit(*data(3)),
    "tree": lambda: DecisionTreeClassifier(random_state=0).fit(*data(3)),
    "gradient boosting": lambda: GradientBoostingClassifier(n_estimators=20, random_state=0).fit(*data(3)),
    "histograms": lambda: HistGradientBoostingClassifier(max_iter=20).fit(*data(3)),
    "histograms with missing values": lambda: _missing(HistGradientBoostingClassifier(max_iter=20)),
    "bayes": lambda: GaussianNB().fit(*data()),
    "neighbours": lambda: KNeighborsClassifier().fit(*data()),
    "network": lambda: MLPClassifier(max_iter=100, random_state=0, tol=1e-1).fit(*data()),
    "discriminant analysis": lambda: LinearDiscriminantAnalysis().fit(*data(3)),
    "support vectors": lambda: SVC().fit(*data()),
    "linear support vectors": lambda: LinearSVC().fit(*data()),
    "calibrated": lambda: CalibratedClassifierCV(LinearSVC()).fit(*data()),
    "hinge": lambda: SGDClassifier(random_state=0).fit(*data()),
    "ridge classifier": lambda: RidgeClassifier().fit(*data()),
    "ada boost": lambda: AdaBoostClassifier(n_estimators=5, random_state=0).fit(*data()),
    "stacking": lambda: StackingClassifier(_PARTS).fit(*data()),
    "text": lambda: make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(*_TEXTS),
    "linear regression": lambda: LinearRegression().fit(*values()),
    "ridge": lambda: Ridge().fit(*values()),
    "tree of values": lambda: DecisionTreeRegressor(random_state=0).fit(*values()),
    "forest of values": lambda: RandomForestRegressor(20, random_state=0).fit(*values()),
    "boosted values": lambda: GradientBoostingRegressor(n_estimators=20, random_state=0).fit(*values()),
    "histograms of values": lambda: HistGradientBoostingRegressor(max_iter=20).fit(*values()),
    "counts": lambda: HistGradientBoostingRegressor(max_iter=20, loss="poisson").fit(*values(positive=True)),
    "neighbours of values": lambda: KNeighborsRegressor().fit(*values()),
}


def rounded(model: Any) -> Any:
    """Round the thresholds of a graph to FP32, as converters do."""
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "nodes_values_as_tensor":
                values = numpy_helper.to_array(attribute.t).astype(np.float32).astype(np.float64)
                attribute.t.CopyFrom(numpy_helper.from_array(values, attribute.t.name))
    return model


def test_a_threshold_in_fp32_is_refused_with_the_row_and_its_feature() -> None:
    proven = prove(HistGradientBoostingClassifier(max_iter=20).fit(*data()), None, ROWS)
    assert proven.agreement.problem == ""

    found = compare(rounded(proven.model).SerializeToString(), proven.rows)

    assert "as the library answers, for the row {" in found.problem
    assert re.search(r"on a threshold of f[0-7]; [0-9]+ of [0-9]+ rows differ$", found.problem)


BEHIND: dict[str, Callable[[], Model]] = {
    "a scaler": lambda: scaled(HistGradientBoostingClassifier(max_iter=20)),
    "a scaler of values in FP32": lambda: scaled(RandomForestClassifier(20, random_state=0)),
    "columns of an imputer and a scaler": lambda: prepared(HistGradientBoostingClassifier(max_iter=20)),
    "a scaler in a pipeline": lambda: make_pipeline(
        SimpleImputer(), make_pipeline(RobustScaler(), GradientBoostingRegressor(n_estimators=20, random_state=0))
    ).fit(*values()),
}


@pytest.mark.parametrize("name", BEHIND)
def test_trees_behind_transformers_are_compared_on_their_thresholds(name: str) -> None:
    proven = prove(BEHIND[name](), None, 100)
    assert proven.agreement.problem == ""
    assert len(proven.rows.features) > 500

    found = compare(rounded(proven.model).SerializeToString(), proven.rows)

    assert re.search(r"on a threshold of (f|size )[0-7]; [0-9]+ of [0-9]+ rows differ$", found.problem)


def test_a_transformer_that_converters_have_in_fp32_alone_is_refused_with_the_row() -> None:
    model = make_pipeline(PowerTransformer(), HistGradientBoostingClassifier(max_iter=20)).fit(*data())

    with pytest.raises(CannotConvert, match=r"as the library answers, for the row \{.*, on a threshold of f[0-7]; "):
        prove(model, None, ROWS)


def test_features_of_several_columns_have_no_rows_on_thresholds() -> None:
    model = make_pipeline(PCA(4), HistGradientBoostingClassifier(max_iter=5)).fit(*data())
    assert len(prove(model, None, 100).rows.features) == 0


def test_what_an_imputer_fills_in_keeps_its_precision() -> None:
    table, target = data()
    model = make_pipeline(SimpleImputer(), LogisticRegression()).fit(with_gaps(table), target)
    proven = prove(model, None, 100)
    assert proven.rows.columns["f0"].dtype == np.float64
    assert proven.agreement.largest < 1e-12


def test_a_model_whose_graphs_all_differ_is_refused() -> None:
    model = DecisionTreeClassifier(random_state=0).fit(*data())
    model.predict = lambda rows: 1 - DecisionTreeClassifier.predict(model, rows)

    with pytest.raises(CannotConvert, match=r"label: found [01] from ONNX Runtime, expected [01] as the library"):
        prove(model, None, ROWS)


def test_the_rows_are_the_same_after_their_way_through_a_file(tmp_path: Path) -> None:
    rows = prove(prepared(LogisticRegression()), None, 50).rows
    rows.save(tmp_path / "rows.npz")
    again = read_rows(tmp_path / "rows.npz")

    assert list(again.columns) == list(rows.columns)
    assert again.columns["plan"].tolist() == rows.columns["plan"].tolist()
    assert again.expected["label"].tolist() == rows.expected["label"].tolist()


def given(file: Path, content: str) -> Given:
    file.write_text(content)
    return Given(file.name, read_records(file))


def test_given_rows_are_compared_and_no_others_but_those_on_thresholds(tmp_path: Path) -> None:
    columns, _ = frame()
    rows = given(tmp_path / "rows.csv", columns.head(20).to_csv())

    assert prove(prepared(LogisticRegression()), rows, ROWS).agreement.rows == 20


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("f0,f1\n1,2\n", "rows: row 0 has no 'f2'"),
        ("[1]", "rows: row 0: found 1, expected an object or a list"),
        ("[[1, 2]]", "rows: row 0 has no 'f2'"),
        ('[{"f0": "x"}]', "rows: row 0, f0: found 'x', expected a number"),
    ],
)
def test_rows_that_do_not_fit_are_refused_with_their_place(content: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(CannotConvert, match=why):
        prove(LogisticRegression().fit(*data()), given(tmp_path / "rows", content), ROWS)


@pytest.mark.parametrize(
    "text",
    [
        '{"instances": [[1, 2, 3, 4, 5, 6, 7, null]]}',
        "[[1, 2, 3, 4, 5, 6, 7, 8]]",
        "[1, 2, 3, 4, 5, 6, 7, null]\n[1, 2, 3, 4, 5, 6, 7, 8]",
        "\ufefff7,f6,f5,f4,f3,f2,f1,f0\n,7,6,5,4,3,2,1\n",
    ],
)
def test_rows_may_be_in_any_form_and_miss_numbers(text: str, tmp_path: Path) -> None:
    model = HistGradientBoostingClassifier(max_iter=2).fit(*data())

    assert prove(model, given(tmp_path / "rows", text), ROWS).agreement.rows > 1


def test_rows_of_one_text_may_be_bare(tmp_path: Path) -> None:
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(*_TEXTS)

    assert prove(model, given(tmp_path / "rows", '["a good film", "bad"]'), ROWS).agreement.rows == 2


@pytest.mark.parametrize(
    ("train", "why"),
    [
        (LogisticRegression, "does not know how many features it takes; is it fitted"),
        (lambda: StandardScaler().fit(data()[0]), "found a StandardScaler, expected a model with predict"),
    ],
)
def test_what_cannot_be_converted_is_refused_with_a_sentence(train: Callable[[], Model], why: str) -> None:
    with pytest.raises(CannotConvert, match=why):
        prove(train(), None, ROWS)


def test_a_graph_that_is_right_for_complete_rows_alone_says_so() -> None:
    found = result(BaggingClassifier(n_estimators=3, random_state=0).fit(*data()))
    assert found["notes"] == ["with missing values the library answers otherwise: send complete rows"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_a_model_answers_as_scikit_learn(name: str) -> None:
    found = result(MODELS[name]())

    assert "refused" not in found, found["refused"]
    assert found["problem"] == ""
    assert found["rows"] >= ROWS
    assert found["labels"] in (None, found["rows"] - found["ties"])
    assert found["ties"] == 0 or name == "text"
    assert found["notes"] == []

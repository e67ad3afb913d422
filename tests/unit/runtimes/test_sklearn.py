from __future__ import annotations

import pickle
import threading
import warnings
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
import skops.io
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from doubles import MemoryStore, Records, StepClock
from estimators import (
    CLASSIFIER,
    FLATS,
    MATRIX,
    NAMES,
    NUMBER,
    PACKAGES,
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
from pilotlight.errors import DigestMismatch, InvalidRequest, ModelError, RuntimeMismatch, UnsafePickle
from pilotlight.model.lock import Description
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BOOL, BYTES, FP32, FP64, INT64, Tensor
from pilotlight.pickles.loading import scan
from pilotlight.start.loading import Loader, Plan


@pytest.mark.parametrize("form", ["pickle", "skops"])
def test_a_classifier_gives_labels_and_probabilities(form: str, tmp_path: Path) -> None:
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(POINTS, NAMES)
    model = runtimes.load(store(tmp_path, estimator, CLASSIFIER, form), tmp_path, 1)
    labels, probabilities = model.predict([matrix(POINTS)])
    assert labels == Tensor(BYTES, (60,), estimator.predict(POINTS).tolist())
    assert probabilities.values() == estimator.predict_proba(POINTS).ravel().tolist()
    assert probabilities.shape == (60, 2)


@pytest.mark.parametrize(
    ("classes", "datatype"),
    [(POINTS[:, 0] > 0, BOOL), (np.where(POINTS[:, 0] > 0, 7, 3), INT64), (np.where(POINTS[:, 0] > 0, 1.0, 2.0), FP64)],
)
def test_labels_have_the_datatype_of_the_classes(classes: Any, datatype: Any, tmp_path: Path) -> None:
    estimator = LogisticRegression().fit(POINTS, classes)
    signature = Signature((MATRIX,), (Output("label", datatype, (-1,), "label"),), tuple(estimator.classes_.tolist()))
    assert predict(tmp_path, estimator, signature, [matrix(POINTS)]) == estimator.predict(POINTS).tolist()


def test_labels_of_an_array_of_objects_are_strings(tmp_path: Path) -> None:
    estimator = LogisticRegression().fit(POINTS, NAMES.astype(object))
    assert predict(tmp_path, estimator, CLASSIFIER, [matrix(POINTS)]) == estimator.predict(POINTS).tolist()


@pytest.mark.parametrize(("shape", "found"), [((-1,), (60,)), ((-1, 1), (60, 1))])
def test_a_regressor_gives_the_shape_of_its_signature(shape: tuple[int], found: tuple[int], tmp_path: Path) -> None:
    signature = Signature((MATRIX,), (Output("prediction", FP64, shape, "tensor"),))
    model = runtimes.load(store(tmp_path, Ridge().fit(POINTS, VALUES), signature), tmp_path, 1)
    assert model.predict([matrix(POINTS)])[0].shape == found


def test_a_regressor_of_several_outputs_gives_them_all(tmp_path: Path) -> None:
    estimator = LinearRegression().fit(POINTS, np.c_[VALUES, -VALUES])
    signature = Signature((MATRIX,), (Output("prediction", FP64, (-1, 2), "tensor"),))
    found = np.reshape(predict(tmp_path, estimator, signature, [matrix(POINTS)]), (60, 2))
    np.testing.assert_array_equal(found, estimator.predict(POINTS))


def test_whole_numbers_of_32_bits_become_those_of_64(tmp_path: Path) -> None:
    estimator = KMeans(2, n_init=1).fit(POINTS)
    signature = Signature((MATRIX,), (Output("prediction", INT64, (-1,), "tensor"),))
    assert predict(tmp_path, estimator, signature, [matrix(POINTS)]) == estimator.predict(POINTS).tolist()


def test_an_answer_is_never_cast_with_a_loss(tmp_path: Path) -> None:
    signature = Signature((MATRIX,), (Output("prediction", FP32, (-1,), "tensor"),))
    with pytest.raises(TypeError, match="according to the rule 'safe'"):
        predict(tmp_path, Ridge().fit(POINTS, VALUES), signature, [matrix(POINTS)])


def test_an_input_in_memory_that_cannot_be_written_is_fine(tmp_path: Path) -> None:
    frozen = Tensor(FP64, POINTS.shape, POINTS.tobytes())
    estimator = KNeighborsRegressor().fit(POINTS, VALUES)
    assert predict(tmp_path, estimator, REGRESSOR, [frozen]) == estimator.predict(POINTS).tolist()


def test_columns_of_numbers_make_a_matrix(tmp_path: Path) -> None:
    estimator = Ridge().fit(POINTS, VALUES)
    signature = Signature(tuple(Input(name, FP64, (-1, 1), "features") for name in "abc"), (NUMBER,))
    inputs = [Tensor(FP64, (60, 1), array("d", column.tolist())) for column in POINTS.T]
    assert predict(tmp_path, estimator, signature, inputs) == estimator.predict(POINTS).tolist()


def test_a_single_column_of_texts_goes_to_a_vectorizer(tmp_path: Path) -> None:
    estimator = make_pipeline(TfidfVectorizer(), Ridge()).fit(FLATS["note"], VALUES)
    signature = Signature((Input("text", BYTES, (-1,), "features"),), (NUMBER,))
    texts = ["quiet", "bright", "unknown"]
    assert predict(tmp_path, estimator, signature, [Tensor(BYTES, (3,), texts)]) == estimator.predict(texts).tolist()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_values_that_an_estimator_does_not_take_are_the_callers_fault(value: float, tmp_path: Path) -> None:
    estimator = DecisionTreeRegressor().fit(POINTS, VALUES) if value == 1e300 else Ridge().fit(POINTS, VALUES)
    model = runtimes.load(store(tmp_path, estimator, REGRESSOR), tmp_path, 1)
    points = POINTS.copy()
    points[3, 1] = value
    with pytest.raises(InvalidRequest, match="the model does not accept these values") as caught:
        model.predict([matrix(points)])
    assert isinstance(caught.value.__cause__, ValueError)


def test_threads_predict_at_the_same_time(tmp_path: Path) -> None:
    estimator = RandomForestRegressor(20).fit(POINTS, VALUES)
    model = runtimes.load(store(tmp_path, estimator, REGRESSOR), tmp_path, 1)
    batches = [POINTS[index : index + 5] for index in range(40)]
    found: dict[int, list[float]] = {}

    def work(first: int) -> None:
        for index in range(first, len(batches), 4):
            found[index] = model.predict([matrix(batches[index])])[0].values()

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    with warnings.catch_warnings():
        warnings.resetwarnings()  # scikit-learn warns where another thread of its own is changing the filters,
        warnings.simplefilter("ignore")  # which all threads share: none of them may make that an error
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [found[index] for index in range(40)] == [estimator.predict(batch).tolist() for batch in batches]


def test_altered_bytes_are_refused_before_they_are_parsed(tmp_path: Path) -> None:
    model = store(tmp_path, Ridge().fit(POINTS, VALUES), REGRESSOR, sha256="0" * 64)
    with pytest.raises(DigestMismatch, match="the lock pins"):
        runtimes.load(model, tmp_path, 1)


def test_a_shorter_file_is_refused(tmp_path: Path) -> None:
    model = store(tmp_path, Ridge().fit(POINTS, VALUES), REGRESSOR)
    (tmp_path / "model").write_bytes((tmp_path / "model").read_bytes()[:-1])
    with pytest.raises(DigestMismatch, match="has .* bytes with SHA-256"):
        runtimes.load(model, tmp_path, 1)


@pytest.mark.parametrize(
    ("form", "packages", "why"),
    [
        ("pickle", {"scikit-learn": "1.0.0"}, r"the lock: found scikit-learn 1\.0\.0, expected 1\.5\.2 or later"),
        ("pickle", {"scikit-learn": "99.0.0"}, r"scikit-learn .* the lock names 99\.0\.0"),
        ("pickle", {"numpy": "1.26.4"}, "another major version"),
        (
            "skops",
            {"skops": "0.15.1"},
            r"the lock: found skops 0\.15\.1, expected 0\.16\.0 or later; publish the model",
        ),
        ("skops", {"skops": "99.0"}, r"skops .* the lock names 99\.0"),
    ],
)
def test_other_libraries_are_refused_before_anything_is_parsed(
    form: str, packages: dict[str, str], why: str, tmp_path: Path
) -> None:
    model = description(tmp_path, b"\x80\x04N.", REGRESSOR, "pickle", packages=PACKAGES | packages, sha256="0" * 64)
    model = Description(**{name: getattr(model, name) for name in model.__slots__} | {"format": form})
    with pytest.raises(RuntimeMismatch, match=why):
        runtimes.load(model, tmp_path, 1)


def test_another_minor_version_of_numpy_is_fine(tmp_path: Path) -> None:
    packages = PACKAGES | {"numpy": "2.0.0"}
    model = store(tmp_path, Ridge().fit(POINTS, VALUES), REGRESSOR, packages=packages)
    assert runtimes.load(model, tmp_path, 1).predict([matrix(POINTS)])[0].shape == (60,)


def test_a_lock_without_a_version_of_scikit_learn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeMismatch, match="names no version of scikit-learn"):
        runtimes.load(store(tmp_path, Ridge().fit(POINTS, VALUES), REGRESSOR, packages={}), tmp_path, 1)


@pytest.mark.parametrize("form", ["pickle", "skops"])
def test_a_model_of_another_scikit_learn_is_refused(form: str, tmp_path: Path) -> None:
    found = sklearn.__version__
    other = found[:-1] + ("0" if found[-1] != "0" else "9")
    estimator = Ridge().fit(POINTS, VALUES)
    data = pickle.dumps(estimator, 5).replace(found.encode(), other.encode())
    if form == "skops":
        data = with_schema(skops.io.dumps(estimator), lambda schema: schema.replace(found, other))
    with pytest.raises(RuntimeMismatch, match=rf"a Ridge was saved by scikit-learn {other}, and {found}"):
        runtimes.load(description(tmp_path, data, REGRESSOR, form), tmp_path, 1)


def test_a_pickle_outside_of_its_list_is_refused(tmp_path: Path) -> None:
    estimator = Ridge().fit(POINTS, VALUES)
    names = tuple(name for name in scan(pickle.dumps(estimator, 5)) if not name.endswith(".Ridge"))
    with pytest.raises(UnsafePickle, match=r"sklearn\.linear_model\._ridge\.Ridge at byte"):
        runtimes.load(store(tmp_path, estimator, REGRESSOR, allowed=names), tmp_path, 1)


def test_a_skops_file_outside_of_its_list_is_refused(tmp_path: Path) -> None:
    estimator = DecisionTreeRegressor().fit(POINTS, VALUES)
    with pytest.raises(UnsafePickle, match=r"sklearn\.tree\._tree\.Tree"):
        runtimes.load(store(tmp_path, estimator, REGRESSOR, "skops", allowed=()), tmp_path, 1)


def test_a_skops_file_cannot_be_allowed_what_is_forbidden(tmp_path: Path) -> None:
    model = store(tmp_path, Ridge().fit(POINTS, VALUES), REGRESSOR, "skops", allowed=("operator.attrgetter",))
    with pytest.raises(UnsafePickle, match=r"operator\.attrgetter"):
        runtimes.load(model, tmp_path, 1)


def test_a_file_that_is_no_skops_file_is_refused(tmp_path: Path) -> None:
    model = description(tmp_path, b"PK\x03\x04 and no more", REGRESSOR, "skops", allowed=())
    with pytest.raises(ModelError, match="skops cannot load"):
        runtimes.load(model, tmp_path, 1)


def test_what_does_not_predict_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="StandardScaler, expected an estimator with predict"):
        runtimes.load(store(tmp_path, StandardScaler().fit(POINTS), REGRESSOR), tmp_path, 1)


def test_an_estimator_is_loaded_once_whatever_the_processors(tmp_path: Path) -> None:
    records = Records()
    (tmp_path / "stored").mkdir()
    model = store(tmp_path / "stored", LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), REGRESSOR)
    objects = MemoryStore({"model/1/model": (tmp_path / "stored/model").read_bytes()})
    clock = StepClock()
    loader = Loader(Plan(model, objects, tmp_path / "loaded", 2, clock, clock.sleep, forks=True), records, {}, 0.0)
    loader.start(540.0)
    before = loader.model(clock.now)
    loader.after_fork()
    assert loader.model(clock.now) is before
    (record,) = records.cold_starts
    assert (record.state, "reload" in record.phases_ms) == ("ready", False)

"""The models that other tests use are what they say."""

from __future__ import annotations

import pickle
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io

import models
from models import Trained


@pytest.fixture(scope="module")
def rents(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return models.rents(tmp_path_factory.mktemp("rents"))


@pytest.fixture(scope="module")
def three_classes(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return models.three_classes(tmp_path_factory.mktemp("three-classes"))


def test_rents_are_the_same_in_onnx(rents: Trained) -> None:
    drawn = rents.draw(2000, models.new_seed())
    frame = pd.DataFrame(drawn.instances)
    feeds = {name: frame[[name]].to_numpy(object if name == "city" else np.float32) for name in models.COLUMNS}
    (found,) = models.run_onnx(rents.files["onnx"], feeds).values()
    np.testing.assert_allclose(found[:, 0], drawn.predictions, rtol=1e-5)


def test_rents_are_drawn_for_known_and_unknown_cities(rents: Trained) -> None:
    cities = {flat["city"] for flat in rents.draw(500, models.new_seed()).instances}
    assert cities == {*models.CITIES, "Elsewhere"}


def test_three_classes_are_the_same_in_onnx(three_classes: Trained) -> None:
    drawn = three_classes.draw(2000, models.new_seed())
    found = models.run_onnx(three_classes.files["onnx"], {"features": np.array(drawn.instances, np.float32)})
    assert found["label"].tolist() == drawn.predictions
    np.testing.assert_allclose(found["probabilities"], drawn.probabilities, atol=1e-5)


def test_three_classes_are_all_drawn(three_classes: Trained) -> None:
    assert set(three_classes.draw(500, models.new_seed()).predictions) == {1, 2, 3}


@pytest.mark.parametrize("name", ["rents", "three_classes"])
def test_every_form_gives_the_pipelines_answers(name: str, request: pytest.FixtureRequest) -> None:
    trained: Trained = request.getfixturevalue(name)
    drawn = trained.draw(50, models.new_seed())
    rows = pd.DataFrame(drawn.instances) if name == "rents" else np.array(drawn.instances)
    for pipeline in (
        pickle.loads(trained.files["pickle"].read_bytes()),
        joblib.load(trained.files["joblib"]),
        skops.io.load(trained.files["skops"]),
    ):
        assert pipeline.predict(rows).tolist() == drawn.predictions


def test_a_seed_draws_the_same_rows_again(rents: Trained) -> None:
    assert rents.draw(5, seed=1) == rents.draw(5, seed=1) != rents.draw(5, seed=2)


def test_plain_tensors_are_doubled_and_summed(tmp_path: Path) -> None:
    instances = [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.5]], [[0.0, -1.0, 0.5], [0.0, 0.0, 0.0]]]
    found = models.run_onnx(models.plain_tensors(tmp_path), {"signal": np.array(instances, np.float32)})
    assert found["doubled"][0].tolist() == [[2.0, 4.0, 6.0], [8.0, 10.0, 13.0]]
    assert found["sums"].tolist() == [[6.0, 15.5], [-0.5, 0.0]]
    assert {name: values.tolist() for name, values in found.items()} == models.plain_answers(instances)

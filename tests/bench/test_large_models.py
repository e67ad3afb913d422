from __future__ import annotations

from functools import partial
from pathlib import Path

import joblib
import numpy as np
import onnx
import pytest

from large_models import mlp, resnet18, small_forest, transformer
from models import run_onnx

_SMALL_MLP = partial(mlp, widths=(16, 8, 4))
_SMALL_TRANSFORMER = partial(transformer, layers=2, width=128, words=100)


@pytest.mark.parametrize(
    ("make", "output", "shape"),
    [
        pytest.param(_SMALL_MLP, "scores", (1, 4), id="mlp"),
        pytest.param(resnet18, "scores", (1, 1000), id="resnet18"),
        pytest.param(_SMALL_TRANSFORMER, "last_hidden_state", (1, 16, 128), id="transformer"),
    ],
)
def test_a_model_answers_its_sample_with_numbers_that_differ(
    make: partial[dict[str, np.ndarray]], output: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    file = tmp_path / "model.onnx"

    answered = run_onnx(file, make(file))[output]

    assert answered.shape == shape
    assert np.isfinite(answered).all()
    assert answered.std() > 0.01
    onnx.checker.check_model(onnx.load(file), full_check=True)


@pytest.mark.parametrize("make", [_SMALL_MLP, _SMALL_TRANSFORMER], ids=["mlp", "transformer"])
def test_a_model_is_the_same_each_time(make: partial[object], tmp_path: Path) -> None:
    make(tmp_path / "once.onnx")
    make(tmp_path / "again.onnx")

    assert (tmp_path / "once.onnx").read_bytes() == (tmp_path / "again.onnx").read_bytes()


def test_the_forest_is_that_of_scikit_learn(tmp_path: Path) -> None:
    rows = small_forest(tmp_path / "forest.onnx")

    found = run_onnx(tmp_path / "forest.onnx", rows)["probabilities"]

    expected = joblib.load(tmp_path / "forest.joblib").predict_proba(rows["features"])
    assert np.allclose(found, expected, atol=1e-5)

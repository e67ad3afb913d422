"""scikit-learn models behind V2: a matrix, or a column for each feature, strings among them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import drivers
import models
from cases import JSON
from contract.conftest import _core
from drivers import Driver
from harness import pinned

FORMS = {"skops": "sklearn_skops", "pickle": "sklearn_pickle"}


def infer(driver: Driver, model: str, inputs: list[dict[str, Any]]) -> list[Any]:
    reply = driver("POST", f"/v2/models/{model}/infer", JSON, json.dumps({"inputs": inputs}).encode())
    assert reply.status == 200, reply.body
    return [output["data"] for output in json.loads(reply.body)["outputs"]]


def described(driver: Driver, model: str) -> Any:
    return json.loads(driver("GET", f"/v2/models/{model}", {}, b"").body)


@pytest.mark.parametrize("form", FORMS)
def test_columns_of_strings_and_numbers_are_an_input_each(form: str, tmp_path: Path) -> None:
    trained = models.rents(tmp_path, models.new_seed())
    served = drivers.core(_core(pinned(trained.files[form], "rents", tmp_path / "pins"), tmp_path / "tmp"))
    expected = trained.draw(20, models.new_seed())
    metadata = described(served, "rents")
    assert metadata["platform"] == FORMS[form]
    inputs = [
        {**entry, "shape": [20], "data": [row[entry["name"]] for row in expected.instances]}
        for entry in metadata["inputs"]
    ]
    assert {entry["datatype"] for entry in inputs} == {"BYTES", "FP64"}
    (rents,) = infer(served, "rents", inputs)
    assert rents == pytest.approx(expected.predictions)


@pytest.mark.parametrize("form", FORMS)
def test_features_of_one_datatype_are_a_matrix_or_a_column_each(form: str, tmp_path: Path) -> None:
    trained = models.sample()
    served = drivers.core(_core(pinned(trained.files[form], "cancer", tmp_path / "pins"), tmp_path / "tmp"))
    expected = trained.draw(10, models.new_seed())
    (matrix,) = described(served, "cancer")["inputs"]
    rows = [list(row.values()) for row in expected.instances]
    whole = infer(served, "cancer", [{**matrix, "shape": [10, 30], "data": rows}])
    assert whole[0] == expected.predictions
    columns = [
        {
            "name": name,
            "datatype": matrix["datatype"],
            "shape": [10, 1],
            "data": [row[name] for row in expected.instances],
        }
        for name in expected.instances[0]
    ]
    assert infer(served, "cancer", columns) == whole

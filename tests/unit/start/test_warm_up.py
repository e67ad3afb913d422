from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from doubles import FunctionModel, description
from pilotlight.errors import FormatError, ModelError
from pilotlight.model.tensor import Tensor
from pilotlight.start.warm_up import prime

GOLDEN: dict[str, Any] = {
    "format": 1,
    "source": "given",
    "tolerance": {"absolute": 0, "relative": 0},
    "samples": [
        {
            "inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}],
            "outputs": [{"name": "label", "datatype": "BYTES", "shape": [1], "data": ["small"]}],
        },
        {
            "inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [4, 5, 6]}],
            "outputs": [{"name": "label", "datatype": "BYTES", "shape": [1], "data": ["large"]}],
        },
    ],
}


def written(folder: Path, document: object) -> Path:
    """Return a golden.json."""
    file = folder / "golden.json"
    file.write_text(json.dumps(document))
    return file


class Asked:
    """Keeps what a model was asked, and answers otherwise than the samples say."""

    def __init__(self) -> None:
        self.values: list[list[Any]] = []

    def __call__(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        self.values += [tensor.values() for tensor in inputs]
        return ()


def test_the_first_sample_is_predicted_whatever_comes_out(tmp_path: Path) -> None:
    asked = Asked()
    prime(FunctionModel(asked), description(), written(tmp_path, GOLDEN))
    assert asked.values == [[1.0, 2.0, 3.0]]


def test_without_samples_nothing_is_predicted(tmp_path: Path) -> None:
    asked = Asked()
    prime(FunctionModel(asked), description(), written(tmp_path, {**GOLDEN, "samples": []}))
    assert asked.values == []


def test_a_model_that_fails_on_its_sample_cannot_be_served(tmp_path: Path) -> None:
    def fail(_: Sequence[Tensor]) -> tuple[Tensor, ...]:
        raise ValueError("shapes do not fit")

    with pytest.raises(ModelError, match=r"fails on the first sample in golden.json: ValueError: shapes do not fit"):
        prime(FunctionModel(fail), description(), written(tmp_path, GOLDEN))


def test_samples_of_another_model_are_an_error_too(tmp_path: Path) -> None:
    inputs = [{"name": "pixels", "datatype": "FP32", "shape": [1], "data": [1]}]
    other = {**GOLDEN, "samples": [{**GOLDEN["samples"][0], "inputs": inputs}]}
    with pytest.raises(ModelError, match="'features'"):
        prime(FunctionModel(Asked()), description(), written(tmp_path, other))


def test_a_golden_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="golden.json: cannot be read .*; 'pilotlight pin' writes it"):
        prime(FunctionModel(Asked()), description(), tmp_path / "golden.json")
    with pytest.raises(FormatError, match="golden.json: "):
        prime(FunctionModel(Asked()), description(), written(tmp_path, {}))

"""Inspecting a folder: the signature and the golden samples are those of the files beside the model."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from onnx_models import wide
from pilotlight.errors import FormatError, ModelError
from pilotlight.model.signature import write_signature
from pilotlight_cli.registry.json_document import to_bytes
from pilotlight_cli.sandbox.inspection import Inspection, inspect
from pilotlight_cli.sources import obtained
from pilotlight_cli.sources.inspecting import inspect_source
from repository import SAMPLE

COLUMNS: list[dict[str, object]] = [{"type": "double", "name": name, "required": True} for name in ("width", "height")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give an MLflow folder whose model takes two columns, which only its MLmodel names."""
    shutil.move(wide(tmp_path, 2), tmp_path / "model.onnx")
    describe(tmp_path, COLUMNS)
    example = {"columns": ["width", "height"], "data": [[1.0, 2.0], [3.0, 4.0]]}
    (tmp_path / "input_example.json").write_text(json.dumps(example))
    return tmp_path


def describe(folder: Path, columns: list[dict[str, object]]) -> None:
    lines = ["flavors: {onnx: {data: model.onnx}}", f"signature: {{inputs: '{json.dumps(columns)}'}}"]
    lines.append("saved_input_example_info: {artifact_path: input_example.json, type: dataframe}")
    (folder / "MLmodel").write_text("\n".join(lines))


def inspected(folder: Path, signature: bytes | None = None, golden: bytes | None = None) -> Inspection:
    asked = partial(inspect, format=None, allow=())
    return inspect_source(obtained(str(folder)), asked, signature=signature, golden=golden)


def test_a_signature_and_an_example_of_mlflow_are_taken_over(folder: Path) -> None:
    found = inspected(folder)
    assert found.signature.feature_names == ("width", "height")
    assert found.golden.generated is False
    assert found.golden.samples[0].inputs[0].data == (1.0, 2.0, 3.0, 4.0)
    assert found.notes == (
        f"{folder} is an MLflow model of the flavor onnx; model.onnx is taken",
        "the golden samples are the rows of input_example.json",
        "the features have their names from MLmodel",
    )


def test_the_publishers_own_files_win_over_those_of_a_folder(folder: Path) -> None:
    own = inspected(folder).signature
    describe(folder, [*COLUMNS, COLUMNS[0]])
    found = inspected(folder, to_bytes(write_signature(own)), b'{"instances": [[5, 6]]}')
    assert found.signature == own
    assert found.golden.samples[0].inputs[0].data == (5.0, 6.0)
    assert "the signature is that of --signature, not of MLmodel" in found.notes


def test_an_example_that_does_not_fit_names_its_file(folder: Path) -> None:
    (folder / "input_example.json").write_text('{"columns": ["width", "height"], "data": [["wide", 2.0]]}')
    with pytest.raises(FormatError, match=r"^input_example.json: "):
        inspected(folder)


def test_golden_samples_that_do_not_fit_are_not_blamed_on_the_folder(folder: Path) -> None:
    with pytest.raises(FormatError) as error:
        inspected(folder, golden=b'{"instances": [["wide", 2]]}')
    assert "input_example" not in str(error.value)


def test_a_column_too_many_is_refused(folder: Path) -> None:
    describe(folder, [*COLUMNS, {"type": "double", "name": "depth"}])
    with pytest.raises(ModelError, match="MLmodel declares 3 columns .width, height, depth., but the model takes 2"):
        inspected(folder)


CONFIG = """
max_batch_size: 4
input [ { name: "features" data_type: TYPE_FP32 dims: [ 30 ] } ]
output [ { name: "probabilities" data_type: TYPE_FP32 dims: [ %d ] } ]
"""


def test_a_version_in_tritons_repository_is_compared_with_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "2").mkdir()
    shutil.copy(SAMPLE / "model.onnx", tmp_path / "2")
    (tmp_path / "config.pbtxt").write_text(CONFIG % 2)
    assert inspected(tmp_path).signature.labels == ("benign", "malignant")
    (tmp_path / "config.pbtxt").write_text(CONFIG % 3)
    with pytest.raises(ModelError) as error:
        inspected(tmp_path)
    assert str(error.value) == (
        "config.pbtxt declares the output 'probabilities' of shape [-1, 3], but the model has [-1, 2]; correct "
        "config.pbtxt, or describe the model with --signature"
    )

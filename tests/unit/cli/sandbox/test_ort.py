"""What `publish` makes of a model in ONNX Runtime's own format."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import NodeProto, TensorProto, helper, save

import models
from onnx_models import ort_form
from pilotlight.errors import FormatError, ModelError
from pilotlight_cli.sandbox.child.onnx_metadata import WRITER, mark
from pilotlight_cli.sandbox.inspection import Inspection, inspect
from pilotlight_cli.sandbox.job import UsageError


def inspected(path: Path, signature: str = "", **options: str) -> Inspection:
    return inspect(path, format=None, signature=signature.encode(), golden=None, allow=(), **options)  # type: ignore[arg-type]


def any_columns(folder: Path, node: NodeProto) -> Path:
    """Write a model of a matrix of any number of columns, in ONNX Runtime's own format."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", "M"]) for name in "xy")
    graph = helper.make_graph([node], "any", [x], [y])
    path = folder / "any.onnx"
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return ort_form(path)


def test_it_is_published_with_the_release_that_read_it(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(models.sample().files["onnx"].read_bytes())

    plain, found = inspected(path), inspected(ort_form(path))

    assert (found.format, [file.name for file in found.files]) == ("ort", ["model.ort"])
    assert found.runtime == plain.runtime
    assert "onnxruntime" in found.runtime.packages
    assert found.signature == plain.signature
    assert found.golden == plain.golden


def test_one_that_another_release_wrote_is_refused(tmp_path: Path) -> None:
    path = models.plain_tensors(tmp_path)
    mark(path, {WRITER: "1.99.0"})
    with pytest.raises(
        ModelError, match=r"\.ort was written by onnxruntime 1\.99\.0, expected \S+; make it again .* --one-file"
    ):
        inspected(ort_form(path))


def test_rows_of_any_length_are_published_where_every_node_compares_them(tmp_path: Path) -> None:
    found = inspected(any_columns(tmp_path, helper.make_node("Relu", ["x"], ["y"])))
    assert (found.signature.inputs[0].shape, found.signature.inputs[0].role) == ((-1, -1), "tensor")


def test_columns_that_a_node_does_not_compare_have_to_be_said(tmp_path: Path) -> None:
    node = helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[1.0] * 3, scale=[2.0] * 3)
    path = any_columns(tmp_path, node)
    with pytest.raises(ModelError, match=r"does not say how many columns its input 'x' .* has; give them with"):
        inspected(path)
    ends = '[{{"name": "{0}", "datatype": "FP32", "shape": [-1, 3], "role": "tensor"}}]'
    said = f'{{"inputs": {ends.format("x")}, "outputs": {ends.format("y")}}}'
    assert inspected(path, said).signature.inputs[0].shape == (-1, 3)
    with pytest.raises(FormatError, match=r"found FP64, expected FP32 as the model has it"):
        inspected(path, said.replace("FP32", "FP64"))


def test_options_of_other_formats_are_wrong_usage(tmp_path: Path) -> None:
    path = ort_form(models.plain_tensors(tmp_path))
    with pytest.raises(UsageError, match=r"is an ORT model, but --format says onnx; leave --format out"):
        inspect(path, format="onnx", signature=None, golden=None, allow=())
    with pytest.raises(UsageError, match=r"--method is for scikit-learn; leave it out"):
        inspected(path, method="predict")

"""Weights of 8 bits: kept if they are faster and within the tolerance, and the sentence that says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from typer.testing import CliRunner

from pilotlight.model.golden import Golden, Sample, Values
from pilotlight.model.tensor import FP32
from pilotlight_cli.converting.convert import CHILD
from pilotlight_cli.converting.quantizing import choose, quantize
from pilotlight_cli.main import app
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sandbox.limits import DEFAULT

MEASURED = {"agrees": True, "largest": 0.01, "times": [2.0, 1.0], "sizes": [400, 100]}


@pytest.mark.parametrize(
    ("change", "kept", "why"),
    [
        ({}, True, "kept int8 (1 ms instead of 2 ms, 100 bytes instead of 400, largest difference 0.01)"),
        ({"agrees": False}, False, "kept FP32: int8 is not within the tolerance of the golden samples (1 ms"),
        ({"times": [2.0, 1.95]}, False, "kept FP32: int8 is not faster (1.95 ms instead of 2 ms"),
        ({"times": [1.0, 2.0], "agrees": False}, False, "not within the tolerance"),
    ],
)
def test_int8_is_kept_if_it_is_faster_and_within_the_tolerance(change: dict[str, object], kept: bool, why: str) -> None:
    found, note = choose(MEASURED | change)

    assert found == kept
    assert why in note


def dense(folder: Path, dtype: str = "float32") -> Path:
    """Write a product with a large matrix."""
    weights = np.random.RandomState(0).normal(size=(64, 8)).astype(dtype)
    kind = helper.np_dtype_to_tensor_dtype(weights.dtype)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["features", "weights"], ["prediction"])],
        "dense",
        [helper.make_tensor_value_info("features", kind, ["batch", 64])],
        [helper.make_tensor_value_info("prediction", kind, ["batch", 8])],
        [numpy_helper.from_array(weights, "weights")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), folder / "model.onnx"
    )
    return folder / "model.onnx"


def golden(tolerance: float, *, samples: bool = True) -> Golden:
    row = tuple(float(value) for value in np.random.RandomState(1).normal(size=64))
    sample = Sample((Values("features", FP32, (1, 64), row),), ())
    return Golden((sample,) if samples else (), absolute=tolerance, relative=0.0)


def test_weights_of_8_bits_that_answer_otherwise_are_not_kept(tmp_path: Path) -> None:
    model = dense(tmp_path)

    kept, note = quantize(model, golden(1e-6), "the model", DEFAULT.limits(1000), CHILD)

    assert kept == model
    assert "not within the tolerance" in note


def test_weights_of_8_bits_are_within_a_wide_tolerance(tmp_path: Path) -> None:
    _, note = quantize(dense(tmp_path), golden(10.0), "the model", DEFAULT.limits(1000), CHILD)

    assert "tolerance" not in note  # the rest is a matter of this processor
    assert onnx.load(tmp_path / "quantized.onnx").graph.node[0].op_type == "DynamicQuantizeLinear"


def test_a_graph_of_doubles_has_nothing_for_8_bits(tmp_path: Path) -> None:
    model = dense(tmp_path, "float64")

    kept, note = quantize(model, golden(10.0), "the model", DEFAULT.limits(1000), CHILD)

    assert kept == model
    assert note == "kept the graph as it is: it has no products with FP32 weights, which int8 is for"


def test_rows_are_no_golden_samples(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("a,b\n1,2\n")
    options = ["out.onnx", "--quantize", "int8", "--golden", str(rows)]
    result = CliRunner().invoke(app, ["convert", str(dense(tmp_path)), *options])
    said = " ".join(result.stderr.split())
    assert (result.exit_code, "rows.csv: $: not valid JSON" in said) == (2, True)
    assert "expected a golden.json, whose tolerance decides: rows alone have none" in said


def test_golden_samples_are_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--golden has no samples"):
        quantize(dense(tmp_path), golden(1.0, samples=False), "the model", DEFAULT.limits(1000), CHILD)
    result = CliRunner().invoke(app, ["convert", str(tmp_path / "model.onnx"), "out.onnx", "--quantize", "int8"])
    assert (result.exit_code, "--quantize and --golden belong together" in result.stderr) == (2, True)

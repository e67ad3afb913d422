"""Networks of PyTorch and Keras as ONNX, each made and converted in an environment of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from pilotlight_cli.converting.child.errors import CannotConvert
from pilotlight_cli.converting.child.networks import rows_of
from pilotlight_cli.converting.child.rows import Given
from pilotlight_cli.converting.environment import prepare, requirements
from pilotlight_cli.converting.sources import Source
from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.main import app
from torch_builds import require_cpu_build

pytestmark = pytest.mark.slow

_MAKE = """
import os, torch
os.environ["KERAS_BACKEND"], os.environ["KERAS_HOME"] = "torch", os.getcwd()
import keras

torch.manual_seed(0)
nn = torch.nn
net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3), nn.Softmax(dim=1)).eval()
batch = ({0: torch.export.Dim("batch")},)
torch.export.save(torch.export.export(net, (torch.zeros(2, 4),), dynamic_shapes=batch), "free.pt2")
torch.export.save(torch.export.export(net, (torch.zeros(1, 4),)), "fixed.pt2")
torch.jit.trace(net, torch.zeros(1, 4)).save("traced.pt")
torch.save(net, "pickled.pt")

keras.utils.set_random_seed(0)
layers = keras.layers
keras.Sequential([keras.Input((4,)), layers.Dense(16, activation="relu"), layers.Dense(3)]).save("dense.keras")
image = keras.Input((12, 12, 1))
found = layers.Flatten()(layers.MaxPooling2D()(layers.BatchNormalization()(layers.Conv2D(4, 3)(image))))
keras.Model(image, layers.Dense(5, activation="softmax")(found)).save("image.keras")
words = [keras.Input((6,)), layers.Embedding(50, 8), layers.LSTM(8), layers.Dense(1, activation="sigmoid")]
keras.Sequential(words).save("words.keras")
ends = {"b": keras.Input((2,), name="b"), "a": keras.Input((3,), name="a")}
sums = {"sum": layers.Dense(1)(layers.Concatenate()([ends["b"], ends["a"]])), "twice": layers.Dense(2)(ends["a"])}
keras.Model(ends, sums).save("named.keras")


@keras.saving.register_keras_serializable()
class Own(layers.Layer):
    def call(self, given):
        return given * 2


keras.Sequential([keras.Input((4,)), Own()]).save("own.keras")
keras.Sequential([keras.Input((4,)), layers.Lambda(lambda given: given * 2)]).save("lambda.keras")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with networks of all forms, where PyTorch can be had."""
    require_cpu_build()
    made = tmp_path_factory.mktemp("networks")
    source = Source("keras", "", {"keras": "3.15.1"})
    environment = prepare(requirements(source, ()), "the networks")
    subprocess.run(
        [*isolated_python(environment.python), "-W", "ignore", "-c", _MAKE],
        env={"PYTHONPATH": str(environment.packages), "PATH": os.environ["PATH"], "HOME": str(made)},
        cwd=made,
        check=True,
    )
    return made


def run(*arguments: str | Path, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["convert", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("free.pt2", [4], ["--trust"]),
        ("traced.pt", [4], ["--rows"]),
        ("dense.keras", [4], []),
        ("image.keras", [12, 12, 1], []),
        ("words.keras", [6], []),
    ],
)
def test_a_network_answers_as_its_library(
    name: str, shape: list[int], options: list[str], folder: Path, tmp_path: Path
) -> None:
    if options == ["--rows"]:
        (tmp_path / "rows.json").write_text(json.dumps({"instances": [[1, 2, 3, 4], [0, 0.5, -1, 7]]}))
        options = ["--rows", str(tmp_path / "rows.json")]

    found = json.loads(run(folder / name, tmp_path / "out.onnx", "--json", *options).stdout)

    assert found["rows"] == (2 if "--rows" in options else 10_000)
    assert found["largest"] < 1e-5
    (features,) = onnx.load(tmp_path / "out.onnx").graph.input
    batch, *rest = features.type.tensor_type.shape.dim
    assert features.name == "features"
    assert batch.dim_param
    assert [each.dim_value for each in rest] == shape


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("fixed.pt2", ["--trust"], r"the first dimension of .* is fixed \(1\), expected a free batch"),
        ("free.pt2", [], "loads it, which can run any code; if you trust its source, add --trust"),
        ("traced.pt", [], "does not say the shape of its input; give rows with --rows FILE"),
        ("pickled.pt", ["--trust"], "a pickle of PyTorch; it needs the classes of the script"),
        ("own.keras", [], r"own.keras cannot be loaded: Could not locate class 'Own'; build the model of Keras's own"),
        ("lambda.keras", [], "lambda.keras cannot be loaded: .* whose `function` is a Python lambda; build the model"),
    ],
)
def test_a_network_that_cannot_be_converted_is_refused(
    name: str, options: list[str], why: str, folder: Path, tmp_path: Path
) -> None:
    result = CliRunner().invoke(app, ["convert", str(folder / name), str(tmp_path / "out.onnx"), *options])

    assert result.exit_code in (1, 2)
    assert re.search(why, result.stderr), result.stderr


def test_inputs_and_outputs_by_name_are_compared_with_the_librarys(folder: Path, tmp_path: Path) -> None:
    found = json.loads(run(folder / "named.keras", tmp_path / "out.onnx", "--json").stdout)

    assert (found["rows"], found["largest"] < 1e-5) == (10_000, True)
    graph = onnx.load(tmp_path / "out.onnx").graph
    assert sorted(value.name for value in graph.input) == ["a", "b"]
    assert [value.name for value in graph.output] == ["sum", "twice"]


def test_rows_of_another_shape_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    result = run(folder / "dense.keras", tmp_path / "out.onnx", "--rows", tmp_path / "rows.csv", code=1)

    assert "rows.csv has rows of shape [2], expected [4] as the network's" in result.stderr


@pytest.mark.parametrize(
    ("rows", "numbers"),
    [
        ([{"a": "1", "b": ""}, {"b": "4", "a": "3"}], [[1, np.nan], [3, 4]]),
        ([[[1], [2]], [[3], [None]]], [[[1], [2]], [[3], [np.nan]]]),
    ],
)
def test_rows_are_the_numbers_of_one_tensor(rows: list[Any], numbers: list[Any]) -> None:
    np.testing.assert_array_equal(rows_of(Given("rows.csv", rows)), numbers)


@pytest.mark.parametrize("rows", [[1, 2], [[1, 2], [3]], [{"a": "x"}], [{"a": 1}, {"b": 1}], [{"a": 1}, [1]]])
def test_rows_that_are_no_tensor_are_refused(rows: list[Any]) -> None:
    with pytest.raises(CannotConvert, match=r"^rows\.csv: (found the shape \[2\], )?expected rows of numbers"):
        rows_of(Given("rows.csv", rows))

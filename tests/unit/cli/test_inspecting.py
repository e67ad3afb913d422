"""`pilotlight inspect` and `pilotlight repair`: what they print, and what they write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

import converters as made
import models
from converters import constant, floats, node, save
from pilotlight_cli.main import app
from repository import SAMPLE


def run(*arguments: str | Path, code: int = 0) -> Any:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == code, result.output
    return result


def test_inspect_prints_what_publish_would_make_of_a_file(tmp_path: Path) -> None:
    result = run("inspect", made.lightgbm_classifier(tmp_path))
    shown = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert shown[0] == "runtime onnx on onnxruntime-python"
    assert "golden samples 1, generated" in shown
    assert "input input FP32 [any, 4] features 4 features: f0 to f3; may be missing" in shown
    assert shown[-1].endswith("--signature > signature.json")
    assert "note: ZipMap was taken out" in result.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "model.onnx"]


def test_the_signature_that_inspect_prints_is_one_for_publish(tmp_path: Path) -> None:
    path = made.lightgbm_classifier(tmp_path)
    document = json.loads(run("inspect", path, "--signature").stdout)
    document["inputs"][0]["feature_names"] = ["a", "b", "c", "d"]
    (tmp_path / "signature.json").write_text(json.dumps(document))
    options = ("--name", "a", "--store", (tmp_path / "store").as_uri(), "--json")
    published = json.loads(run("publish", path, "--signature", tmp_path / "signature.json", *options).stdout)
    assert published["manifest"]["signature"] == document


@pytest.mark.parametrize("file", ["model.onnx", "model.pkl", "model.skops"])
def test_inspect_as_json_has_all_of_any_format(file: str) -> None:
    document = json.loads(run("inspect", SAMPLE / file, "--json").stdout)
    assert document["format"] in ("onnx", "pickle", "skops")
    assert document["files"][0]["size"] > 1000
    assert document["golden"]["samples"]
    assert len(document["signature"]["inputs"][0]["feature_names"]) == 30
    assert document.keys() == {
        "format",
        "files",
        "runtime",
        "signature",
        "golden",
        "allowed_globals",
        "extra_globals",
        "notes",
    }


def fixed(folder: Path) -> Path:
    return save(folder, [node("Neg", ["x"], ["y"])], [floats("x", 1, 4)], [floats("y", 1, 4)])


def coupled(folder: Path) -> Path:
    return save(folder, [node("Softmax", ["x"], ["y"], axis=0)], [floats("x", 8, 4)], [floats("y", 8, 4)])


def worded(folder: Path) -> Path:
    lower = node("StringNormalizer", ["x"], ["z"], case_change_action="LOWER", locale="en_US.UTF-8")
    encode = node("LabelEncoder", ["z"], ["y"], domain="ai.onnx.ml", keys_strings=["a"], values_floats=[1.0])
    return save(
        folder, [lower, encode], [helper.make_tensor_value_info("x", TensorProto.STRING, ["N"])], [floats("y", "N")]
    )


def any_width(folder: Path) -> Path:
    weights = constant("w", np.ones((4, 2), np.float32))
    return save(
        folder, [node("MatMul", ["x", "w"], ["y"])], [floats("x", None, None)], [floats("y", None, 2)], [weights]
    )


REPAIRS: dict[str, tuple[Callable[[Path], Path], list[str]]] = {
    "ZipMap": (
        made.catboost_classifier,
        ["ZipMap was taken out: the output 'probabilities' is a tensor with a column for each of its 2 labels"],
    ),
    "a shape": (
        made.catboost_regressor,
        ["the shape [any, 1] was declared for 'predictions' (before: [any])"],
    ),
    "a width": (any_width, ["the shape [any, 4] was declared for 'x' (before: [any, any])"]),
    "a batch": (fixed, ["the batch, fixed at 1, was made free: a row is answered in any batch as by itself"]),
}


@pytest.mark.parametrize("case", REPAIRS)
def test_repair_writes_a_model_that_needs_none_and_answers_alike(case: str, tmp_path: Path) -> None:
    make, changes = REPAIRS[case]
    path, out = make(tmp_path), tmp_path / "out" / "better.onnx"
    given = path.read_bytes()
    lines = run("repair", path, out).stdout.splitlines()
    assert lines == [*changes, "", f"Wrote {out}"]
    onnx.checker.check_model(out)
    name = onnx.load(out).graph.input[0].name
    before, after = (models.run_onnx(each, {name: made.POINTS[:1]}) for each in (path, out))
    assert after.keys() == before.keys()
    assert all(np.array_equal(after[each], before[each]) for each in after if isinstance(before[each], np.ndarray))
    assert run("repair", out, tmp_path / "again.onnx").stdout == "better.onnx needs no repair\n"
    assert not (tmp_path / "again.onnx").exists()
    assert path.read_bytes() == given


def test_repair_replaces_a_locale(tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    assert "which Amazon Linux lacks, was replaced by C.UTF-8" in run("repair", worded(tmp_path), out).stdout
    words = np.array(["A"], object)
    assert models.run_onnx(out, {"x": words})["y"].tolist() == [1.0]


def test_repair_says_what_it_cannot_change(tmp_path: Path) -> None:
    result = run("repair", coupled(tmp_path), tmp_path / "out.onnx")
    assert "note: the batch is fixed: each request has 8 rows" in result.stderr
    assert result.stdout == "model.onnx needs no repair\n"


def test_repair_puts_names_and_labels_into_the_metadata(tmp_path: Path) -> None:
    path, out = made.catboost_classifier(tmp_path), tmp_path / "out.onnx"
    document = json.loads(run("repair", path, out, "--names", "a,b,c,d", "--labels", '["no","yes"]', "--json").stdout)
    assert document["changes"][:2] == [
        "4 names were put into the metadata pilotlight.feature_names",
        "2 names were put into the metadata pilotlight.labels",
    ]
    assert document["files"] == [str(out)]
    signature = json.loads(run("inspect", out, "--signature").stdout)
    assert signature["inputs"][0]["feature_names"] == ["a", "b", "c", "d"]
    assert signature["labels"] == ["no", "yes"]


def test_repair_takes_names_from_a_signature(tmp_path: Path) -> None:
    path, out = made.lightgbm_classifier(tmp_path), tmp_path / "out.onnx"
    document = json.loads(run("inspect", path, "--signature").stdout)
    document["inputs"][0]["feature_names"] = ["a", "b", "c", "d"]
    (tmp_path / "signature.json").write_text(json.dumps(document))
    run("repair", path, out, "--signature", tmp_path / "signature.json")
    assert json.loads(run("inspect", out, "--signature").stdout) == document


def test_repair_gathers_external_data(tmp_path: Path) -> None:
    rows = [np.full(300, value, np.float32) for value in (1, 2)]
    path = save(
        tmp_path,
        [node("Add", ["x", "one"], ["sum"]), node("Add", ["sum", "two"], ["y"])],
        [floats("x", "N", 300)],
        [floats("y", "N", 300)],
        [constant("one", rows[0]), constant("two", rows[1])],
    )
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        (tmp_path / f"{tensor.name}.bin").write_bytes(tensor.raw_data)
        onnx.external_data_helper.set_external_data(tensor, location=f"{tensor.name}.bin", length=1200)
        tensor.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    out = tmp_path / "out" / "one.onnx"
    shown = run("repair", path, out).stdout
    assert "the external data of 2 files was gathered in one.data" in shown
    assert sorted(file.name for file in out.parent.iterdir()) == ["one.data", "one.onnx"]
    assert models.run_onnx(out, {"x": np.zeros((1, 300), np.float32)})["y"].tolist() == [[3.0] * 300]


@pytest.mark.parametrize(
    ("options", "code", "why"),
    [
        (("--names", "a,b"), 1, "the metadata names 2 features"),
        (("--labels", "[1.5]"), 2, "--labels: found [1.5], expected a JSON list of strings or whole numbers"),
        (("--labels", "[1"), 2, "--labels: not valid JSON"),
    ],
)
def test_names_that_do_not_go_with_the_model_are_refused(
    options: tuple[str, ...], code: int, why: str, tmp_path: Path
) -> None:
    out = tmp_path / "out.onnx"
    assert why in run("repair", made.catboost_classifier(tmp_path), out, *options, code=code).stderr
    assert not out.exists()


def test_repair_overwrites_nothing_and_takes_onnx_alone(tmp_path: Path) -> None:
    path = fixed(tmp_path)
    assert "exists, and nothing is overwritten" in run("repair", path, path, code=2).stderr
    assert "expected an ONNX model" in run("repair", SAMPLE / "model.pkl", tmp_path / "a.onnx", code=2).stderr

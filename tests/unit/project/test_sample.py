"""The committed sample model is what its script writes, and its ONNX form answers as scikit-learn does."""

from __future__ import annotations

import json
import pickle
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import skops.io
from jsonschema import Draft202012Validator, ValidationError
from numpy.typing import NDArray
from referencing import Registry, Resource
from sklearn.datasets import load_breast_cancer

import models
from pilotlight.model.golden import Sample, Values, differences, read_golden, write_golden
from pilotlight.model.json_document import Node, read_json
from pilotlight.model.signature import read_signature, write_signature
from pilotlight_cli.assets import ROOT
from repository import SAMPLE

FORMS = ["model.onnx", "model.pkl", "model.skops"]
LABELS = ["benign", "malignant"]


@pytest.fixture(scope="module")
def trained_again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained-again")
    command = [sys.executable, str(SAMPLE / "train.py"), "--out", str(folder)]
    with (folder / "report.txt").open("wb") as report:
        subprocess.run(command, check=True, stdout=report, timeout=600)
    return folder


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return load_breast_cancer(as_frame=True).data


def probabilities(file: Path, rows: pd.DataFrame) -> NDArray[Any]:
    if file.suffix == ".onnx":
        return models.run_onnx(file, {"features": rows.to_numpy(np.float32)})["probabilities"]
    if file.suffix == ".pkl":
        return np.asarray(pickle.loads(file.read_bytes()).predict_proba(rows))
    return np.asarray(skops.io.load(file, trusted=["sklearn.tree._tree.Tree"]).predict_proba(rows))


def validator(name: str) -> Draft202012Validator:
    schemas = [json.loads(file.read_bytes()) for file in (ROOT / "shared" / "schema").glob("*.schema.json")]
    registry: Registry[Any] = Registry().with_resources((s["$id"], Resource.from_contents(s)) for s in schemas)
    return Draft202012Validator(next(s for s in schemas if s["$id"] == name), registry=registry)


@pytest.mark.parametrize("form", FORMS)
def test_the_script_reproduces_the_committed_predictions(form: str, trained_again: Path, rows: pd.DataFrame) -> None:
    committed, again = probabilities(SAMPLE / form, rows), probabilities(trained_again / form, rows)
    np.testing.assert_allclose(again, committed, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["signature.json", "golden.json"])
def test_the_script_reproduces_what_lies_beside_the_model(name: str, trained_again: Path) -> None:
    assert (trained_again / name).read_bytes() == (SAMPLE / name).read_bytes()


def test_the_readme_shows_what_the_script_prints(trained_again: Path) -> None:
    readme = (SAMPLE / "README.md").read_text()
    printed = (trained_again / "report.txt").read_text().splitlines()
    assert len(printed) == 7
    for line in printed:
        assert line in readme or line.startswith("model.skops")  # its size is not the same twice


def test_all_three_forms_give_the_same_answers(rows: pd.DataFrame) -> None:
    onnx_form, pickle_form, skops_form = (probabilities(SAMPLE / form, rows) for form in FORMS)
    assert np.array_equal(pickle_form, skops_form)
    np.testing.assert_allclose(onnx_form, pickle_form, rtol=0, atol=1e-5)


def test_the_model_is_right_about_nearly_all_rows_that_it_never_saw() -> None:
    script = runpy.run_path(str(SAMPLE / "train.py"))
    _, held_out, _, classes = script["split"](*script["load"]())
    assert models.sample().pipeline.score(held_out, classes) > 0.95


def test_onnx_answers_like_scikit_learn_for_rows_drawn_now() -> None:
    drawn = models.sample().draw(5000, models.new_seed())
    found = models.run_onnx(SAMPLE / "model.onnx", {"features": pd.DataFrame(drawn.instances).to_numpy(np.float32)})
    assert found["label"].tolist() == drawn.predictions
    np.testing.assert_allclose(found["probabilities"], drawn.probabilities, rtol=0, atol=1e-5)


def test_onnx_answers_like_scikit_learn_at_and_beside_the_trees_thresholds(rows: pd.DataFrame) -> None:
    random = np.random.default_rng(models.new_seed())
    pipeline = models.sample().pipeline
    trees = [tree.tree_ for tree in pipeline[-1].estimators_]
    column = np.concatenate([tree.feature[tree.feature >= 0] for tree in trees])
    threshold = np.concatenate([tree.threshold[tree.feature >= 0] for tree in trees]).astype(np.float32)
    beside = [threshold, np.nextafter(threshold, np.float32(-np.inf)), np.nextafter(threshold, np.float32(np.inf))]
    points = rows.to_numpy(np.float32)[random.integers(0, len(rows), 5000)]
    for row in points:
        chosen = random.integers(0, len(column), 60)
        row[column[chosen]] = random.choice(beside)[chosen]
    frame = pd.DataFrame(points.astype(np.float64), columns=rows.columns)
    found = probabilities(SAMPLE / "model.onnx", frame)
    np.testing.assert_allclose(found, pipeline.predict_proba(frame), rtol=0, atol=1e-5)


def test_no_probability_leaves_the_published_range() -> None:
    instances = pd.DataFrame(models.sample().draw(2000, models.new_seed()).instances)
    batch = probabilities(SAMPLE / "model.onnx", instances)
    alone = np.concatenate([probabilities(SAMPLE / "model.onnx", instances[i : i + 1]) for i in range(50)])
    assert min(batch.min(), alone.min()) >= 0
    assert max(batch.max(), alone.max()) <= 1


def test_the_onnx_file_says_what_its_columns_and_classes_are_called(rows: pd.DataFrame) -> None:
    model = onnx.load(SAMPLE / "model.onnx")
    metadata = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert metadata == {"pilotlight.feature_names": list(rows.columns), "pilotlight.labels": LABELS}


def test_the_onnx_file_has_a_matrix_in_and_plain_tensors_out() -> None:
    graph = onnx.load(SAMPLE / "model.onnx").graph
    assert [value.name for value in graph.input] == ["features"]
    assert [value.name for value in graph.output] == ["label", "probabilities"]
    assert "ZipMap" not in {node.op_type for node in graph.node}


def test_the_onnx_file_stays_small() -> None:
    assert (SAMPLE / "model.onnx").stat().st_size < 200_000


@pytest.mark.parametrize("name", ["signature", "golden"])
def test_documents_follow_their_schemas(name: str) -> None:
    document = json.loads((SAMPLE / f"{name}.json").read_bytes())
    validator(f"{name}.schema.json").validate(document)
    with pytest.raises(ValidationError, match="another"):
        validator(f"{name}.schema.json").validate(document | {"another": 1})


def test_the_signature_is_read_and_written_back() -> None:
    content = (SAMPLE / "signature.json").read_bytes()
    signature = read_signature(Node(read_json(content)))
    assert write_signature(signature) == json.loads(content)
    assert signature.labels == tuple(LABELS)
    assert len(signature.feature_names) == 30


def test_golden_samples_are_read_and_written_back() -> None:
    content = (SAMPLE / "golden.json").read_bytes()
    assert write_golden(read_golden(content)) == json.loads(content)


def test_the_onnx_form_gives_the_golden_outputs() -> None:
    golden = read_golden((SAMPLE / "golden.json").read_bytes())
    for sample in golden.samples:
        assert differences(golden, sample.outputs, outputs(sample)) == []


def outputs(sample: Sample) -> list[Values]:
    """Return what the ONNX form says to a golden sample's inputs."""
    features = np.array(sample.inputs[0].data, np.float32).reshape(sample.inputs[0].shape)
    found = models.run_onnx(SAMPLE / "model.onnx", {"features": features})
    return [
        Values(values.name, values.datatype, found[values.name].shape, tuple(found[values.name].ravel().tolist()))
        for values in sample.outputs
    ]


def test_golden_samples_hold_clear_and_doubtful_rows_of_both_classes() -> None:
    samples = read_golden((SAMPLE / "golden.json").read_bytes()).samples
    malignant = np.array([sample.outputs[1].data[1] for sample in samples[:-1]], float)
    assert malignant.max() > 0.9
    assert malignant.min() < 0.1
    assert 0 < np.abs(malignant - 0.5).min() < 0.1
    assert len(samples[-1].outputs[0].data) == len(samples) - 1

"""Models that the real MLflow wrote, as folders and from its server, published as their users would."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pilotlight.errors import ObjectRefused
from pilotlight_cli.formats.recognition import NotRecognised
from pilotlight_cli.main import app
from pilotlight_cli.sources import obtained

SKLEARN = [("months", "FP64", True), ("plan", "BYTES", False)]


def published(argument: str, store: Path) -> dict[str, Any]:
    """Publish a model; return what the command prints as JSON."""
    result = CliRunner().invoke(app, ["publish", argument, "--name", "churn", "--store", store.as_uri(), "--json"])
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def inputs(document: dict[str, Any]) -> list[tuple[str, str, bool]]:
    return [
        (tensor["name"], tensor["datatype"], tensor.get("missing", False))
        for tensor in document["manifest"]["signature"]["inputs"]
    ]


@pytest.mark.parametrize("form", ["skops", "pickle"])
def test_a_folder_of_scikit_learn_is_published_with_its_signature(
    form: str, mlflow_folders: Path, tmp_path: Path
) -> None:
    document = published(str(mlflow_folders / form), tmp_path)
    assert document["manifest"]["runtime"]["engine"] == "scikit-learn"
    assert inputs(document) == SKLEARN
    assert "values may be missing in months" in document["notes"]
    assert "the golden samples are the rows of input_example.json" in document["notes"]


def test_a_folder_of_onnx_is_published_with_its_example(mlflow_folders: Path, tmp_path: Path) -> None:
    document = published(str(mlflow_folders / "onnx"), tmp_path)
    golden = json.loads((tmp_path / "churn" / "1" / "golden.json").read_bytes())
    assert golden["source"] == "given"
    assert golden["samples"][0]["inputs"][0]["shape"] == [2, 30]
    assert document["manifest"]["signature"]["labels"] == ["benign", "malignant"]


def test_a_folder_of_python_code_is_refused(mlflow_folders: Path) -> None:
    with pytest.raises(NotRecognised, match="is an MLflow model of Python code alone"):
        obtained(str(mlflow_folders / "code"))


@pytest.mark.parametrize("argument", ["models:/churn@champion", "models:/churn/1"])
@pytest.mark.usefixtures("mlflow_folders")
def test_a_registered_model_is_published_from_its_server(
    argument: str, mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    document = published(argument, tmp_path)
    assert inputs(document) == SKLEARN
    assert document["manifest"]["source"] == f"{mlflow_server}#models:/churn/1"
    notes = "\n".join(document["notes"])
    assert f"models:/churn/1 is downloaded from {mlflow_server}, where it is mlflow-artifacts:/0/models/m-" in notes
    assert ("models:/churn@champion is version 1" in notes) == argument.endswith("champion")


@pytest.mark.usefixtures("mlflow_folders")
def test_a_registered_model_is_converted(mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    out = tmp_path / "churn.onnx"
    result = CliRunner().invoke(app, ["convert", "models:/churn@champion", str(out), "--trust", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rows"] == json.loads(result.stdout)["labels"]
    assert f"models:/churn/1 is downloaded from {mlflow_server}" in " ".join(result.stderr.split())
    assert published(str(out), tmp_path / "store")["manifest"]["runtime"]["engine"] == "onnxruntime-python"


UNKNOWN = [
    ("models:/churn/7", "get-download-uri: not found (404: Model Version (name=churn, version=7) not found)"),
    ("models:/churn@gone", "alias: not found (400: Registered model alias gone not found.)"),
    ("models:/nothing@champion", "alias: not found (404: Registered Model with name=nothing not found)"),
]


@pytest.mark.parametrize(("argument", "sentence"), UNKNOWN)
@pytest.mark.usefixtures("mlflow_folders")
def test_what_a_server_does_not_have_is_said(
    argument: str, sentence: str, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{mlflow_server}/")
    with pytest.raises(ObjectRefused, match=re.escape(f"{sentence}; check the name and the version")):
        obtained(argument)

"""`pilotlight diff`: versions, locks, commits and files beside each other."""

from __future__ import annotations

import csv
import hashlib
import json
import pickle
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skl2onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from typer.testing import CliRunner

import models
from pilotlight.model.lock import Runtime, load_lock, write_lock
from pilotlight_cli.main import app
from pilotlight_cli.registry.json_document import to_bytes
from pilotlight_cli.registry.manifest import read_manifest, write_manifest
from repository import copied_project

_GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
POINTS = np.array([[0.0, 1.0], [1.0, 0.5], [2.0, 0.0], [3.0, -1.0]], np.float32)


def run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["diff", "--rounds", "1", *arguments])
    assert result.exit_code == code, result.output
    return result


def document(*arguments: str, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*arguments, "--json", code=code).stdout)
    return found


def classifier(
    file: Path,
    threshold: float,
    names: tuple[str, ...] = ("width", "height"),
    labels: tuple[str | int, ...] = ("large", "small"),
) -> Path:
    """Write an ONNX classifier that answers "large" from a width on, with names of its features if any are given."""
    estimator = LogisticRegression()
    estimator.classes_ = np.array(labels)
    estimator.coef_, estimator.intercept_ = np.array([[-4.0, 0.0]]), np.array([4.0 * threshold])
    estimator.n_features_in_ = 2
    model = skl2onnx.convert_sklearn(
        estimator,
        initial_types=[("X", FloatTensorType([None, 2]))],
        options={"zipmap": False},
        target_opset=models.OPSETS,
    )
    if names:
        entry = model.metadata_props.add()
        entry.key, entry.value = "pilotlight.feature_names", json.dumps(names)
    file.write_bytes(model.SerializeToString())
    return file


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    """Return two classifiers, of which the second answers "large" later."""
    return str(classifier(tmp_path / "old.onnx", 0.75)), str(classifier(tmp_path / "new.onnx", 1.5))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Return rows in CSV, with the label that each should have."""
    file = tmp_path / "rows.csv"
    with file.open("w", newline="") as out:
        csv.writer(out).writerows(
            [
                ("label", "height", "width"),
                *zip(["small", "small", "large", "large"], POINTS[:, 1], POINTS[:, 0], strict=True),
            ]
        )
    return file


def test_files_are_compared_over_rows_of_a_file(pair: tuple[str, str], rows: Path) -> None:
    found = document(*pair, "--rows", str(rows))
    assert [found[side]["given"] for side in ("before", "after")] == list(pair)
    assert (found["breaking"], found["contract"]) == (False, [])
    predictions = found["predictions"]
    assert (predictions["source"], predictions["rows"]) == ("rows.csv", 4)
    label, probabilities = predictions["outputs"]
    assert label["flips"]["examples"] == [{"row": 2, "before": "large", "after": "small"}]
    assert label["right"] == {"before": 3, "after": 4}
    apart = probabilities["differences"]
    assert (apart["count"], apart["largest_in_row"]) == (8, 2)
    assert apart["largest"] == pytest.approx(1 / (1 + np.exp(-1.0)) - 1 / (1 + np.exp(2.0)), rel=1e-5)
    assert sum(each["count"] for each in apart["histogram"]) == 8


def test_the_report_for_people_says_the_same(pair: tuple[str, str], rows: Path) -> None:
    shown = run(*pair, "--rows", str(rows)).stdout
    assert "The contract is the same." in shown
    assert "differ: 1 of 4 (25.00 %)" in shown
    assert "row 2: large -> small" in shown
    assert "as the file expects: 3 of 4 (75.00 %) before, 4 of 4 (100.00 %) after" in shown
    assert "largest difference: 0.612 (row 2: " in shown
    assert "0.1 to 1" in shown


def test_conditions_decide_the_exit_code(pair: tuple[str, str], rows: Path, tmp_path: Path) -> None:
    given = (*pair, "--rows", str(rows))
    run(*given, "--fail-on", "flips:0.25", "--fail-on", "breaking")
    assert "25.00% of the labels flip, expected at most 20.00%" in run(*given, "--fail-on", "flips:0.2", code=1).stderr
    renamed = str(classifier(tmp_path / "renamed.onnx", 0.75, ("width", "depth")))
    error = run(pair[0], renamed, "--fail-on", "breaking", code=1).stderr
    assert "error: the contract breaks callers: features renamed" in error
    assert "--fail-on flips: expected breaking, or flips:SHARE" in run(*pair, "--fail-on", "flips", code=2).stderr


def test_features_without_a_name_in_common_are_compared_by_position(
    pair: tuple[str, str], rows: Path, tmp_path: Path
) -> None:
    other = str(classifier(tmp_path / "other.onnx", 0.75, ("a", "b")))
    rows.write_text(rows.read_text().replace("label,height,width", "label,b,a"))
    result = run(pair[0], other, "--rows", str(rows), "--json")
    assert "the features have no name in common; they are compared by their position" in result.stderr
    found = json.loads(result.stdout)
    assert found["predictions"]["outputs"][0]["flips"]["count"] == 0
    assert [change["change"] for change in found["contract"]] == ["features renamed"]
    assert document(pair[0], other)["predictions"]["rows"] == 5  # the golden samples are the same for both


def test_features_without_names_are_compared_by_position(pair: tuple[str, str], rows: Path, tmp_path: Path) -> None:
    unnamed = str(classifier(tmp_path / "other.onnx", 0.75, ()))
    found = document(pair[0], unnamed, "--rows", str(rows))
    assert [change["change"] for change in found["contract"]] == ["features renamed"]
    assert found["predictions"]["outputs"][0]["flips"]["total"] == 4


def test_labels_that_a_model_cannot_answer_count_as_wrong(pair: tuple[str, str], rows: Path, tmp_path: Path) -> None:
    numbered = str(classifier(tmp_path / "other.onnx", 0.75, labels=(0, 1)))
    label = document(pair[0], numbered, "--rows", str(rows))["predictions"]["outputs"][0]
    assert (label["right"], label["flips"]["count"]) == ({"before": 3, "after": 0}, 4)


def test_rows_without_a_feature_of_one_model_say_which(pair: tuple[str, str], tmp_path: Path) -> None:
    wider = str(classifier(tmp_path / "other.onnx", 0.75, ("width", "depth")))
    file = tmp_path / "rows.csv"
    file.write_text("width,height\n1,2\n")
    error = run(pair[0], wider, "--rows", str(file), code=1).stderr
    assert f'the rows do not fit {wider}: the column "depth" is missing' in error
    file.write_text("width,height,depth,colour\n1,2,3,4\n")
    assert 'unknown column "colour"' in run(pair[0], wider, "--rows", str(file), code=1).stderr


def test_golden_samples_that_lack_a_feature_are_noted(pair: tuple[str, str], tmp_path: Path) -> None:
    wider = str(classifier(tmp_path / "other.onnx", 0.75, ("width", "depth")))
    result = run(pair[0], wider, "--json")
    assert "10 golden rows of one model lack features of the other" in result.stderr
    assert "predictions" not in json.loads(result.stdout)
    assert "no predictions were compared" in run(pair[0], wider, "--fail-on", "flips:0", code=1).stderr


def test_a_pickle_and_its_onnx_file_agree_on_strings_and_numbers(tmp_path: Path) -> None:
    rents = models.rents(tmp_path)
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rents.draw(20, models.new_seed()).instances)))
    found = document(str(rents.files["pickle"]), str(rents.files["onnx"]), "--rows", str(file))
    (rent,) = found["predictions"]["outputs"]
    assert (rent["before"], rent["after"]) == ("prediction", "variable")
    assert rent["differences"]["count"] == 20
    assert rent["differences"]["largest"] < 0.01
    assert {"input's datatype", "output renamed"} <= {change["change"] for change in found["contract"]}
    assert found["before"]["row_ms"] > 0


def strict_classifier(file: Path) -> Path:
    """Write an ONNX classifier of a city that refuses a city that it does not know."""
    columns = make_column_transformer((OneHotEncoder(handle_unknown="error"), ["city"]))
    data = pd.DataFrame({"city": ["Bath", "Ely"] * 4})
    pipeline = make_pipeline(columns, LogisticRegression()).fit(data, ["south", "east"] * 4)
    file.write_bytes(pickle.dumps(pipeline))
    return file


def test_a_row_that_a_model_refuses_is_named_and_left_out(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("city\nBath\nHull\nEly\n")
    strict = str(strict_classifier(tmp_path / "strict.pkl"))
    result = run(strict, strict, "--rows", str(file))
    assert "Predictions for 2 rows of rows.csv" in result.stdout
    assert f"{strict} refuses 1 row, such as row 2: " in result.stdout


def test_a_model_of_plain_tensors_has_its_own_rows(tmp_path: Path) -> None:
    plain = str(models.plain_tensors(tmp_path))
    found = document(plain, plain)
    assert [one["differences"]["largest"] for one in found["predictions"]["outputs"]] == [0.0, 0.0]


def git(folder: Path, *arguments: str) -> None:
    subprocess.run([*_GIT, *arguments], cwd=folder, check=True, capture_output=True)


def test_a_version_a_lock_and_a_lock_in_git_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = copied_project(tmp_path / "team" / "project")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    monkeypatch.chdir(project.root)
    (project.root / "golden.json").write_text("changed")
    found = document("HEAD:model.lock", "model.lock")
    assert (found["before"]["name"], found["before"]["version"]) == ("breast-cancer", 1)
    assert found["before"] | {"given": "", "load_ms": 0, "row_ms": 0} == found["after"] | {
        "given": "",
        "load_ms": 0,
        "row_ms": 0,
    }
    assert found["predictions"]["rows"] == 4
    assert document("breast-cancer:1", "model.lock")["contract"] == []
    assert "git has no model.lock in 'nowhere'" in run("nowhere:model.lock", "model.lock", code=2).stderr
    assert "'x/y' is neither a file nor a version" in run("x/y", "model.lock", code=2).stderr
    requirements = project.root / "requirements.lock"
    requirements.write_text(requirements.read_text() + "# edited\n")
    assert "requirements.lock has SHA-256" in run("model.lock", "HEAD:model.lock", code=1).stderr


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"runtime": Runtime("onnx", "onnxruntime-c", {"onnxruntime": "1.31.1", "evil": "1"})},
            "requires evil, expected",
        ),
        ({"allowed_globals": ("os.system",)}, "lists os.system as allowed by Pilotlight"),
        ({"runtime": Runtime("onnx", "onnxruntime-c", {"onnxruntime": "1.23.2"})}, "expected 1.27.0 or later"),
    ],
)
def test_what_a_lock_or_a_store_asks_for_is_checked_before_it_is_installed(
    changes: dict[str, Any], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = changes["runtime"].packages if "runtime" in changes else {"onnxruntime": "1.31.1"}
    project = copied_project(tmp_path / "project")
    monkeypatch.chdir(project.root)
    monkeypatch.setattr("pilotlight_cli.comparing.sides.host_packages", lambda _: pytest.fail("installed"))
    manifest = project.root / "store/breast-cancer/1/manifest.json"
    asked = read_manifest(manifest.read_bytes())
    manifest.write_bytes(to_bytes(write_manifest(replace(asked, model=replace(asked.model, **changes)))))
    assert problem in run("breast-cancer:1", "breast-cancer:1", code=1).stderr
    requirements = project.root / "requirements.lock"
    pins = requirements.read_text().replace("onnxruntime==1.31.1", f"onnxruntime=={packages['onnxruntime']}")
    requirements.write_text(pins + "evil==1\n")
    lock = load_lock(project.root / "model.lock")
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    altered = replace(lock, model=replace(lock.model, **changes), requirements_sha256=digest)
    (project.root / "model.lock").write_bytes(to_bytes(write_lock(altered)))
    assert problem in run("model.lock", "model.lock", code=1).stderr

"""The command: what it asks, writes and refuses."""

from __future__ import annotations

import json
import os
import pickle
import re
import shlex
import shutil
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import joblib
import onnx
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from boosters import data, named
from pilotlight.errors import ModelError
from pilotlight_cli.converting.environment import prepare, pythons, requirements
from pilotlight_cli.converting.sources import Source, describe
from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.main import app
from pilotlight_cli.sandbox.job import UsageError


def run(*arguments: str | Path, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["convert", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a forest, saved in every form."""
    made = tmp_path_factory.mktemp("forest")
    forest = named(RandomForestClassifier(5, random_state=0))
    joblib.dump(forest, made / "forest.joblib")
    (made / "forest.pkl").write_bytes(pickle.dumps(forest, protocol=2))
    skops.io.dump(forest, made / "forest.skops")
    return made


@pytest.mark.parametrize("name", ["forest.joblib", "forest.pkl", "forest.skops"])
def test_a_file_becomes_an_onnx_model_with_names_and_labels(name: str, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"

    result = run(folder / name, out, "--trust")

    assert "loading it imports and may call: " in result.stderr
    assert "sklearn.ensemble._forest.RandomForestClassifier" in result.stderr
    shown = " ".join(result.stdout.split())
    assert "scikit-learn 1." in shown
    assert "of them on thresholds of its trees labels equal 1" in shown
    assert f"Publish it with: pilotlight publish {out} --name NAME" in shown
    metadata = {entry.key: json.loads(entry.value) for entry in onnx.load(out).metadata_props}
    assert metadata["pilotlight.labels"] == ["setosa", "versicolor", "virginica"]
    assert metadata["pilotlight.feature_names"] == [f"leaf_{index}" for index in range(8)]


def test_the_result_is_json_for_programs(folder: Path, tmp_path: Path) -> None:
    found = json.loads(run(folder / "forest.joblib", tmp_path / "out.onnx", "--trust", "--json").stdout)

    assert found["rows"] == found["labels"] > 10_000
    assert found["size"] == (tmp_path / "out.onnx").stat().st_size


def test_a_pickle_is_not_loaded_without_consent(folder: Path, tmp_path: Path) -> None:
    result = run(folder / "forest.joblib", tmp_path / "out.onnx", code=2)

    assert "which can run any code; if you trust its source, add --trust" in result.stderr
    assert not (tmp_path / "out.onnx").exists()


def test_nothing_is_overwritten_without_being_asked(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    out.write_text("mine")

    result = run(folder / "forest.pkl", out, "--trust", code=2)

    assert "exists; choose another name, or overwrite it with --force" in result.stderr
    assert out.read_text() == "mine"
    nowhere = run(folder / "forest.pkl", tmp_path / "none" / "out.onnx", "--trust", code=2).stderr
    assert f"nothing can be written into {tmp_path / 'none'}; choose a folder that exists" in " ".join(nowhere.split())
    assert "expected one that ends with .onnx" in run(folder / "forest.pkl", tmp_path / "out", code=2).stderr


def test_an_onnx_model_needs_no_conversion(tmp_path: Path) -> None:
    model = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))
    onnx.save(model, tmp_path / "model.onnx")

    assert "is an ONNX model already" in run(tmp_path / "model.onnx", tmp_path / "out.onnx", code=2).stderr
    assert "is the file to convert" in run(tmp_path / "model.onnx", tmp_path / "model.onnx", code=2).stderr


def test_a_folder_of_tensorflow_is_told_its_way(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").touch()
    assert "python -m tf2onnx.convert --saved-model" in run(tmp_path, tmp_path / "out.onnx", code=1).stderr


def test_the_model_of_a_folder_is_converted(folder: Path, tmp_path: Path) -> None:
    """An MLflow folder names its file; --file chooses one of several."""
    logged = tmp_path / "logged"
    logged.mkdir()
    shutil.copyfile(folder / "forest.pkl", logged / "model.pkl")
    (logged / "MLmodel").write_text("flavors:\n  sklearn:\n    pickled_model: model.pkl\n")

    result = run(logged, tmp_path / "logged.onnx", "--trust")
    assert "is an MLflow model of the flavor sklearn; model.pkl is taken" in " ".join(result.stderr.split())
    run(folder, tmp_path / "chosen.onnx", "--trust", "--file", "forest.joblib")

    assert (tmp_path / "logged.onnx").read_bytes() == (tmp_path / "chosen.onnx").read_bytes()
    assert "has 3 model files, expected one" in run(folder, tmp_path / "none.onnx", "--trust", code=2).stderr


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def archive(files: dict[str, str]) -> bytes:
    content = BytesIO()
    with ZipFile(content, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)
    return content.getvalue()


BOOSTER = b"tree\nversion=v4\n"
OLD = b"\x80\x04\x8c\x10_sklearn_version\x94\x8c\x051.0.2\x94."
KERAS = archive({"config.json": "{}", "metadata.json": '{"keras_version": "3.14.0"}'})
KERAS_FLAVOR = b"flavors:\n  keras:\n    data: data\n"
FLAVOR = b"flavors:\n  lightgbm:\n    data: model.lgb\n"
GIVEN: dict[str, tuple[dict[str, bytes], list[str]]] = {
    "a file": ({"my models/forest.txt": BOOSTER}, ["my models/forest.txt"]),
    "a pickle of a booster": ({"models/a.pkl": b"\x80\x04\x8c\x0elightgbm.basic\x94."}, ["models/a.pkl"]),
    "a pickle of an old scikit-learn": ({"models/a.pkl": OLD}, ["models/a.pkl"]),
    "an MLflow folder": ({"logged/MLmodel": FLAVOR, "logged/model.lgb": BOOSTER}, ["logged"]),
    "an MLflow folder of Keras": ({"logged/MLmodel": KERAS_FLAVOR, "logged/data/model.keras": KERAS}, ["logged"]),
    "a file of a folder": ({"m/a.txt": BOOSTER, "m/b.onnx": b""}, ["m", "--file", "a.txt"]),
}


@pytest.mark.parametrize("case", GIVEN)
@pytest.mark.parametrize("command", ["publish", "inspect"])
def test_what_is_to_be_converted_is_named_as_it_was_given(
    case: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, given = GIVEN[case]
    monkeypatch.chdir(written(tmp_path, files))

    options = ["--name", "churn", "--store", (tmp_path / "store").as_uri()] if command == "publish" else []
    result = CliRunner().invoke(app, [command, *given, *options])

    assert result.exit_code == 1, result.output
    assert f"pilotlight convert {shlex.join(given)} model.onnx" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"leaf_0\n1\n", "rows.csv: row 0 has no 'leaf_1'"),
        (b"leaf_0,leaf_1\n1\n", "rows.csv: line 2: expected 2 cells, found 1"),
        (b"\xff", "rows.csv: not UTF-8"),
    ],
)
def test_rows_that_do_not_fit_write_nothing(content: bytes, why: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    result = run(folder / "forest.pkl", tmp_path / "out.onnx", "--trust", "--rows", tmp_path / "rows.csv", code=1)

    assert why in " ".join(result.stderr.split())
    assert not (tmp_path / "out.onnx").exists()


def test_a_file_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    joblib.dump({"model": LogisticRegression().fit(*data())}, tmp_path / "dict.joblib")

    result = run(tmp_path / "dict.joblib", tmp_path / "out.onnx", "--trust", code=1)

    assert "holds a dict, expected a model with predict" in result.stderr


def test_a_model_of_the_training_script_is_refused_before_anything_is_installed(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"c__main__\nNet\n)R.")
    with pytest.raises(ModelError, match=r"asks for __main__\.Net, which is in the script that trained it"):
        requirements(describe(tmp_path / "model.pkl"), ())


_OLD = """
import joblib, sys
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

random = np.random.RandomState(0)
rows = pd.DataFrame({"a": random.normal(size=200), "b": random.normal(size=200)})
rows["c"] = random.choice(["x", "y"], 200)
target = np.where(rows["a"] + (rows["c"] == "x") > 0.5, "yes", "no")
numbers = make_pipeline(SimpleImputer(), StandardScaler())
columns = make_column_transformer((numbers, ["a", "b"]), (OneHotEncoder(), ["c"]))
joblib.dump(make_pipeline(columns, LogisticRegression()).fit(rows, target), "pipeline.joblib")
joblib.dump(RandomForestClassifier(5, random_state=0).fit(rows[["a", "b"]], target), "forest.joblib")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("version", "minors"), [("1.0.2", "8|9|10"), ("1.3.2", "8|9|10|11|12")])
def test_a_model_of_an_old_scikit_learn_is_converted_with_that(version: str, minors: str, tmp_path: Path) -> None:
    if not any(re.search(rf"python3\.({minors})$", python) for python in map(os.path.realpath, pythons())):
        pytest.skip(f"no Python 3.{minors} is on this machine, so no model of scikit-learn {version} was converted")
    old = prepare(requirements(Source("pickle", "a pickle", {"scikit-learn": version}), ()), "the models")
    subprocess.run(
        [*isolated_python(old.python), "-W", "ignore", "-c", _OLD],
        env={"PYTHONPATH": str(old.packages), "PATH": os.environ["PATH"]},
        cwd=tmp_path,
        check=True,
    )

    for name in ("pipeline", "forest"):
        result = run(tmp_path / f"{name}.joblib", tmp_path / f"{name}.onnx", "--trust")
        assert f"scikit-learn {version}" in result.stdout


def source(*names: str, **versions: str) -> Source:
    return Source("pickle", "a pickle", versions, names)


def test_the_requirements_are_the_versions_in_the_file() -> None:
    found = requirements(source("xgboost.sklearn.XGBClassifier", xgboost="3.2.0"), ())
    assert "xgboost==3.2.0" in found
    assert "scikit-learn" in found

    old = requirements(Source("skops", "", {"scikit-learn": "1.0.2"}), ())
    assert {"scikit-learn==1.0.2", "numpy<1.24"} <= set(old)


def test_a_version_that_the_file_does_not_say_can_be_given() -> None:
    assert "lightgbm==4.5.0" in requirements(source("lightgbm.basic.Booster"), ["lightgbm==4.5.0"])
    given = ["imbalanced-learn==0.14.0", "ours==1.0"]
    found = requirements(source("imblearn.pipeline.Pipeline", "ours.steps.Step"), given)
    assert [line for line in found if line in given] == given


def test_a_package_that_is_unknown_has_to_be_named() -> None:
    with pytest.raises(ModelError, match="asks for the package of 'ours'; name it with --with PACKAGE==VERSION"):
        requirements(source("ours.steps.Step"), ())


@pytest.mark.parametrize("given", ["--index-url=x", "ours", "git+ssh://x", "ours==1.0; x", "-r x"])
def test_a_requirement_has_to_be_a_package_and_its_version(given: str) -> None:
    with pytest.raises(UsageError, match="expected PACKAGE==VERSION"):
        requirements(source("ours.steps.Step"), [given])

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import pytest
import sklearn
import skops.io
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import pickles
from estimators import POINTS, VALUES
from own_modules import SOURCE, importable, write_module
from pilotlight.errors import ModelError, UnsafePickle
from pilotlight_cli.formats.admitted import admitted_globals
from pilotlight_cli.formats.recognition import recognise
from pilotlight_cli.sandbox.child.sklearn import inspect
from pilotlight_cli.sandbox.job import Findings, Job, UsageError
from pilotlight_cli.sandbox.own_module import module_name, pack


def trained(module: Path, folder: Path, form: str = "pickle") -> tuple[Path, Any]:
    """Train a model with the module's transformer, and return its file and its answers."""
    with importable(module) as own:
        model = make_pipeline(own.Ratios(), Ridge()).fit(POINTS, VALUES)
        path = folder / "model"
        if form == "pickle":
            path.write_bytes(pickle.dumps(model, 5))
        else:
            (joblib if form == "joblib" else skops.io).dump(model, path)
        return path, model.predict(POINTS)


def inspected(path: Path, module: Path | None, folder: Path, **changes: Any) -> Findings:
    again = folder / "again"
    again.mkdir()
    found = recognise(path)
    packed = str(pack(module, again)) if module else ""
    return inspect(replace(Job(path, found.kind, admitted_globals(), again, module=packed), **changes))


@pytest.mark.parametrize("form", ["pickle", "joblib", "skops"])
@pytest.mark.parametrize("package", [False, True])
def test_a_model_of_a_module_of_ones_own_is_inspected(form: str, package: bool, tmp_path: Path) -> None:
    module = write_module(tmp_path, f"own_{form}_{package}".lower(), package=package)
    path, _ = trained(module, tmp_path, form)
    answer = inspected(path, module, tmp_path)
    home = f"{module.stem}.steps" if package else module.stem
    assert answer.names[1] == (f"{home}.Ratios",)
    assert len(answer.golden.samples[0].outputs[0].data) == 5


def test_a_packed_module_has_equal_bytes_for_equal_sources(tmp_path: Path) -> None:
    module = write_module(tmp_path, "own_packed", package=True)
    (module / "__pycache__").mkdir()
    (module / "__pycache__" / "steps.pyc").write_bytes(b"compiled")
    first = pack(module, tmp_path).read_bytes()
    (module / "steps.py").touch()
    assert pack(module, tmp_path).read_bytes() == first
    assert b"pyc" not in first


def test_a_newer_source_replaces_the_one_that_was_imported(tmp_path: Path) -> None:
    module = write_module(tmp_path, "own_newer")
    path, _ = trained(module, tmp_path)
    before = inspected(path, module, tmp_path).golden.samples[0].outputs
    module.write_text(SOURCE.replace("rows[:, 0] /", "7 + rows[:, 0] /"))
    (tmp_path / "second").mkdir()
    assert inspected(path, module, tmp_path / "second").golden.samples[0].outputs != before


def test_a_name_of_the_training_script_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "model"
    version = pickles.attribute("_sklearn_version", pickles.text(sklearn.__version__))
    path.write_bytes(pickles.program(pickles.items(pickles.named("__main__", "Ratios"), version)))
    with pytest.raises(UnsafePickle, match=r"__main__.* publish with --with-module FILE"):
        inspected(path, None, tmp_path)


def test_a_function_of_a_module_is_refused_like_any_other(tmp_path: Path) -> None:
    module = write_module(tmp_path, "own_function")
    with importable(module) as own:
        model = make_pipeline(FunctionTransformer(own.doubled), Ridge()).fit(POINTS, VALUES)
        path = tmp_path / "model"
        path.write_bytes(pickle.dumps(model, 5))
    with pytest.raises(UnsafePickle, match="Write what it does as a transformer"):
        inspected(path, module, tmp_path)


@pytest.mark.parametrize(
    ("source", "kind", "why"),
    [
        ("class Ratios:\n    x = =\n", UsageError, "own_bad.py is no valid Python: invalid syntax in line 2"),
        ("import nowhere_to_be_found\n" + SOURCE, Exception, "No module named 'nowhere_to_be_found'"),
        ("class Others: pass\n", Exception, r"own_bad\.Ratios"),
    ],
)
def test_a_module_that_does_not_fit_is_refused(source: str, kind: type[Exception], why: str, tmp_path: Path) -> None:
    module = write_module(tmp_path, "own_bad")
    path, _ = trained(module, tmp_path)
    module.write_text(source)
    with pytest.raises(kind, match=why):
        inspected(path, module, tmp_path)


def test_a_module_that_the_model_does_not_use_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(pickle.dumps(Ridge().fit(POINTS, VALUES), 5))
    with pytest.raises(UsageError, match="requests nothing of own_unused; leave --with-module out"):
        inspected(path, write_module(tmp_path, "own_unused"), tmp_path)


def test_a_module_with_the_name_of_an_installed_package_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(pickle.dumps(Ridge().fit(POINTS, VALUES), 5))
    with pytest.raises(ModelError, match="the module orjson has the name of a package that is installed"):
        inspected(path, write_module(tmp_path, "orjson"), tmp_path)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("numpy.py", "numpy is the name of a known library"),
        ("json.py", "json is the name of a known library"),
        ("pilotlight.py", "pilotlight is the name of a known library"),
        ("_hidden.py", "'_hidden' cannot be imported"),
        ("my-steps.py", "'my-steps' cannot be imported"),
        ("steps.txt", r"expected a \.py file, or a folder with an __init__\.py"),
        ("folder/", r"expected a \.py file, or a folder with an __init__\.py"),
    ],
)
def test_what_cannot_be_a_module_is_wrong_usage(name: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.mkdir() if name.endswith("/") else path.write_text("")
    with pytest.raises(UsageError, match=why):
        module_name(path)

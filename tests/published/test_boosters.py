"""A booster answers as its library does: converted, on 10,000 rows and on the thresholds of its trees; and served."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

import boosters
from converting import ROWS
from drivers import Driver
from pilotlight.model.lock import Description
from pilotlight_cli.assets import ROOT
from pilotlight_cli.converting.child.compare import Rows, read_rows
from pilotlight_cli.converting.environment import prepare, requirements
from pilotlight_cli.converting.sources import Source
from pilotlight_cli.hostenv import isolated_python
from published.serving import JSON, answers, check_golden, published, started, tensor

Made: TypeAlias = "Callable[[str], tuple[Path, dict[str, dict[str, Any]]]]"

CONVERTED = [(library, name) for library, models in boosters.FACTORIES.items() for name in models]
REFUSED = [(library, name) for library, models in boosters.REFUSED.items() for name in models]
COUNT = 1000

# Those that go through the real sandbox, and are served in the clouds' own runtimes over HTTP.
WHOLE = (("lightgbm", "behind columns"), ("catboost", "missing values"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return the function that trains and converts all models of a library, in an environment of its own.

    It returns the folder with what it wrote, and the results by the models' names.
    """

    @cache
    def make(library: str) -> tuple[Path, dict[str, dict[str, Any]]]:
        folder = tmp_path_factory.mktemp(library)
        source = Source("pickle", "", {}, (f"{library}.Model", "sklearn.pipeline.Pipeline"))
        environment = prepare(requirements(source, ()), library)
        paths = [environment.packages, ROOT / "cli", ROOT / "shared", ROOT / "tests" / "support"]
        environ = {name: os.environ[name] for name in ("PATH", "OPENBLAS_CORETYPE") if name in os.environ}
        process = subprocess.run(
            [*isolated_python(environment.python), str(ROOT / "tests/support/converting.py"), library, str(folder)],
            env=environ | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return folder, json.loads(process.stdout.splitlines()[-1])  # training may print, too

    return make


@pytest.mark.parametrize(("library", "name"), CONVERTED)
def test_a_booster_answers_as_its_library(library: str, name: str, made: Made, tmp_path: Path) -> None:
    folder, results = made(library)
    found = results[name]
    assert "refused" not in found, found["refused"]
    assert found["problem"] == ""
    assert found["rows"] >= ROWS
    assert found["labels"] in (None, found["rows"])
    assert len(found["notes"]) == ("codes" in name)
    assert found["thresholds"] > 100

    whole = (library, name) in WHOLE
    model = published(folder / f"{name}.onnx", tmp_path, whole=whole)
    rows = read_rows(folder / f"{name}.npz")
    with started(model, tmp_path, whole=whole) as ways:
        for send in ways:
            check_golden(model, send)
            check_answers(model.model, send, rows, missing="missing" in name or name == "behind columns")


@pytest.mark.parametrize(("library", "name"), REFUSED)
def test_a_booster_that_cannot_be_converted_is_refused_with_a_sentence(library: str, name: str, made: Made) -> None:
    found = made(library)[1][f"refused: {name}"]

    assert boosters.REFUSED[library][name][1] in found.get("refused", found)


def check_answers(model: Description, send: Driver, rows: Rows, *, missing: bool) -> None:
    """Compare all outputs for 1,000 rows with the library's.

    Rows with a missing number are among them, or refused: only training with such rows, or an imputer, takes them.
    """
    numbers = [values for values in rows.columns.values() if values.dtype.kind == "f"]
    complete = ~np.isnan(np.stack(numbers, axis=1)).any(axis=1)
    chosen = np.flatnonzero(complete | missing)
    chosen = chosen[:: len(chosen) // COUNT][:COUNT]
    assert len(chosen) == COUNT
    answered = answers(model, send, tensors(model, rows, chosen))
    assert answered.keys() == rows.expected.keys()
    for name, values in rows.expected.items():
        expected = values[chosen]
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(answered[name], expected, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(answered[name].astype(expected.dtype), expected)
    if missing:
        assert not complete[chosen].all()
    elif not complete.all():
        body = json.dumps({"inputs": tensors(model, rows, np.flatnonzero(~complete)[:1])}).encode()
        assert send("POST", f"/v2/models/{model.name}/infer", JSON, body).status == 400


def tensors(model: Description, rows: Rows, chosen: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
    """Return some of the rows as the inputs of a request in V2."""
    columns = {name: values[chosen].reshape(-1, 1) for name, values in rows.columns.items()}
    if model.signature.inputs[0].name not in columns:
        columns = {model.signature.inputs[0].name: np.concatenate(list(columns.values()), axis=1)}
    return [tensor(item.name, item.datatype.name, columns[item.name]) for item in model.signature.inputs]

"""Each model of the table answers 1,000 rows as its own library does, once it is published, pinned and started."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io

from drivers import Driver
from pilotlight.model.lock import Description
from pilotlight.model.signature import Output
from pilotlight.model.tensor import BYTES
from published.serving import answers, check_golden, published, started, tensor
from published.table import COUNT, ROWS, Row, Rows

# Those that go through the real sandbox, and are served in the clouds' own runtimes over HTTP.
WHOLE = ("a classifier for each target", "one-hot columns, joblib lz4", "principal components transform")


def test_the_table_has_at_least_sixty_models_of_different_names() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) >= 60


@pytest.mark.filterwarnings("ignore")  # of training, which is not what is tested here
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_served_model_answers_as_its_library_does(row: Row, tmp_path: Path) -> None:
    estimator, rows = row.make()
    assert len(rows) == COUNT
    path = written(row.form, estimator, tmp_path)
    whole = row.name in WHOLE
    model = published(path, tmp_path, whole=whole, golden=instances(rows) if row.real else "", method=row.method)
    with started(model, tmp_path, whole=whole) as ways:
        for send in ways:
            check_golden(model, send)
            check_answers(model.model, send, estimator, rows)


def written(form: str, estimator: Any, folder: Path) -> Path:
    """Write a file in one of the forms that people have."""
    path = folder / "file"
    kind, _, detail = form.partition(" ")
    if kind == "joblib":
        joblib.dump(estimator, path, compress=(detail, 3) if detail else 0)
    elif kind == "skops":
        skops.io.dump(estimator, path)
    else:
        path.write_bytes(pickle.dumps(estimator, int(detail or 5)))
    return path


def instances(rows: Rows) -> str:
    """Return a few rows as a file of golden samples."""
    assert isinstance(rows, pd.DataFrame)
    return json.dumps({"instances": rows[:5].astype(object).where(rows[:5].notna(), None).to_dict("records")})


def check_answers(model: Description, send: Driver, estimator: Any, rows: Rows) -> None:
    """Compare all outputs for all rows with the library's."""
    answered = answers(model, send, tensors(model, rows))
    for output in model.signature.outputs:
        expected = answer_of(estimator, output, rows)
        found = answered[output.name].astype(expected.dtype)
        assert found.shape == (COUNT, *output.shape[1:])
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-9, atol=1e-12)
        else:
            np.testing.assert_array_equal(found, expected.reshape(found.shape))


def answer_of(estimator: Any, output: Output, rows: Rows) -> np.ndarray[Any, Any]:
    """Return what the library itself answers for an output, found by its name."""
    several = re.fullmatch(r"probabilities_(\d+)", output.name)
    if several:
        return np.asarray(estimator.predict_proba(rows)[int(several[1])])
    methods = {"label": "predict", "prediction": "predict", "probabilities": "predict_proba"}
    result = getattr(estimator, methods.get(output.name, output.name))(rows)
    return np.asarray(result.toarray() if hasattr(result, "toarray") else result)


def tensors(model: Description, rows: Rows) -> list[dict[str, Any]]:
    """Return the rows as the inputs of a request in V2."""
    inputs = model.signature.inputs
    if len(inputs) == 1:
        data = np.asarray(rows)
        return [tensor(inputs[0].name, inputs[0].datatype.name, data)]
    assert isinstance(rows, pd.DataFrame)
    assert [column.name for column in inputs if column.datatype is BYTES] == [
        name for name in rows if rows[name].dtype in (object, "category")
    ]
    return [tensor(item.name, item.datatype.name, rows[[item.name]].to_numpy()) for item in inputs]

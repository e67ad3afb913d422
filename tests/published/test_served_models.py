"""Each model of the table answers 1,000 rows as its own library does, once it is published, pinned and started."""

from __future__ import annotations

import json
import pickle
import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io

import drivers
from contract.conftest import _core
from drivers import Driver
from harness import Pinned, in_functions_framework, in_lambda, stored
from pilotlight.codec.golden_requests import GoldenRequest, compare_samples
from pilotlight.model.lock import Description
from pilotlight.model.signature import Output
from pilotlight.model.tensor import BYTES
from pilotlight_cli.formats.admitted import admitted_globals
from pilotlight_cli.formats.recognition import recognise
from pilotlight_cli.local.gateway import gateway
from pilotlight_cli.pinning.pin import pin
from pilotlight_cli.registry.golden_file import golden_of
from pilotlight_cli.registry.publish import publish
from pilotlight_cli.sandbox.child import sklearn as child
from pilotlight_cli.sandbox.inspection import Inspection, inspect
from pilotlight_cli.sandbox.job import Job
from pilotlight_cli.stores import open_store
from published.table import COUNT, ROWS, Row, Rows

JSON = {"content-type": "application/json"}

# Those that go through the real sandbox, and are served in the clouds' own runtimes over HTTP.
WHOLE = ("a classifier for each target", "one-hot columns, joblib lz4", "principal components transform")


def test_the_table_has_at_least_sixty_models_of_different_names() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) >= 60


@pytest.mark.filterwarnings("ignore")  # of training, which is not what is tested here
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_served_model_answers_as_its_library_does(row: Row, tmp_path: Path) -> None:
    estimator, rows = row.make()
    assert len(rows) == COUNT
    model = published(row, estimator, rows, tmp_path)
    with started(model, row.name, tmp_path) as ways:
        for send in ways:
            check_golden(model, send)
            check_answers(model.model, send, estimator, rows)


@contextmanager
def started(model: Pinned, name: str, folder: Path) -> Iterator[list[Driver]]:
    """Start the function: its core in this process, and the whole in both clouds' runtimes for some rows."""
    with ExitStack() as stack:
        ways = [drivers.core(_core(model, folder / "tmp"))]
        if name in WHOLE:
            aws, gcp = (stack.enter_context(stored(cloud, model)) for cloud in ("aws", "gcp"))
            function = stack.enter_context(in_lambda(model, aws))
            ways.append(drivers.http(stack.enter_context(gateway(function.invoke))))
            ways.append(drivers.http(stack.enter_context(in_functions_framework(model, gcp)).url))
        yield ways


def published(row: Row, estimator: Any, rows: Rows, folder: Path) -> Pinned:
    """Write the row's file, publish it and pin it."""
    path = written(row.form, estimator, folder)
    golden = instances(rows) if row.real else ""
    inspection = (
        inspect(path, format=None, signature=None, golden=golden.encode(), allow=(), method=row.method)
        if row.name in WHOLE
        else inspected_here(path, folder, golden=golden, method=row.method)
    )
    store = open_store((folder / "store").as_uri())
    publish(store, inspection, "model", clock=lambda: datetime.now(UTC), progress=lambda _: None)
    lock = folder / "pins" / "model.lock"
    lock.parent.mkdir()
    pin(store, "model", lock)
    return Pinned(lock, store)


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


def inspected_here(path: Path, folder: Path, **options: Any) -> Inspection:
    """Inspect a file as the sandbox does, in this process: a process for each row would take minutes."""
    found = recognise(path)
    (folder / "again").mkdir()
    job = Job(path, found.kind, admitted_globals(), folder / "again", numpy_major=found.numpy_major, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = child.inspect(job)
    allowed, extra = answer.names
    return Inspection(
        answer.format, (answer.path,), answer.runtime, answer.signature, answer.golden, allowed, extra, answer.notes
    )


def check_golden(model: Pinned, send: Driver) -> None:
    """Compare the answers to the golden samples with the published ones, as `verify` does."""

    def ask(request: GoldenRequest) -> tuple[int, object]:
        reply = send("POST", request.path, JSON, json.dumps(request.body).encode())
        return reply.status, json.loads(reply.body)

    golden = golden_of(model.model.signature, (model.lock.parent / "golden.json").read_bytes())
    compared = list(compare_samples(model.model, golden, ask))
    assert [found.problem for found in compared] == [""] * len(golden.samples)
    assert compared


def check_answers(model: Description, send: Driver, estimator: Any, rows: Rows) -> None:
    """Compare all outputs for all rows with the library's."""
    body = json.dumps({"inputs": tensors(model, rows)}).encode()
    reply = send("POST", f"/v2/models/{model.name}/infer", JSON, body)
    assert reply.status == 200, reply.body[:500]
    answers = {output["name"]: output for output in json.loads(reply.body)["outputs"]}
    assert answers.keys() == {output.name for output in model.signature.outputs}
    for output in model.signature.outputs:
        expected = answer_of(estimator, output, rows)
        found = np.array(answers[output.name]["data"], expected.dtype).reshape(answers[output.name]["shape"])
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


def tensor(name: str, datatype: str, data: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return one input; a missing value is null."""
    values = [None if value != value else value for value in data.ravel().tolist()]  # noqa: PLR0124 - NaN
    return {"name": name, "datatype": datatype, "shape": list(data.shape), "data": values}

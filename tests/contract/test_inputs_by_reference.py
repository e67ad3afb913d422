"""Inputs by reference in both clouds' own runtimes, from each cloud's own kind of store."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from harness import delete, in_functions_framework, in_lambda, sample, stored
from pilotlight_cli.local import ServeError, serving
from pilotlight_cli.local.gateway import gateway
from pilotlight_cli.local.stores import acting_in
from pilotlight_cli.stores import open_store
from repository import LOCK, sample_request

ROWS = 300_000  # 36 MB, more than either cloud takes in a request
ROW = struct.pack("<30f", *sample_request()[1]["features"].values())


class Function:
    """A function that may read below one prefix of its store."""

    def __init__(self, cloud: str, folder: Path, stack: ExitStack) -> None:
        model = sample(folder)
        self.store = stack.enter_context(stored(cloud, model))
        self.inputs = f"{self.store.url}/inputs/"
        settings = {"PILOTLIGHT_INPUT_PREFIXES": self.inputs}
        if cloud == "aws":
            runtime = stack.enter_context(in_lambda(model, self.store, **settings))
            self.url = stack.enter_context(gateway(runtime.invoke))
        else:
            self.url = stack.enter_context(in_functions_framework(model, self.store, **settings)).url

    def put(self, key: str, content: bytes) -> None:
        with acting_in(self.store.environ):
            open_store(self.store.url).replace(key, content)

    def infer(self, url: str, rows: int) -> requests.Response:
        """Ask for the probabilities as bytes."""
        entry = {"name": "features", "datatype": "FP32", "shape": [rows, 30], "parameters": {"binary_data_url": url}}
        outputs = [{"name": "probabilities", "parameters": {"binary_data": True}}]
        body = {"inputs": [entry], "outputs": outputs}
        return requests.post(f"{self.url}/v2/models/breast-cancer/infer", json=body, timeout=90)


@pytest.fixture(scope="module", params=["aws", "gcp"])
def function(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Function]:
    with ExitStack() as stack:
        yield Function(request.param, tmp_path_factory.mktemp("sample"), stack)


def test_more_rows_than_a_request_can_hold_are_predicted(function: Function) -> None:
    function.put("inputs/day 1/rows.bin", ROW * ROWS)
    reply = function.infer(f"{function.inputs}day 1/rows.bin", ROWS)
    assert reply.status_code == 200, reply.text
    length = int(reply.headers["Inference-Header-Content-Length"])
    assert json.loads(reply.content[:length])["outputs"][0]["shape"] == [ROWS, 2]
    first, last = reply.content[length : length + 8], reply.content[-8:]
    assert (len(reply.content), first) == (length + 8 * ROWS, last)
    assert struct.unpack("<2f", first) == (0.03125, 0.96875)


@pytest.mark.parametrize(
    ("key", "rows", "status", "code"),
    [
        ("inputs/rows.bin", 2, 200, None),
        ("inputs/rows.bin", 1, 400, "invalid_request"),
        ("inputs/rows.bin", 3, 400, "invalid_request"),
        ("inputs/gone.bin", 2, 424, "input_refused"),
        ("others/rows.bin", 2, 403, "forbidden"),
        ("inputs/../others/rows.bin", 2, 400, "invalid_request"),
        ("inputs/rows.bin", 10**12, 413, "too_large"),
    ],
)
def test_a_reference_has_its_answer_and_a_good_one_behind_it_too(
    key: str, rows: int, status: int, code: str | None, function: Function
) -> None:
    for name in ("inputs/rows.bin", "inputs/gone.bin", "others/rows.bin"):
        function.put(name, ROW * 2)
    delete(function.store, "inputs/gone.bin")
    reply = function.infer(f"{function.store.url}/{key}", rows)
    document: Any = reply.json() if code else {}
    assert (reply.status_code, document.get("code")) == (status, code), reply.text
    assert document.get("path", "$.inputs[0].parameters.binary_data_url").startswith("$.inputs[0]")
    assert function.infer(f"{function.inputs}rows.bin", 2).status_code == 200


@pytest.mark.parametrize(("cloud", "prefix"), [("aws", "gs://inputs/"), ("gcp", "s3://inputs/")])
def test_prefixes_of_the_other_cloud_end_the_start(cloud: str, prefix: str) -> None:
    environ = {**os.environ, "PILOTLIGHT_INPUT_PREFIXES": prefix}
    message = f"PILOTLIGHT_INPUT_PREFIXES has '{prefix}'; expected"
    with pytest.raises(ServeError, match=message), serving(cloud, LOCK, environ=environ):
        pass

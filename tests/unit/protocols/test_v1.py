"""The V1 protocol: instances by row, inputs by tensor or by column."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from typing import Any

import pytest

from doubles import COLUMNS, FEATURES, NAMES, PAIR, Records, service
from pilotlight.http.messages import Request, Response
from pilotlight.model.tensor import FP32, Tensor
from pilotlight.service import Service
from unit.protocols.test_v2 import by_sum, rent

PREDICT = "/v1/models/example:predict"
ROWS = [[1, 2, 3], [1, 2, 4]]


def sums(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the sum of a row of `left`, and its value of `right`."""
    left, right = inputs
    width = left.shape[1]
    values = [sum(left.values()[row * width : (row + 1) * width]) + number for row, number in enumerate(right.values())]
    return (Tensor(FP32, right.shape, array("f", values)),)


def post(served: Service, document: object, path: str = PREDICT) -> tuple[Response, Any]:
    response = served.handle(Request("POST", path, {"content-type": "application/json"}, json.dumps(document).encode()))
    return response, json.loads(response.body)


@pytest.fixture
def classifier() -> Service:
    return service(FEATURES, by_sum)


def test_the_models_are_the_one_that_is_served(classifier: Service) -> None:
    assert json.loads(classifier.handle(Request("GET", "/v1/models")).body) == {"models": ["example"]}
    assert json.loads(classifier.handle(Request("GET", "/v1/models/example")).body) == {
        "name": "example",
        "ready": True,
    }


def test_asking_whether_the_server_is_alive_or_its_model_ready_is_a_probe() -> None:
    records = Records()
    served = service(FEATURES, by_sum, records=records)
    assert json.loads(served.handle(Request("GET", "/")).body) == {"status": "alive"}
    for path in ("/v1/models/example", "/ping"):
        served.handle(Request("GET", path))
    assert [record.is_probe for record in records.served] == [True, True, True]


@pytest.mark.parametrize(
    "document",
    [
        {"instances": ROWS},
        {"instances": [dict(zip(NAMES, row, strict=True)) for row in ROWS]},
        {"instances": ROWS, "signature_name": "serving_default"},
        {"instances": ROWS, "parameters": {}, "signature_name": None},
        {"inputs": ROWS, "parameters": None},
        {"inputs": ROWS},
        {"inputs": {"features": ROWS}},
        {"inputs": {"depth": [3, 4], "height": [1, 1], "width": [2, 2]}},
        {"inputs": {"depth": [[3], [4]], "height": [1, 1], "width": [2, 2]}},
    ],
)
def test_rows_and_columns_of_a_matrix_are_predicted_alike(classifier: Service, document: object) -> None:
    assert post(classifier, document)[1] == {"predictions": ["small", "large"]}


def test_columns_of_several_datatypes_are_read_each_by_its_own() -> None:
    columns = {"city": ["Kyiv", "Lviv"], "rooms": [2, 1], "area": [50, 20.5]}
    assert post(service(COLUMNS, rent), {"inputs": columns})[1] == {"predictions": [600.0, 205.0]}


def test_several_tensors_are_an_object_by_name() -> None:
    served = service(PAIR, sums)
    assert post(served, {"inputs": {"left": [[1, 2], [3, 4]], "right": [0.5, 1]}})[1] == {"predictions": [3.5, 8.0]}
    assert post(served, {"instances": [{"left": [1, 2], "right": 0.5}]})[1] == {"predictions": [3.5]}


@pytest.mark.parametrize(
    ("document", "place", "message"),
    [
        ([], "$", 'expected an object with one of the fields "instances", "inputs", found an array'),
        ({}, "$", 'expected exactly one of the fields "instances", "inputs", found none of them'),
        ({"instances": ROWS, "inputs": ROWS}, "$", "expected exactly one of the fields"),
        ({"signature_name": "serving_default"}, "$", 'expected exactly one of the fields "instances", "inputs", found'),
        (
            {"instances": ROWS, "signature_name": "x"},
            "$.signature_name",
            'expected "serving_default" as signature_name',
        ),
        ({"instances": ROWS, "parameters": {"k": 1}}, "$.parameters", "this model accepts no parameters, found an"),
        ({"instances": ROWS, "parameters": []}, "$.parameters", "this model accepts no parameters, found an array"),
        ({"instances": ROWS, "id": 1}, "$", 'unknown field "id"'),
        ({"inputs": {"depth": [3], "height": [1]}}, "$.inputs", 'the column "width" is missing'),
        ({"inputs": {"features": ROWS, "depth": [1]}}, "$.inputs", 'unknown column "features"'),
        ({"inputs": {"depth": [3], "height": [1], "width": [1, 2]}}, "$.inputs.width", "expected 1 values, as in"),
        ({"inputs": {"depth": [], "height": [], "width": []}}, "$.inputs", "expected at least one instance"),
        ({"inputs": {"depth": 3, "height": [1], "width": [2]}}, "$.inputs.depth", "expected an array of values"),
        ({"inputs": {"depth": ["3"], "height": [1], "width": [2]}}, "$.inputs.depth[0]", "expected a number (FP32)"),
        ({"inputs": []}, "$.inputs", "expected at least one instance"),
        ({"inputs": 5}, "$.inputs", "expected an array of instances"),
    ],
)
def test_a_wrong_body_is_a_400_that_names_the_place(
    classifier: Service, document: object, place: str, message: str
) -> None:
    response, found = post(classifier, document)
    assert (response.status, found["path"]) == (400, place)
    assert found["error"].startswith(message)


@pytest.mark.parametrize(
    ("inputs", "place", "message"),
    [
        ({"left": [[1]]}, "$.inputs", 'the input "right" is missing'),
        ({"left": [[1]], "right": [1], "up": [1]}, "$.inputs", 'unknown input "up"'),
        (
            {"left": [[1], [2]], "right": [1]},
            "$.inputs",
            "expected the same number of instances in each input, found left 2, right 1",
        ),
        ({"left": [[1.5]], "right": [1]}, "$.inputs.left[0][0]", "expected a whole number"),
        ([[1]], "$.inputs", "expected an object with the inputs left, right, found an array"),
    ],
)
def test_wrong_tensors_are_a_400_that_names_the_place(inputs: object, place: str, message: str) -> None:
    response, found = post(service(PAIR, sums), {"inputs": inputs})
    assert (response.status, found["path"]) == (400, place)
    assert found["error"].startswith(message)


@pytest.mark.parametrize("path", ["/v1/models/other", "/v1/models/a:b:predict", "/v1/models/other:predict"])
def test_another_model_is_a_404(classifier: Service, path: str) -> None:
    method = "POST" if path.endswith(":predict") else "GET"
    assert classifier.handle(Request(method, path)).status == 404

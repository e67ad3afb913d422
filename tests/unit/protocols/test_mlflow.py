"""MLflow's and SageMaker's routes: data frames and CSV."""

from __future__ import annotations

import json
from typing import Any

import pytest

from doubles import COLUMNS, FEATURES, IMAGE, NAMES, service
from pilotlight.http.messages import Request, Response
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import DATATYPES
from pilotlight.service import Service
from unit.protocols.test_v1 import ROWS
from unit.protocols.test_v2 import by_sum, rent, twice

RENTS = {"predictions": [600.0, 205.0]}
CSV = "text/csv; charset=UTF-8"


def post(served: Service, body: object, content_type: str = "application/json") -> tuple[Response, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = served.handle(Request("POST", "/invocations", {"content-type": content_type}, raw))
    return response, json.loads(response.body)


@pytest.fixture
def flats() -> Service:
    return service(COLUMNS, rent)


def test_ping_and_version_answer() -> None:
    served = service(FEATURES, by_sum)
    ping = served.handle(Request("GET", "/ping"))
    assert (ping.status, json.loads(ping.body)["status"]) == (200, "ready")
    version = json.loads(served.handle(Request("GET", "/version")).body)
    assert version == {"name": "pilotlight", "version": "0.1.0"}


@pytest.mark.parametrize(
    "document",
    [
        {"dataframe_split": {"columns": ["area", "city", "rooms"], "data": [[50, "Kyiv", 2], [20.5, "Lviv", 1]]}},
        {
            "dataframe_split": {
                "index": [7, 8],
                "columns": ["city", "rooms", "area"],
                "data": [["Kyiv", 2, 50], ["Lviv", 1, 20.5]],
            }
        },
        {"dataframe_records": [{"area": 50, "city": "Kyiv", "rooms": 2}, {"city": "Lviv", "rooms": 1, "area": 20.5}]},
        {"instances": [["Kyiv", 2, 50], {"city": "Lviv", "rooms": 1, "area": 20.5}]},
        {"inputs": {"city": ["Kyiv", "Lviv"], "rooms": [2, 1], "area": [50, 20.5]}},
        {"instances": [["Kyiv", 2, 50], ["Lviv", 1, 20.5]], "params": {}},
        {"instances": [["Kyiv", 2, 50], ["Lviv", 1, 20.5]], "params": None},
    ],
)
def test_every_form_of_a_frame_is_predicted_alike(flats: Service, document: object) -> None:
    assert post(flats, document)[1] == RENTS


@pytest.mark.parametrize(
    "body",
    [
        b"city,rooms,area\nKyiv,2,50\nLviv,1,20.5\n",
        b'\xef\xbb\xbfarea,rooms,city\r\n+5.e1,+2,Kyiv\r\n\r\n2050e-2,1,"Lviv"',
        b'"rooms","city","area"\n2,Kyiv,5E1\n1,"Lviv\n, the old town",20.5\n',
    ],
)
def test_csv_is_read_by_each_columns_datatype(flats: Service, body: bytes) -> None:
    assert post(flats, body, CSV)[1] == RENTS


def test_csv_of_a_matrix_comes_in_any_order() -> None:
    body = b"depth,height,width\n3,1,2\n4,1,2\n"
    assert post(service(FEATURES, by_sum), body, CSV)[1] == {"predictions": ["small", "large"]}


def test_csv_has_booleans_as_data_frames_write_them() -> None:
    signature = Signature(
        (Input("here", DATATYPES["BOOL"], (-1,), "features"),), (Output("there", DATATYPES["BOOL"], (-1,), "tensor"),)
    )
    assert post(service(signature, tuple), b"here\nTrue\nfalse\n", CSV)[1] == {"predictions": [True, False]}
    assert "line 2, column" in post(service(signature, tuple), b"here\n1\n", CSV)[1]["error"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "expected a line of column names"),
        (b"city,rooms,area\n", "expected a line of column names and at least one line of values"),
        (b"city,rooms,area\nKyiv,2\n", "line 2: expected 3 cells, found 2"),
        (b"city,rooms\nKyiv,2\n", 'the column "area" is missing'),
        (b"city,rooms,area,floor\nKyiv,2,50,1\n", 'unknown column "floor"'),
        (b"city,city,area\nKyiv,Kyiv,50\n", 'duplicate column "city"'),
        (b"city,rooms,area\nKyiv,2.5,50\n", 'line 2, column "rooms": expected a whole number'),
        (b"city,rooms,area\nKyiv,1,5\nLviv,1,\n", 'line 3, column "area": expected a number (FP64), found ""'),
        (b"city,rooms,area\nKyiv,2,nan\n", 'line 2, column "area": expected a number (FP64), found "nan"'),
        (b"city,rooms,area\nKyiv,2,1_000\n", 'line 2, column "area": expected a number'),
        (b"city,rooms,area\nKyiv,2,1e999\n", 'line 2, column "area": number is out of range for FP64'),
        (b"city,rooms,area\nKyiv,99999999999999999999,1\n", 'line 2, column "rooms": expected a whole number'),
        (b'city,rooms,area\n"Kyiv,2,50\n', "line 2: the body is not valid CSV"),
        (b"city,rooms,area\n\xff,2,50\n", "the body is not UTF-8"),
    ],
)
def test_wrong_csv_is_a_400_that_names_line_and_column(flats: Service, body: bytes, message: str) -> None:
    response, document = post(flats, body, CSV)
    assert (response.status, document["path"]) == (400, None)
    assert document["error"].startswith(message)


@pytest.mark.parametrize(
    "content_type", ["text/csv; charset=latin-1", "text/csv;header=absent", "text/tsv", "text/plain"]
)
def test_other_text_is_a_415(flats: Service, content_type: str) -> None:
    assert post(flats, b"city,rooms,area\nKyiv,2,50\n", content_type)[0].status == 415


FRAME = {"columns": ["city", "rooms", "area"], "data": [["Kyiv", 2, 50]]}


@pytest.mark.parametrize(
    ("document", "place", "message"),
    [
        ({"dataframe_split": FRAME, "instances": []}, "$", "expected exactly one of the fields"),
        ({"dataframe_split": FRAME, "params": {"top": 1}}, "$.params", "this model accepts no params"),
        ({"dataframe_split": []}, "$.dataframe_split", "expected an object with the fields"),
        ({"dataframe_split": {"data": []}}, "$.dataframe_split", 'the field "columns" is missing'),
        ({"dataframe_split": FRAME | {"name": "x"}}, "$.dataframe_split", 'unknown field "name"'),
        ({"dataframe_split": FRAME | {"columns": {}}}, "$.dataframe_split.columns", "expected an array of names"),
        ({"dataframe_split": FRAME | {"columns": [1, 2, 3]}}, "$.dataframe_split.columns", "expected a column name"),
        ({"dataframe_split": FRAME | {"data": []}}, "$.dataframe_split.data", "expected an array of at least one row"),
        ({"dataframe_split": FRAME | {"index": 7}}, "$.dataframe_split.index", "expected an array of"),
        ({"dataframe_split": FRAME | {"index": None}}, "$.dataframe_split.index", "expected an array of"),
        ({"dataframe_split": FRAME | {"index": [1] * 9}}, "$.dataframe_split.index", "expected an array of"),
        ({"dataframe_split": FRAME | {"data": [{}]}}, "$.dataframe_split.data[0]", "expected an array of values"),
        ({"dataframe_split": FRAME | {"data": [[1]]}}, "$.dataframe_split.data[0]", "expected 3 values, found 1"),
        (
            {"dataframe_split": FRAME | {"data": [["Kyiv", 2, 50], ["Kyiv", "2", 50]]}},
            "$.dataframe_split.data[1][1]",
            "expected a whole number",
        ),
        ({"dataframe_records": [["Kyiv", 2, 50]]}, "$.dataframe_records[0]", "expected an object by column"),
        ({"dataframe_records": {}}, "$.dataframe_records", "expected an array of instances"),
        ({"dataframe_records": [{"city": "Kyiv"}]}, "$.dataframe_records[0]", 'the feature "rooms" is missing'),
        ({"columns": [], "data": []}, "$", 'unknown field "columns"'),
        ([], "$", "expected an object with one of the fields"),
    ],
)
def test_a_wrong_frame_is_a_400_that_names_the_place(
    flats: Service, document: object, place: str, message: str
) -> None:
    response, found = post(flats, document)
    assert (response.status, found["path"]) == (400, place)
    assert found["error"].startswith(message)


@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records"])
def test_a_model_of_tensors_takes_no_frame(form: str) -> None:
    frame: object = {"columns": list(NAMES), "data": ROWS} if form == "dataframe_split" else []
    document = post(service(IMAGE, twice), {form: frame})[1]
    assert document["error"].startswith("this model has no named columns")

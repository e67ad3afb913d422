"""One table of rows: every form of a request reads the same values and refuses the same ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from dialects import ACCEPTED, CELLS, DIALECTS, FULL, KINDS, REFUSED, Dialect, Row
from doubles import service
from pilotlight.http.messages import Request
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BYTES, FP32, Tensor

EACH = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
STRICT = replace(CELLS, inputs=tuple(replace(tensor, missing=False) for tensor in CELLS.inputs))


def send(signature: Signature, dialect: Dialect, rows: Sequence[Row]) -> tuple[int, Any]:
    """Send rows to a model that gives its inputs back."""
    path = dialect.path.format("example")
    reply = service(signature, tuple).handle(Request("POST", path, dialect.headers, dialect.body(rows)))
    return reply.status, json.loads(reply.body)


@EACH
@pytest.mark.parametrize(("row", "answer"), ACCEPTED.values(), ids=ACCEPTED)
def test_a_row_is_read_alike_in_every_form(dialect: Dialect, row: Row, answer: Row) -> None:
    status, document = send(CELLS, dialect, [row, FULL])
    assert status == 200, document
    found = dialect.predictions(document)
    assert found == [{f"{name}_out": given[name] for name in KINDS} for given in (answer, FULL)][: len(found)]


@EACH
@pytest.mark.parametrize(("row", "message"), REFUSED.values(), ids=REFUSED)
def test_a_row_is_refused_alike_in_every_form(dialect: Dialect, row: Row, message: str) -> None:
    status, document = send(CELLS, dialect, [row, FULL])
    assert status == 400
    assert message in document["error"]


@EACH
@pytest.mark.parametrize("name", ["area", "city"])
def test_without_a_word_in_the_signature_nothing_may_be_missing(dialect: Dialect, name: str) -> None:
    status, document = send(STRICT, dialect, [FULL | {name: None}, FULL])
    if (name, dialect) == ("city", DIALECTS["CSV"]):  # an empty cell is a string
        assert dialect.predictions(document)[0]["city_out"] == ""
        return
    assert status == 400
    assert document["error"].endswith(
        '; the model takes no missing values here, or its signature lacks "missing": true'
    )


TEXT = Signature((Input("text", BYTES, (-1,), "features"),), (Output("same", BYTES, (-1,), "tensor"),))
NOTE = replace(TEXT, inputs=(replace(TEXT.inputs[0], missing=True),))


@pytest.mark.parametrize(
    ("signature", "path", "body", "status", "said"),
    [
        (TEXT, "/predict", {"features": "some text"}, 200, "some text"),
        (TEXT, "/predict", {"features": ["some text"]}, 200, "some text"),
        (TEXT, "/predict", {"features": {"text": "some text"}}, 200, "some text"),
        (TEXT, "/predict_batch", {"instances": ["a", ["b"], {"text": "c"}]}, 200, ["a", "b", "c"]),
        (TEXT, "/v1/models/example:predict", {"instances": ["a", "b"]}, 200, ["a", "b"]),
        (TEXT, "/v1/models/example:predict", {"inputs": ["a", "b"]}, 200, ["a", "b"]),
        (TEXT, "/invocations", {"instances": ["a", "b"]}, 200, ["a", "b"]),
        (NOTE, "/predict_batch", {"instances": ["a", None]}, 200, ["a", None]),
        (TEXT, "/predict", {"features": None}, 400, 'expected the feature "text" as an array or as an object'),
        (TEXT, "/predict", {"features": 7}, 400, 'expected the feature "text" as an array or as an object'),
        (TEXT, "/predict_batch", {"instances": ["a", "\ud800"]}, 400, "expected a string without unpaired surrogates"),
    ],
)
def test_a_single_text_may_come_as_it_is(
    signature: Signature, path: str, body: object, status: int, said: object
) -> None:
    reply = service(signature, tuple).handle(Request("POST", path, {}, json.dumps(body).encode()))
    document = json.loads(reply.body)
    assert reply.status == status, document
    if status == 200:
        assert document.get("prediction", document.get("predictions")) == said
    else:
        assert document["error"].startswith(str(said))


def test_a_text_that_is_wrong_is_named_where_it_came() -> None:
    body = json.dumps({"instances": ["a", "\ud800"]}).encode()
    reply = service(TEXT, tuple).handle(Request("POST", "/predict_batch", {}, body))
    assert json.loads(reply.body)["path"] == "$.instances[1]"


WIDE = Signature((Input("x", FP32, (-1, 3), "features"),), (Output("y", FP32, (-1, 3), "tensor"),))
MADE_UP = {"f2": 3, "f0": 1, "f1": 2}
SHORT = [1, 2]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", {"features": [1, 2, 3]}),
        ("/predict", {"features": MADE_UP}),
        ("/predict_batch", {"instances": [MADE_UP]}),
        ("/v1/models/example:predict", {"inputs": {name: [value] for name, value in MADE_UP.items()}}),
        ("/v1/models/example:predict", {"inputs": {"x": [[1, 2, 3]]}}),
        ("/invocations", {"dataframe_split": {"columns": list(MADE_UP), "data": [list(MADE_UP.values())]}}),
        (
            "/v2/models/example/infer",
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]},
        ),
        (
            "/v2/models/example/infer",
            {
                "inputs": [
                    {"name": name, "datatype": "FP32", "shape": [1], "data": [value]} for name, value in MADE_UP.items()
                ]
            },
        ),
    ],
)
def test_features_without_names_are_called_f0_f1_and_so_on(path: str, body: object) -> None:
    reply = service(WIDE, tuple).handle(Request("POST", path, {}, json.dumps(body).encode()))
    assert reply.status == 200, reply.body
    assert b"[1.0,2.0,3.0]" in reply.body


@pytest.mark.parametrize("named", [(), ("a", "b", "c")], ids=["without names", "with names"])
@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/predict", {}, {"features": SHORT}),
        ("/predict_batch", {}, {"instances": [SHORT]}),
        ("/v1/models/example:predict", {}, {"instances": [SHORT]}),
        ("/v1/models/example:predict", {}, {"inputs": [SHORT]}),
        ("/v1/models/example:predict", {}, {"inputs": {"x": [SHORT]}}),
        ("/v1/models/example:predict", {}, {"inputs": {"f0": [1], "f1": [2]}}),
        ("/invocations", {}, {"dataframe_split": {"columns": ["f0", "f1"], "data": [SHORT]}}),
        ("/invocations", {}, {"dataframe_records": [{"f0": 1, "f1": 2}]}),
        ("/invocations", {"content-type": "text/csv"}, "f0,f1\n1,2\n"),
        (
            "/v2/models/example/infer",
            {},
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": SHORT}]},
        ),
    ],
)
def test_a_row_of_features_that_is_too_short_is_refused_in_every_form(
    named: tuple[str, ...], path: str, headers: dict[str, str], body: object
) -> None:
    signature = replace(WIDE, inputs=(replace(WIDE.inputs[0], feature_names=named),))
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    reply = service(signature, _never).handle(Request("POST", path, headers, raw))
    assert reply.status == 400, reply.body


def _never(_inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    raise AssertionError("the model was asked")

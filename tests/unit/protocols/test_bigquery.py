"""Remote functions of BigQuery: argument lists as TO_JSON_STRING writes them, and a reply for each call."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from doubles import COLUMNS, FEATURES, IMAGE, Records, service
from pilotlight.http.messages import Request
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BYTES, FP64, INT64, Tensor
from pilotlight.service import Service
from unit.protocols.test_v2 import by_sum, rent, twice

ENVELOPE = {
    "requestId": "124ab1c",
    "caller": "//bigquery.googleapis.com/projects/mine/jobs/mine:US.bquxjob_5b4c112c_17961fafeaf",
    "sessionUser": "somebody@example.com",
    "fieldOfTheFuture": 1,
}

MISSING = Signature(
    (Input("x", FP64, (-1, 2), "features", ("a", "b"), missing=True),), (Output("y", FP64, (-1, 2), "tensor"),)
)
WHOLE = Signature((Input("n", INT64, (-1, 1), "features"),), (Output("twice", INT64, (-1, 1), "tensor"),))
TEXT = Signature((Input("text", BYTES, (-1, 1), "features"),), (Output("same", BYTES, (-1, 1), "tensor"),))


def doubled(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return (Tensor(INT64, inputs[0].shape, array("q", [2 * value for value in inputs[0].values()])),)


def same(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(inputs)


def ask(served: Service, calls: object, **context: object) -> tuple[int, Any]:
    body = {**ENVELOPE, "calls": calls, **({"userDefinedContext": context} if context else {})}
    response = served.handle(Request("POST", "/bigquery", {}, json.dumps(body).encode()))
    return response.status, json.loads(response.body)


CLASSIFIER, RENTS = (FEATURES, by_sum), (COLUMNS, rent)
LARGE = {
    "prediction": "large",
    "probability": 0.75,
    "probabilities": [0.25, 0.75],
    "model_name": "example",
    "model_version": 3,
}


@pytest.mark.parametrize(
    ("model", "calls", "context", "replies"),
    [
        (CLASSIFIER, [[1, 2, 3], [1, 2, 4]], {}, ["small", "large"]),
        (CLASSIFIER, [["1", "2.5", "4e0"]], {}, ["large"]),
        (CLASSIFIER, [[3, 1, 2]], {"columns": "depth,height,width"}, ["small"]),
        (CLASSIFIER, [[1, 2, 4]], {"reply": "probability"}, [0.75]),
        (CLASSIFIER, [[1, 2, 4]], {"reply": "document"}, [LARGE]),
        (CLASSIFIER, [[[1, 2, 3]], [{"depth": 4, "height": 1, "width": 2}]], {}, ["small", "large"]),
        (RENTS, [["Kyiv", 3, 20.5], ["Lviv", "3", "20.5"]], {}, [305.0, 205.0]),
        (RENTS, [[20.5, "Kyiv", 3]], {"columns": "area,city,rooms"}, [305.0]),
        (RENTS, [["7", 3, 20.5]], {}, [205.0]),
        ((WHOLE, doubled), [["4503599627370497"], [4503599627370496], [-1]], {}, ["9007199254740994", 2**53, -2]),
        ((TEXT, same), [["12"], ["NaN"]], {}, ["12", "NaN"]),
        ((MISSING, same), [["NaN", 1], [None, "2"]], {}, [[None, 1.0], [None, 2.0]]),
        ((IMAGE, twice), [[[[1, 2], [3, 4]]]], {}, [{"scores": [1.0, 2.0], "hidden": [[1.0, 2.0], [3.0, 4.0]]}]),
    ],
)
def test_each_call_has_its_reply(
    model: tuple[Signature, Callable[..., Any]], calls: object, context: dict[str, str], replies: list[object]
) -> None:
    assert ask(service(*model), calls, **context) == (200, {"replies": replies})


@pytest.mark.parametrize(
    ("model", "calls", "context", "message"),
    [
        (CLASSIFIER, None, {}, "$.calls: expected an array of at least one call, found null"),
        (CLASSIFIER, [], {}, "$.calls: expected an array of at least one call, found an array"),
        (CLASSIFIER, [[1, 2, 3], 5], {}, "$.calls[1]: expected an array of arguments, found 5"),
        (CLASSIFIER, [[1, 2]], {}, "$.calls[0]: expected 3 arguments, or one of the type JSON, found 2"),
        (CLASSIFIER, [[1, 2, 3], [1, "x", 3]], {}, '$.calls[1][1]: expected a number (FP32), found "x"'),
        (CLASSIFIER, [[1, "Infinity", 3]], {}, '$.calls[0][1]: expected a number (FP32), found "Infinity"'),
        (CLASSIFIER, [[1, None, 3]], {}, "$.calls[0][1]: expected a number (FP32), found null"),
        (CLASSIFIER, [[{"depth": 4, "height": 1}]], {}, '$.calls[0][0]: the feature "width" is missing'),
        (CLASSIFIER, [[1, 2, "x"]], {"columns": "depth,height,width"}, "$.calls[0][2]: expected a number"),
        (CLASSIFIER, [[1, 2, 3]], {"columns": "height,width"}, '$.userDefinedContext.columns: the column "depth" is'),
        (CLASSIFIER, [[1, 2, 3]], {"columns": 3}, "$.userDefinedContext.columns: expected names with commas, found 3"),
        (CLASSIFIER, [[1, 2, 3]], {"columns": None}, "$.userDefinedContext.columns: expected names with commas, fo"),
        (CLASSIFIER, [[[1, 2, 3]]], {"columns": "depth,height,width"}, "$.calls[0]: expected 3 arguments, or one of"),
        (
            CLASSIFIER,
            [[1, 2, 3]],
            {"colums": "a"},
            '$.userDefinedContext: unknown field "colums", expected only "colum',
        ),
        (CLASSIFIER, [[1, 2, 3]], {"reply": "score"}, "$.userDefinedContext.reply: expected one of prediction, probab"),
        (RENTS, [["a", 1, 1]], {"reply": "probability"}, "$.userDefinedContext.reply: expected one of prediction, doc"),
        (RENTS, [["a", "1.5", 1]], {}, "$.calls[0][1]: expected"),
        ((IMAGE, twice), [[1, 2]], {}, "$.calls[0]: expected 1 argument, an instance, found 2"),
    ],
)
def test_a_wrong_call_is_named_in_what_bigquery_shows(
    model: tuple[Signature, Callable[..., Any]], calls: object, context: dict[str, object], message: str
) -> None:
    status, document = ask(service(*model), calls, **context)
    assert (status, document["code"]) == (400, "invalid_request"), document
    assert document["errorMessage"].startswith(message)
    assert document["errorMessage"] == f"{document['path']}: {document['error']}"


def test_a_message_has_less_than_a_kilobyte_whatever_was_sent() -> None:
    _, document = ask(service(*CLASSIFIER), [[1, 2, 3]], **{"ї" * 3000: "a"})
    assert 0 < len(document["errorMessage"].encode()) <= 1000


def test_no_other_route_has_a_message_for_bigquery() -> None:
    response = service(*CLASSIFIER).handle(Request("POST", "/predict", {}, b"{}"))
    assert "errorMessage" not in json.loads(response.body)


def test_a_batch_counts_with_its_rows() -> None:
    records = Records()
    ask(service(*CLASSIFIER, records=records), [[1, 2, 3]] * 7)
    assert (records.served[0].route, records.served[0].rows) == ("/bigquery", 7)


def test_a_failure_of_the_model_may_be_asked_again_and_says_nothing_of_it() -> None:
    def fail(_inputs: object) -> Any:
        raise RuntimeError("secret")

    assert ask(service(FEATURES, fail), [[1, 2, 3]])[1]["errorMessage"] == "the request could not be answered"

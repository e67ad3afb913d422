"""The Open Inference Protocol V2 in JSON."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from doubles import COLUMNS, FEATURES, IMAGE, NAMES, Records, service
from engines import ENGINES, load
from pilotlight.errors import InvalidRequest
from pilotlight.http.messages import Request, Response
from pilotlight.model.json_document import describe
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BYTES, DATATYPES, FP32, Tensor
from pilotlight.protocols.v2.binary import Data
from pilotlight.protocols.v2.inputs import read_inputs
from pilotlight.service import Service

INFER = "/v2/models/example/infer"


def by_sum(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Label a row of three by its sum."""
    values, rows = inputs[0].values(), inputs[0].shape[0]
    labels = ["large" if sum(values[3 * row : 3 * row + 3]) > 6 else "small" for row in range(rows)]
    return Tensor(BYTES, (rows,), labels), Tensor(FP32, (rows, 2), array("f", [0.25, 0.75] * rows))


def rent(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Ten a square metre, and a hundred more in Kyiv."""
    cities, _, areas = (tensor.values() for tensor in inputs)
    assert all(tensor.shape == (len(areas), 1) for tensor in inputs)
    rents = [10 * area + 100 * (city == "Kyiv") for city, area in zip(cities, areas, strict=True)]
    return (Tensor(FP32, (len(areas), 1), array("f", rents)),)


def twice(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Both outputs of IMAGE: the scores are the first two values, what is hidden is the input."""
    rows, values = inputs[0].shape[0], inputs[0].values()
    scores = [value for row in range(rows) for value in values[4 * row : 4 * row + 2]]
    return Tensor(FP32, (rows, 2), array("f", scores)), inputs[0]


@pytest.fixture
def classifier() -> Service:
    return service(FEATURES, by_sum)


def infer(served: Service, *inputs: dict[str, Any], **fields: object) -> tuple[Response, Any]:
    return post(served, {"inputs": list(inputs), **fields})


def post(served: Service, document: object) -> tuple[Response, Any]:
    response = served.handle(Request("POST", INFER, {}, json.dumps(document).encode()))
    return response, json.loads(response.body)


def get(served: Service, path: str) -> tuple[int, Any]:
    response = served.handle(Request("GET", path))
    return response.status, json.loads(response.body)


def rows(data: object, count: int = 1) -> dict[str, Any]:
    return {"name": "features", "shape": [count, 3], "datatype": "FP32", "data": data}


def column(name: str, datatype: str, *data: object) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": datatype, "data": list(data)}


def test_the_server_names_itself_and_its_extension(classifier: Service) -> None:
    status, document = get(classifier, "/v2")
    assert status == 200
    assert document == {"name": "pilotlight", "version": "0.1.0", "extensions": ["binary_tensor_data"]}


@pytest.mark.parametrize("path", ["/v2/models/example", "/v2/models/example/versions/3"])
def test_the_models_metadata_is_its_signature(classifier: Service, path: str) -> None:
    assert get(classifier, path) == (
        200,
        {
            "name": "example",
            "versions": ["3"],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 3]}],
            "outputs": [
                {"name": "label", "datatype": "BYTES", "shape": [-1]},
                {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
            ],
        },
    )


def test_health_and_readiness_are_said_in_the_protocols_words_and_no_metric_counts_them() -> None:
    records = Records()
    served = service(FEATURES, by_sum, records=records)
    assert get(served, "/v2/health/live") == (200, {"live": True})
    assert get(served, "/v2/health/ready") == (200, {"ready": True})
    for path in ("/v2/models/example/ready", "/v2/models/example/versions/3/ready"):
        assert get(served, path) == (200, {"name": "example", "ready": True})
    assert all(record.is_probe for record in records.served)


@pytest.mark.parametrize("data", [[[1, 2, 3], [1, 2, 4]], [1, 2, 3, 1, 2, 4]])
def test_data_may_be_nested_or_flat(classifier: Service, data: object) -> None:
    response, document = infer(classifier, rows(data, 2), id="a question")
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    assert document == {
        "model_name": "example",
        "model_version": "3",
        "id": "a question",
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["small", "large"]},
            {"name": "probabilities", "datatype": "FP32", "shape": [2, 2], "data": [0.25, 0.75, 0.25, 0.75]},
        ],
    }


def test_a_record_has_the_routes_pattern_and_the_rows() -> None:
    records = Records()
    infer(service(FEATURES, by_sum, records=records), rows([0] * 6, 2))
    assert (records.served[0].route, records.served[0].rows) == ("/v2/models/{m}/infer", 2)
    assert not records.served[0].is_probe


def test_the_outputs_that_are_asked_for_come_in_that_order() -> None:
    image = {"name": "image", "shape": [1, 2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}
    _, document = infer(service(IMAGE, twice), image, outputs=[{"name": "hidden"}, {"name": "scores"}])
    assert [output["name"] for output in document["outputs"]] == ["hidden", "scores"]
    _, document = infer(service(IMAGE, twice), image, outputs=[{"name": "hidden", "parameters": {}}])
    assert document["outputs"] == [
        {"name": "hidden", "datatype": "FP32", "shape": [1, 2, 2], "data": [1.0, 2.0, 3.0, 4.0]}
    ]


def test_columns_of_features_come_in_any_order_with_strings_among_them() -> None:
    columns = [
        column("area", "FP64", 50, 20.5),
        column("city", "BYTES", "Kyiv", "Lviv"),
        column("rooms", "INT64", 2, 1),
    ]
    _, document = infer(service(COLUMNS, rent), *columns)
    assert document["outputs"] == [{"name": "rent", "datatype": "FP32", "shape": [2, 1], "data": [600.0, 205.0]}]
    upright = [one | {"shape": [2, 1]} for one in columns]
    assert infer(service(COLUMNS, rent), *upright)[1] == document


def test_a_matrix_of_features_may_come_as_a_column_for_each(classifier: Service) -> None:
    values = {"height": [1, 1], "width": [2, 2], "depth": [3, 4]}
    _, document = infer(classifier, *(column(name, "FP32", *values[name]) for name in reversed(NAMES)))
    assert document["outputs"][0]["data"] == ["small", "large"]


NOTHING = {"id": None, "outputs": None, "parameters": None, "model_name": None, "model_version": None}


def test_what_is_null_is_left_out(classifier: Service) -> None:
    response, document = infer(classifier, rows([1, 2, 3]) | {"parameters": None}, **NOTHING)
    assert response.status == 200
    assert "id" not in document


def test_a_parameter_that_is_null_is_left_out_as_mlservers_types_write_it(classifier: Service) -> None:
    own = {"content_type": "np", "headers": None, "binary_data_size": None, "shared_memory_region": None}
    outputs = [{"name": "label", "parameters": {"binary_data": None, "classification": None}}]
    parameters = {"content_type": None, "binary_data_output": None}
    plain = infer(classifier, rows([1, 2, 3]), outputs=[{"name": "label"}])[1]
    found = infer(classifier, rows([1, 2, 3]) | {"parameters": own}, outputs=outputs, parameters=parameters)[1]
    assert found == plain


@pytest.mark.parametrize("named", [{"model_name": "example"}, {"model_name": "example", "model_version": "3"}])
def test_the_body_may_name_the_model_that_is_served_as_kserves_client_does(
    classifier: Service, named: dict[str, str]
) -> None:
    assert infer(classifier, rows([1, 2, 3]), **named)[1] == infer(classifier, rows([1, 2, 3]))[1]


@pytest.mark.parametrize(
    ("named", "place", "message"),
    [
        ({"model_name": "other"}, "$.model_name", 'this function serves "example", found "other"'),
        ({"model_name": ""}, "$.model_name", 'this function serves "example", found ""'),
        ({"model_name": ["example"]}, "$.model_name", 'this function serves "example", found an array'),
        ({"model_version": "4"}, "$.model_version", 'this function serves "3", found "4"'),
        ({"model_version": 3}, "$.model_version", 'this function serves "3", found 3'),
        ({"model_name": "other", "inputs": []}, "$.model_name", 'this function serves "example"'),
        ({"model": "example"}, "$", 'unknown field "model"'),
    ],
)
def test_another_model_in_the_body_is_a_400_that_names_the_right_one(
    classifier: Service, named: dict[str, Any], place: str, message: str
) -> None:
    response, document = post(classifier, {"inputs": [rows([1, 2, 3])], **named})
    assert (response.status, document["path"]) == (400, place)
    assert document["error"].startswith(message)


def test_parameters_that_mean_nothing_here_change_nothing(classifier: Service) -> None:
    parameters = {"priority": 1, "timeout": 1000, "content_type": "np"}
    plain = infer(classifier, rows([1, 2, 3]))[1]
    assert infer(classifier, rows([1, 2, 3]) | {"parameters": parameters}, parameters=parameters)[1] == plain


def same(datatype: str, *shape: int) -> Service:
    signature = Signature(
        (Input("x", DATATYPES[datatype], shape, "tensor"),), (Output("y", DATATYPES[datatype], shape, "tensor"),)
    )
    return service(signature, tuple)


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("BOOL", True),
        ("UINT8", 255),
        ("UINT16", 65535),
        ("UINT32", 2**32 - 1),
        ("UINT64", 2**64 - 1),
        ("INT8", -128),
        ("INT16", -(2**15)),
        ("INT32", -(2**31)),
        ("INT64", -(2**63)),
        ("FP32", 0.5),
        ("FP64", 5e-324),
        ("BYTES", "\N{PILE OF POO} and \0"),
    ],
)
@pytest.mark.parametrize(("shape", "data"), [([1], 1), ([], 1), ([1, 2, 1], 2), ([0, 4], 0), ([2, 0, 3], 0)])
def test_every_datatype_and_shape_comes_back_as_it_went(
    datatype: str, value: object, shape: list[int], data: int
) -> None:
    x = {"name": "x", "shape": shape, "datatype": datatype, "data": [value] * data}
    response, document = infer(same(datatype, *(-1 for _ in shape)), x)
    assert response.status == 200
    assert document["outputs"] == [{**x, "name": "y"}]


@pytest.mark.parametrize(
    ("sent", "datatype", "data", "found"),
    [
        ("INT64", "FP64", [2**53, -3], [2.0**53, -3.0]),
        ("UINT8", "FP32", [255, 0], [255.0, 0.0]),
        ("FP32", "FP64", [0.1, 0.5], [0.10000000149011612, 0.5]),
        ("FP64", "FP32", [0.5, -0.0], [0.5, 0.0]),
        ("INT8", "INT64", [-128, 127], [-128, 127]),
        ("INT64", "UINT8", [0, 255], [0, 255]),
        ("FP64", "INT32", [3.0, -1e2], [3, -100]),
    ],
)
def test_another_datatype_is_taken_where_the_models_own_holds_each_value(
    sent: str, datatype: str, data: list[float], found: list[float]
) -> None:
    for nested in (data, [[value] for value in data]):
        x = {"name": "x", "shape": [2, 1], "datatype": sent, "data": nested}
        response, document = infer(same(datatype, -1, 1), x)
        assert response.status == 200, document
        assert document["outputs"] == [{"name": "y", "shape": [2, 1], "datatype": datatype, "data": found}]


@pytest.mark.parametrize(
    ("sent", "datatype", "value"),
    [
        ("INT64", "FP64", 2**53 + 1),
        ("INT64", "FP32", 2**24 + 1),
        ("FP64", "FP32", 0.1),
        ("FP64", "FP32", 1e300),
        ("INT64", "INT8", 128),
        ("INT8", "UINT8", -1),
        ("FP32", "INT64", 0.5),
        ("FP64", "UINT64", 1e300),
    ],
)
def test_a_value_that_the_models_datatype_does_not_hold_is_named(sent: str, datatype: str, value: float) -> None:
    x = {"name": "x", "shape": [2], "datatype": sent, "data": [1, value]}
    response, document = infer(same(datatype, -1), x)
    assert (response.status, document["path"]) == (400, "$.inputs[0].data[1]")
    assert document["error"] == (
        f"expected {datatype}, found {describe(value)} as {sent}, which {datatype} does not hold exactly"
    )


@pytest.mark.parametrize(
    ("sent", "datatype"), [("BOOL", "INT8"), ("INT8", "BOOL"), ("BYTES", "FP32"), ("FP32", "BYTES")]
)
def test_what_is_no_number_is_no_other_datatype(sent: str, datatype: str) -> None:
    response, document = infer(same(datatype, -1), {"name": "x", "shape": [0], "datatype": sent, "data": []})
    assert (response.status, document["path"]) == (400, "$.inputs[0].datatype")


def test_an_infinity_of_the_models_is_null() -> None:
    def overflow(_inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return (Tensor(FP32, (2,), array("f", [float("inf"), float("nan")])),)

    x = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}
    signature = Signature((Input("x", FP32, (-1,), "tensor"),), (Output("y", FP32, (-1,), "tensor"),))
    assert infer(service(signature, overflow), x)[1]["outputs"][0]["data"] == [None, None]


@pytest.mark.parametrize("path", ["/v2/models/other", "/v2/models/other/infer", "/v2/models/example/versions/4/ready"])
def test_another_model_or_version_is_a_404_that_names_the_right_one(classifier: Service, path: str) -> None:
    method = "POST" if path.endswith("infer") else "GET"
    document = json.loads(classifier.handle(Request(method, path)).body)
    assert document["code"] == "not_found"
    assert "this function serves" in document["error"]


@pytest.mark.parametrize(
    ("role", "declared", "sent", "expected"),
    [
        ("features", (-1, 3), [3], "[any, 3]"),
        ("features", (-1, 3), [1, 3, 1], "[any, 3]"),
        ("features", (-1, 1), [1, 3], "[any, 1] or [any]"),
        ("tensor", (-1, 3), [3], "[any, 3]"),
        ("tensor", (-1,), [1, 3], "[any]"),
    ],
)
def test_a_vector_is_no_matrix_and_a_matrix_no_vector(
    role: Any, declared: tuple[int, ...], sent: list[int], expected: str
) -> None:
    signature = Signature((Input("x", FP32, declared, role),), (Output("y", FP32, (-1,), "tensor"),))
    entry = {"name": "x", "shape": sent, "datatype": "FP32", "data": [1.0, 2.0, 3.0]}
    with pytest.raises(InvalidRequest) as caught:
        read_inputs(signature, [entry], Data(None))
    assert (caught.value.path, caught.value.message) == (
        "$.inputs[0].shape",
        f"expected the shape {expected}, found {sent}",
    )


@pytest.mark.parametrize(
    ("fields", "place", "message"),
    [
        ({"name": "feature"}, "$.inputs[0].name", 'unknown input "feature", expected "features"'),
        ({"name": 1}, "$.inputs[0].name", "expected a string, found 1"),
        ({"datatype": "BOOL"}, "$.inputs[0].datatype", 'expected "FP32" for "features", found "BOOL"'),
        (
            {"datatype": "FP64", "data": [1, 0.1, 2]},
            "$.inputs[0].data[1]",
            "expected FP32, found 0.1 as FP64, which FP32 does not hold exactly",
        ),
        (
            {"datatype": "INT32", "data": [[1, 2, 2**24 + 1]]},
            "$.inputs[0].data",
            "expected FP32, found 16777217 as INT32, which FP32 does not hold exactly",
        ),
        ({"datatype": "INT8", "data": [1, 2, 300]}, "$.inputs[0].data[2]", "expected a whole number from -128 to 127"),
        ({"datatype": "FP16"}, "$.inputs[0].data", "FP16 has no JSON form; send it as binary data"),
        ({"shape": [1, 4]}, "$.inputs[0].shape", "expected the shape [any, 3], found [1, 4]"),
        ({"shape": [3]}, "$.inputs[0].shape", "expected the shape [any, 3], found [3]"),
        ({"shape": [-1, 3]}, "$.inputs[0].shape[0]", "expected a whole number of at least 0, found -1"),
        ({"shape": [True, 3]}, "$.inputs[0].shape[0]", "expected a whole number of at least 0, found true"),
        ({"shape": [0, 3], "data": []}, "$.inputs[0].shape", "expected at least one row, found none"),
        ({"data": [1, 2]}, "$.inputs[0].data", "expected 3 values for the shape [1, 3], found 2"),
        ({"data": [[1, 2]]}, "$.inputs[0].data[0]", "expected 3 items, found 2"),
        (
            {"data": [1, None, 2]},
            "$.inputs[0].data[1]",
            "expected a number (FP32), found null; the model takes no missing values here",
        ),
        ({"data": [1, [2], 3]}, "$.inputs[0].data[1]", "expected a number (FP32), found an array"),
        ({"data": {}}, "$.inputs[0].data", "expected an array of values, found an object"),
        ({"parameters": []}, "$.inputs[0].parameters", "expected an object, found an array"),
        ({"extra": 1}, "$.inputs[0]", 'unknown field "extra", expected only "name", "shape", "datatype"'),
    ],
)
def test_a_wrong_input_is_a_400_that_names_the_place(
    classifier: Service, fields: dict[str, Any], place: str, message: str
) -> None:
    response, document = infer(classifier, rows([1, 2, 3]) | fields)
    assert (response.status, document["path"]) == (400, place)
    assert document["error"].startswith(message)


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_what_has_no_form_in_json_is_refused_there(datatype: str) -> None:
    x = {"name": "x", "shape": [1], "datatype": datatype, "data": [1]}
    _, document = infer(same(datatype, -1), x, parameters={"binary_data_output": True})
    assert (document["path"], document["error"]) == (
        "$.inputs[0].data",
        f"{datatype} has no JSON form; send it as binary data",
    )
    _, document = infer(same(datatype, -1), x)
    assert document["error"].startswith(f'the output "y" is {datatype}, which has no JSON form')


@pytest.mark.parametrize("engine", ENGINES)
def test_lengths_that_a_graph_cannot_bring_together_are_a_400(engine: str, tmp_path: Path) -> None:
    from onnx_models import added

    signature = Signature(
        (Input("left", FP32, (-1,), "tensor"), Input("right", FP32, (-1,), "tensor")),
        (Output("sums", FP32, (-1,), "tensor"),),
    )
    served = service(signature, load(engine, added(tmp_path), signature).predict)

    def infer_shape(*counts: int) -> tuple[Response, Any]:
        return infer(
            served,
            *(
                {"name": name, "datatype": "FP32", "shape": [count], "data": [1] * count}
                for name, count in zip(("left", "right"), counts, strict=True)
            ),
        )

    response, document = infer_shape(2, 3)
    assert (response.status, document["code"]) == (400, "invalid_request")
    assert document["error"] == "the model does not accept these values"
    assert infer_shape(2, 2)[1]["outputs"][0]["data"] == [2, 2]


@pytest.mark.parametrize(
    ("shape", "status"), [([0, 2**31 - 1], 200), ([0, 2**31], 400), ([2**62, 0], 400), ([0, 2**70], 400)]
)
def test_an_empty_tensor_has_lengths_that_a_tensor_can_have(shape: list[int], status: int) -> None:
    empty = {"name": "x", "datatype": "FP32", "shape": shape, "data": []}
    response, document = infer(same("FP32", -1, -1), empty)
    assert response.status == status
    assert document["outputs"][0]["shape"] == shape if status == 200 else document["path"] == "$.inputs[0].shape"

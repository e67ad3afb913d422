"""The OpenAPI document: valid, complete, and true of what the service takes and gives."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from descriptions import CLASSIFIER, COLUMNS, TENSORS, onnx_model
from dialects import ACCEPTED, CELLS, DIALECTS, REFUSED
from docs.exchanges import in_situation
from doubles import service
from pilotlight.http.messages import Request
from pilotlight.http.routes import ROUTES
from pilotlight.model.golden import Sample, Values, read_golden
from pilotlight.model.lock import load_lock
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BYTES, DATATYPES, Tensor
from pilotlight.protocols.openapi.bodies import examples
from pilotlight.protocols.openapi.document import document
from pilotlight.service import Service
from repository import LOCK

FP32, FP16, INT8 = DATATYPES["FP32"], DATATYPES["FP16"], DATATYPES["INT8"]

ROWS = Signature((Input("x", FP32, (-1, 2, 3), "tensor"),), (Output("y", FP32, (-1, 2), "tensor"),))
ONE = Signature((Input("x", INT8, (1, 2), "tensor"),), (Output("y", INT8, (1, 2), "tensor"),))
SCALAR = Signature((Input("x", FP32, (), "tensor"),), (Output("y", FP32, (), "tensor"),))
HALF = Signature((Input("x", FP16, (-1, 2), "tensor"),), (Output("y", FP16, (-1, 2), "tensor"),))

FURTHER = replace(CLASSIFIER, outputs=(*CLASSIFIER.outputs, Output("score", FP32, (-1, 1), "tensor")))
TEXT = Signature((Input("text", BYTES, (-1,), "features", missing=True),), (Output("y", FP32, (-1,), "tensor"),))
NAMELESS = Signature((Input("x", FP32, (-1, 20_000), "features"),), (Output("y", FP32, (-1,), "tensor"),))
MANY = Signature(
    tuple(Input(f"c{n}", BYTES if n % 2 else FP32, (-1, 1), "features") for n in range(2000)), NAMELESS.outputs
)

SIGNATURES = (CLASSIFIER, COLUMNS, TENSORS, ROWS, ONE, SCALAR, HALF, CELLS, FURTHER, TEXT, NAMELESS, MANY)
SAMPLE = read_golden(LOCK.with_name("golden.json").read_bytes()).samples[0]


def made(signature: Signature, sample: Sample | None = None) -> dict[str, Any]:
    """Return the document as a client reads it."""
    found: dict[str, Any] = json.loads(json.dumps(document(replace(onnx_model(), signature=signature), sample)))
    return found


def body_of(document: dict[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return found


@pytest.fixture
def sample_service(tmp_path: Path) -> Service:
    return in_situation("", tmp_path)


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda signature: str(signature.inputs[0].shape))
def test_the_document_is_valid_whatever_the_model(signature: Signature) -> None:
    OpenAPIV31SpecValidator(made(signature)).validate()


@pytest.mark.parametrize("signature", [NAMELESS, MANY], ids=["a matrix", "columns"])
def test_the_document_of_a_wide_model_is_small_and_true(signature: Signature) -> None:
    found = made(signature)
    assert len(json.dumps(found)) < 60_000
    values = ["a" if tensor.datatype is BYTES else 1.5 for tensor in signature.inputs] * (
        signature.width // len(signature.inputs)
    )
    named = dict(zip(signature.feature_names, values, strict=True))
    short = dict(list(named.items())[1:])

    def split(columns: Iterable[str]) -> dict[str, Any]:
        return {"columns": list(columns), "data": [values]}

    bodies: tuple[tuple[str, str, Any, Any], ...] = (
        ("/predict", "features", values, values[1:]),
        ("/predict", "features", named, short),
        ("/predict_batch", "instances", [values], [values[1:]]),
        ("/invocations", "dataframe_records", [named], [short]),
        ("/invocations", "dataframe_split", split(named), split(short)),
    )
    for path, field, body, wrong in bodies:
        validator = Draft202012Validator(body_of(found, path)["schema"])
        assert validator.is_valid({field: body})
        assert not validator.is_valid({field: wrong})


def given_back(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Give the inputs back, as ONNX Runtime does: it has no missing strings."""
    cities = [city or "" for city in inputs[0].values()]
    return (replace(inputs[0], data=cities), *inputs[1:])


@pytest.mark.parametrize(
    "name", ["one row, as a list", "one row, by name", "a batch of lists", "a batch by name", "V1 instances", "records"]
)
def test_missing_values_and_several_outputs_are_described_as_they_are(name: str) -> None:
    served, dialect = service(CELLS, given_back), DIALECTS[name]
    found = json.loads(served.handle(Request("GET", "/openapi.json")).body)
    path = dialect.path.replace("{}", "{m}")
    asked = Draft202012Validator(body_of(found, path)["schema"])
    replied = found["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    for row, _ in ACCEPTED.values():
        asked.validate(json.loads(dialect.body([row])))
        reply = served.handle(Request("POST", dialect.path.format("example"), {}, dialect.body([row])))
        Draft202012Validator(replied).validate(json.loads(reply.body))
    for reason, (row, _) in REFUSED.items():
        # JSON Schema compares numbers, not how they are written.
        assert asked.is_valid(json.loads(dialect.body([row]))) == (reason == "rooms beyond what a double counts")


def test_every_route_is_described_with_its_method() -> None:
    found = made(CLASSIFIER)["paths"]
    assert {(method.upper(), path) for path, item in found.items() for method in item} == {
        (route.method, route.path) for route in ROUTES
    }


def test_a_model_without_a_batch_has_no_route_for_batches() -> None:
    assert "/predict_batch" not in made(SCALAR)["paths"]


def test_no_two_operations_have_the_same_name() -> None:
    names = [item["operationId"] for path in made(CLASSIFIER)["paths"].values() for item in path.values()]
    assert len(set(names)) == len(names)


def test_the_models_own_names_classes_and_bounds_are_in_it() -> None:
    found = made(COLUMNS)
    row, by_name = body_of(found, "/predict")["schema"]["properties"]["features"]["oneOf"]
    assert by_name["required"] == ["city", "area"]
    assert by_name["properties"]["city"] == {"type": "string"}
    assert row["prefixItems"] == [by_name["properties"]["city"], by_name["properties"]["area"]]
    reply = made(CLASSIFIER)["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert reply["properties"]["prediction"] == {"enum": [0, 1]}


@pytest.mark.parametrize(
    ("value", "fits"),
    [(3.4028235677973362e38, True), (3.4028235677973366e38, False), (-3.4028235677973366e38, False), (True, False)],
)
def test_the_bounds_of_a_number_are_those_at_which_it_is_refused(value: object, fits: bool) -> None:
    signature = Signature((Input("x", FP32, (-1, 1), "tensor"),), (Output("y", FP32, (-1, 1), "tensor"),))
    served = service(signature, lambda inputs: (Tensor(FP32, (1, 1), inputs[0].data),))
    body = {"features": [value]}
    schema = body_of(made(signature), "/predict")["schema"]
    assert Draft202012Validator(schema).is_valid(body) == fits
    assert (served.handle(Request("POST", "/predict", {}, json.dumps(body).encode())).status == 200) == fits


@pytest.mark.parametrize(
    "path", ["/predict", "/predict_batch", "/v2/models/{m}/infer", "/v1/models/{m}:predict", "/invocations"]
)
def test_an_example_is_a_golden_sample_follows_its_schema_and_is_answered_as_described(
    path: str, sample_service: Service
) -> None:
    found = json.loads(sample_service.handle(Request("GET", "/openapi.json")).body)
    content = body_of(found, path)
    Draft202012Validator(content["schema"]).validate(content["example"])
    assert SAMPLE.inputs[0].data[0] in flat(content["example"])
    reply = sample_service.handle(
        Request("POST", path.replace("{m}", "breast-cancer"), {}, json.dumps(content["example"]).encode())
    )
    assert reply.status == 200
    described = found["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    Draft202012Validator(described).validate(json.loads(reply.body))


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"model_name": "breast-cancer", "model_version": "1"}, True),
        ({"model_name": None, "model_version": None, "id": None, "outputs": None, "parameters": None}, True),
        ({"parameters": {"headers": None, "binary_data_output": None}}, True),
        ({"outputs": [{"name": "label", "parameters": {"binary_data": None}}]}, True),
        ({"model_name": "other"}, False),
        ({"model_version": "2"}, False),
        ({"model_version": 1}, False),
        ({"model": "breast-cancer"}, False),
        ({"parameters": {"headers": {}}}, False),
    ],
)
def test_what_may_be_beside_the_inputs_of_v2_is_described(
    fields: dict[str, Any], fits: bool, sample_service: Service
) -> None:
    content = body_of(json.loads(sample_service.handle(Request("GET", "/openapi.json")).body), "/v2/models/{m}/infer")
    body = content["example"] | fields
    assert Draft202012Validator(content["schema"]).is_valid(body) == fits
    asked = Request("POST", "/v2/models/breast-cancer/infer", {}, json.dumps(body).encode())
    assert (sample_service.handle(asked).status == 200) == fits


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method == "GET"], ids=lambda route: route.path)
def test_what_can_be_read_is_as_described(route: Any, sample_service: Service) -> None:
    found = json.loads(sample_service.handle(Request("GET", "/openapi.json")).body)
    reply = sample_service.handle(Request("GET", route.path.replace("{m}", "breast-cancer").replace("{v}", "1")))
    described = found["paths"][route.path]["get"]["responses"][str(reply.status)]["content"]["application/json"]
    Draft202012Validator(described["schema"]).validate(json.loads(reply.body))


def test_a_large_sample_is_no_example() -> None:
    signature = Signature((Input("x", FP32, (-1, 9000), "tensor"),), (Output("y", FP32, (-1,), "tensor"),))
    large = Sample((Values("x", FP32, (1, 9000), (0.25,) * 9000),), (Values("y", FP32, (1,), (1.0,)),))
    assert examples(replace(onnx_model(), signature=signature), large) == {}


def test_a_package_without_golden_samples_has_a_document_without_examples() -> None:
    served = service(ROWS, tuple)
    found = json.loads(served.handle(Request("GET", "/openapi.json")).body)
    assert "example" not in body_of(found, "/predict")


def test_an_error_has_the_form_that_the_document_gives_it(sample_service: Service) -> None:
    found = json.loads(sample_service.handle(Request("GET", "/openapi.json")).body)
    reply = sample_service.handle(Request("POST", "/predict", {}, b"{}"))
    Draft202012Validator(found["components"]["schemas"]["Error"]).validate(json.loads(reply.body))
    assert load_lock(LOCK).model.name == found["info"]["title"]


def flat(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    return [scalar for item in value for scalar in flat(item)] if isinstance(value, list) else [value]

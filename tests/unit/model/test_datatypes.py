"""The table of datatypes agrees with the libraries and the schemas that know the same facts."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from onnx_models import ELEMENTS
from pilotlight.model.tensor import DATATYPES, Datatype
from pilotlight.protocols.openapi.schemas import request_value, response_value
from pilotlight_cli.assets import ROOT

ROWS = pytest.mark.parametrize("datatype", DATATYPES.values(), ids=lambda datatype: datatype.name)
INTEGERS = [datatype for datatype in DATATYPES.values() if datatype.is_integer]


def schema(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ROOT / "shared" / "schema" / name).read_text())
    return document


@ROWS
def test_a_typecode_has_the_size_of_the_datatype(datatype: Datatype) -> None:
    assert struct.calcsize(datatype.typecode) == datatype.size


@ROWS
def test_numpy_has_the_dtype(datatype: Datatype) -> None:
    kinds = {"boolean": "b", "integer": "iu", "float": "f", "string": "O"}
    if not datatype.numpy:
        assert datatype.name == "BF16"
        return
    dtype = np.dtype(datatype.numpy)
    assert dtype.kind in kinds[datatype.kind]
    assert dtype.isnative
    assert datatype.kind == "string" or dtype.itemsize == datatype.size


@ROWS
def test_onnx_has_the_element_type(datatype: Datatype) -> None:
    assert datatype.onnx_code == ELEMENTS[datatype.name]
    assert datatype.onnx == TensorProto.DataType.Name(datatype.onnx_code).lower()


@pytest.mark.parametrize("datatype", INTEGERS, ids=lambda datatype: datatype.name)
def test_integers_have_numpy_s_bounds(datatype: Datatype) -> None:
    bounds = np.iinfo(datatype.numpy)
    assert (datatype.low, datatype.high) == (bounds.min, bounds.max)


@ROWS
def test_only_a_float_overflows_and_only_an_integer_has_bounds(datatype: Datatype) -> None:
    assert (datatype.overflow > 0) == datatype.is_float
    assert (datatype.high > datatype.low) == datatype.is_integer


def test_the_schemas_list_the_datatypes() -> None:
    assert schema("signature.schema.json")["$defs"]["datatype"]["enum"] == list(DATATYPES)
    assert schema("golden.schema.json")["$defs"]["values"]["properties"]["datatype"]["enum"] == list(DATATYPES)


def test_the_schema_of_golden_samples_bounds_each_datatype_as_the_table_does() -> None:
    rules = schema("golden.schema.json")["$defs"]["values"]["allOf"]
    items = {
        name: rule["then"]["properties"]["data"]["items"]
        for rule in rules
        for name in rule["if"]["properties"]["datatype"]["enum"]
    }
    expected = {name: request_value(datatype) | response_value(datatype) for name, datatype in DATATYPES.items()}
    expected["FP64"] = response_value(DATATYPES["FP64"])  # a number in JSON is read as a double
    expected["BYTES"] = {"type": ["string", "null"]}
    assert items == expected

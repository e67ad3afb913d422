from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from doubles import description
from pilotlight.model.golden import Golden, Sample, Values
from pilotlight.model.lock import Description
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import DATATYPES
from pilotlight_cli.local.page import page

FP32, INT64, BYTES = DATATYPES["FP32"], DATATYPES["INT64"], DATATYPES["BYTES"]


def model(signature: Signature) -> Description:
    return replace(description(), signature=signature)


def data(document: bytes) -> Any:
    found = re.search(r'<script id="model" type="application/json">(.*?)</script>', document.decode(), re.DOTALL)
    assert found
    return json.loads(found[1])


def sample(*inputs: Values) -> Sample:
    return Sample(inputs, (Values("y", FP32, (1,), (0.5,)),))


COLUMNS = Signature((Input("n", INT64, (-1, 1), "features"), Input("s", BYTES, (-1, 1), "features")), ())
PIXELS = Signature((Input("pixels", FP32, (-1, 2, 2), "tensor"),), (Output("y", FP32, (-1,), "tensor"),))


def test_each_row_of_the_golden_samples_is_an_instance_to_fill_in() -> None:
    golden = Golden((sample(Values("n", INT64, (2, 1), (1, 2)), Values("s", BYTES, (2, 1), ("a", "b"))),))
    found = data(page(model(COLUMNS), golden))
    assert found["features"] == [
        {"name": "n", "datatype": "INT64", "missing": False},
        {"name": "s", "datatype": "BYTES", "missing": False},
    ]
    assert found["instances"] == [[1, "a"], [2, "b"]]


def test_a_model_of_plain_tensors_shows_an_instance_without_its_batch_dimension() -> None:
    golden = Golden((sample(Values("pixels", FP32, (1, 2, 2), (1.0, 2.0, 3.0, 4.0))),))
    found = data(page(model(PIXELS), golden))
    assert (found["features"], found["instances"]) == ([], [[[1.0, 2.0], [3.0, 4.0]]])


def test_a_value_that_looks_like_markup_cannot_end_the_script() -> None:
    golden = Golden((sample(Values("n", INT64, (1, 1), (1,)), Values("s", BYTES, (1, 1), ("</script><b>",))),))
    assert data(page(model(COLUMNS), golden))["instances"] == [[1, "</script><b>"]]


def test_a_sample_that_json_cannot_write_is_left_out() -> None:
    bad, good = (sample(Values("pixels", FP32, (1, 2, 2), (first, 2.0, 3.0, 4.0))) for first in (None, 1.0))
    assert data(page(model(PIXELS), Golden((bad, good))))["instances"] == [[[1.0, 2.0], [3.0, 4.0]]]


def test_the_first_instance_is_there_whatever_its_size_and_the_others_as_far_as_there_is_room() -> None:
    signature = Signature((Input("x", FP32, (-1, 60_000), "tensor"),), (Output("y", FP32, (-1,), "tensor"),))
    large = sample(Values("x", FP32, (1, 60_000), (0.25,) * 60_000))
    assert len(data(page(model(signature), Golden((large, large))))["instances"]) == 1


def test_a_feature_that_may_be_missing_says_so() -> None:
    signature = Signature((Input("x", FP32, (-1, 1), "features", missing=True),), ())
    assert data(page(model(signature), Golden(())))["features"] == [{"name": "x", "datatype": "FP32", "missing": True}]


@pytest.mark.parametrize(
    ("shape", "datatype", "form"),
    [
        ((-1, 3, 8, 9), "FP32", {"height": 8, "width": 9, "first": True, "isInteger": False}),
        ((1, 8, 9, 3), "UINT8", {"height": 8, "width": 9, "first": False, "isInteger": True}),
        ((-1, 3, -1, -1), "FP16", {"height": -1, "width": -1, "first": True, "isInteger": False}),
        ((-1, 4, 8, 9), "FP32", None),
        ((-1, 3, 8), "FP32", None),
        ((-1, 3, 8, 9), "INT64", None),
    ],
)
def test_an_input_of_three_channels_takes_an_image(
    shape: tuple[int, ...], datatype: str, form: dict[str, object] | None
) -> None:
    signature = Signature((Input("pixels", DATATYPES[datatype], shape, "tensor"),), ())
    assert data(page(model(signature), Golden(())))["image"] == form


def test_a_version_that_is_not_the_pinned_one_has_its_own_labels_and_a_place_to_ask_it() -> None:
    other = replace(description(), version=7)
    name = f"{other.name}:7"
    place = {"title": name, "labels": list(other.signature.labels), "prefix": f"/docs/versions/{name}"}
    assert data(page(model(COLUMNS), Golden(()), other))["other"] == place
    assert data(page(other, Golden(()), pinned=name))["prefix"] == ""
    assert place.items() <= data(page(other, Golden(()), pinned="m:1", versions=["m:1", name])).items()

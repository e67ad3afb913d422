from __future__ import annotations

import json
import tracemalloc
from array import array
from dataclasses import replace
from math import inf, nan

import pytest

from doubles import COLUMNS, FEATURES, IMAGE
from pilotlight.codec.encode import (
    check_outputs,
    count_out_of_range,
    further_outputs,
    predictions,
    probabilities,
    probability_of_each,
    to_json,
)
from pilotlight.errors import ModelError
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BYTES, FP32, FP64, INT64, Tensor
from properties import given, st

ROWS = Input("x", FP32, (-1, 2), "features", ("a", "b"))
ONLY_PROBABILITIES = Signature((ROWS,), (Output("p", FP64, (-1, 3), "probabilities", (0.0, 1.0)),), (7, 8, 9))
NUMBERS = Signature((ROWS,), (Output("label", INT64, (-1,), "label"),), (0, 1))


def floats(shape: tuple[int, ...], *values: float) -> Tensor:
    return Tensor(FP64, shape, array("d", values))


def classified(*labels: str) -> tuple[Tensor, Tensor]:
    rows = [value for label in labels for value in ((0.75, 0.25) if label == "small" else (0.25, 0.75))]
    return Tensor(BYTES, (len(labels),), list(labels)), Tensor(FP32, (len(labels), 2), array("f", rows))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_every_float_reads_back_as_the_same_double(values: list[float]) -> None:
    assert json.loads(to_json(values)) == values


def test_text_is_written_as_utf_8() -> None:
    assert to_json({"city": "Łódź"}) == '{"city":"Łódź"}'.encode()


def test_a_classifier_predicts_its_label_and_gives_the_probabilities_in_the_order_of_the_labels() -> None:
    outputs = classified("large", "small")
    assert predictions(FEATURES, outputs) == ["large", "small"]
    assert probabilities(FEATURES, outputs) == [[0.25, 0.75], [0.75, 0.25]]


def test_without_a_label_output_the_most_probable_label_is_the_prediction() -> None:
    assert predictions(ONLY_PROBABILITIES, [floats((2, 3), 0.1, 0.7, 0.2, 0.5, 0.2, 0.3)]) == [8, 7]


def test_of_two_classes_the_probability_is_the_second_ones_and_of_more_the_predicted_ones() -> None:
    assert probability_of_each(("small", "large"), ["small"], [[0.75, 0.25]]) == [0.25]
    assert probability_of_each((7, 8, 9), [8], [[0.1, 0.7, 0.2]]) == [0.7]


def test_a_column_of_one_number_each_is_a_list_of_numbers() -> None:
    assert predictions(COLUMNS, [floats((2, 1), 10.5, 20.0)]) == [10.5, 20.0]


def test_a_tensor_model_predicts_its_output_nested() -> None:
    signature = replace(IMAGE, outputs=IMAGE.outputs[:1])
    assert predictions(signature, [floats((2, 2), 1, 2, 3, 4)]) == [[1.0, 2.0], [3.0, 4.0]]


def test_several_outputs_are_an_object_by_name_for_each_instance() -> None:
    assert predictions(IMAGE, [floats((2, 2), 1, 2, 3, 4), floats((2, 2, 2), *range(8))]) == [
        {"scores": [1.0, 2.0], "hidden": [[0.0, 1.0], [2.0, 3.0]]},
        {"scores": [3.0, 4.0], "hidden": [[4.0, 5.0], [6.0, 7.0]]},
    ]


def test_what_a_classifier_returns_besides_its_labels_comes_by_name() -> None:
    further = (Output("score", FP32, (-1, 1), "tensor"), Output("leaves", FP32, (-1, 2), "tensor"))
    signature = replace(FEATURES, outputs=(*FEATURES.outputs, *further))
    outputs = [*classified("small", "large"), floats((2, 1), 5, 6), floats((2, 2), 1, 2, 3, 4)]
    assert predictions(signature, outputs) == ["small", "large"]
    assert further_outputs(signature, outputs) == {"score": [5.0, 6.0], "leaves": [[1.0, 2.0], [3.0, 4.0]]}
    assert further_outputs(IMAGE, [floats((1, 2), 1, 2), floats((1, 2, 2), *range(4))]) == {}


def test_numbers_that_json_has_not_are_null() -> None:
    assert predictions(IMAGE, [floats((1, 2), nan, -inf)]) == [[None, None]]


def test_a_row_of_probabilities_that_are_no_numbers_predicts_nothing() -> None:
    assert predictions(ONLY_PROBABILITIES, [floats((1, 3), nan, 0.5, 0.5)]) == [None]
    assert probability_of_each((7, 8, 9), [None], [[None, 0.5, 0.5]]) == [None]


def test_a_single_value_is_the_prediction_for_one_instance() -> None:
    total = Output("total", FP64, (), "tensor")
    signature = replace(COLUMNS, outputs=(total,))
    assert (COLUMNS.batch, signature.batch) == (-1, 1)
    check_outputs(signature, [floats((), 7)], 1)
    assert predictions(signature, [floats((), 7)]) == [7.0]
    both = replace(COLUMNS, outputs=(*COLUMNS.outputs, total))
    check_outputs(both, [floats((1, 1), 5), floats((), 7)], 1)
    assert predictions(both, [floats((1, 1), 5), floats((), 7)]) == [{"rent": 5.0, "total": 7.0}]
    with pytest.raises(ModelError, match=r"output 'total' has the shape \[1\], expected \[\]"):
        check_outputs(signature, [floats((1,), 7)], 1)


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (2,), (2, 2), ()])
def test_an_output_without_a_row_for_each_instance_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"output 'rent' has the shape .*, expected \[2, 1\]"):
        check_outputs(COLUMNS, [floats(shape, *range(4))], 2)


@pytest.mark.parametrize(
    ("signature", "outputs", "expected"),
    [
        (COLUMNS, [floats((3, 1), 0.0, 5000.0, 2.5)], 0),
        (COLUMNS, [floats((3, 1), -0.1, 5000.1, 2.5)], 2),
        (COLUMNS, [floats((3, 1), nan, inf, 2.5)], 2),
        (IMAGE, [floats((2, 2), 1, 2, 3, nan), floats((2, 2, 2), *range(7), inf)], 1),
        (IMAGE, [floats((2, 2), -1e300, 2, 3, 1e300), floats((2, 2, 2), *range(8))], 0),
        (NUMBERS, [Tensor(INT64, (3,), array("q", [0, 1, 2]))], 1),
        (FEATURES, classified("small", "huge"), 1),
    ],
)
def test_instances_outside_of_what_the_publisher_expects_are_counted(
    signature: Signature, outputs: list[Tensor], expected: int
) -> None:
    assert count_out_of_range(signature, outputs) == expected


def test_outputs_without_a_published_range_are_looked_at_as_bytes() -> None:
    outputs = [Tensor(FP32, (1, 1_000_000), memoryview(bytes(4_000_000))), floats((1,))]
    tracemalloc.start()
    try:
        assert count_out_of_range(IMAGE, outputs) == 0
        assert tracemalloc.get_traced_memory()[1] < 8_000_000  # a list of as many floats has 32 MB
    finally:
        tracemalloc.stop()

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from descriptions import CLASSIFIER, COLUMNS, TENSORS, onnx_model
from pilotlight.codec.decode import read_instance, read_instances
from pilotlight.codec.golden_requests import GoldenRequest, compare_samples, disagreements, to_request
from pilotlight.model.golden import Golden, Sample, Scalar, Values
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import DATATYPES, FP32, INT64

GOLDEN = Golden((), absolute=0.01, relative=0)

LABELS = Values("label", INT64, (2,), (0, 1))
PROBABILITIES = Values("probabilities", FP32, (2, 2), (0.9, 0.1, 0.25, 0.75))
ROWS = Values("features", FP32, (2, 2), (1.5, 2.5, 3.5, 4.5))
CLASSIFIED = Sample((ROWS,), (LABELS, PROBABILITIES))
AGREED = {"predictions": [0, 1], "probabilities": [[0.9, 0.1], [0.25, 0.75]]}

IMAGES = Signature((Input("image", FP32, (-1, 2, 2), "tensor"),), (Output("score", FP32, (-1,), "tensor"),))
PAIRS = Signature(
    (Input("a", FP32, (-1, 2), "tensor"), Input("b", INT64, (-1,), "tensor")), (Output("c", FP32, (-1,), "tensor"),)
)


def floats(name: str, shape: tuple[int, ...], *data: Scalar | None) -> Values:
    return Values(name, FP32, shape, data)


RENTS = Sample(
    (
        Values("city", DATATYPES["BYTES"], (2, 1), ("Derby", "Bristol")),
        Values("area", DATATYPES["FP64"], (2,), (50.0, 70.5)),
    ),
    (floats("rent", (2, 1), 500.0, 900.5),),
)
IMAGE = Sample((floats("image", (2, 2, 2), 1, 2, 3, 4, 5, 6, 7, 8),), (floats("score", (2,), 0.5, 0.6),))
PAIR = Sample((Values("b", INT64, (2,), (7, 8)), floats("a", (2, 2), 1, 2, 3, 4)), (floats("c", (2,), 0.5, 0.6),))
SINGLE = Sample(
    (Values("image", DATATYPES["UINT8"], (1, 3, 1, 1), (1, 2, 3)), floats("scale", (), 0.5)),
    (floats("boxes", (1, 4), 1, 2, 3, 4), Values("kinds", INT64, (1,), (1,))),
)


@pytest.mark.parametrize(
    ("signature", "sample", "body"),
    [
        (CLASSIFIER, CLASSIFIED, {"instances": [[1.5, 2.5], [3.5, 4.5]]}),
        (COLUMNS, RENTS, {"instances": [["Derby", 50.0], ["Bristol", 70.5]]}),
        (IMAGES, IMAGE, {"instances": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]}),
        (PAIRS, PAIR, {"instances": [{"a": [1, 2], "b": 7}, {"a": [3, 4], "b": 8}]}),
    ],
    ids=["a matrix of features", "columns of features", "one tensor", "several tensors"],
)
def test_a_batch_is_sent_as_instances_that_the_core_reads_back(
    signature: Signature, sample: Sample, body: dict[str, Any]
) -> None:
    assert to_request(signature, sample) == GoldenRequest("/predict_batch", body)

    given = {values.name: values for values in sample.inputs}
    for tensor, read in zip(signature.inputs, read_instances(signature, body["instances"], "$"), strict=True):
        assert tuple(read.values()) == given[tensor.name].data
        assert read.shape == given[tensor.name].shape


def test_a_model_without_a_batch_dimension_gets_its_sample_by_predict() -> None:
    body = {"features": {"image": [[[[1]], [[2]], [[3]]]], "scale": 0.5}}

    assert to_request(TENSORS, SINGLE) == GoldenRequest("/predict", body)
    assert [tensor.shape for tensor in read_instance(TENSORS, body["features"], "$")] == [(1, 3, 1, 1), ()]


def test_a_sample_with_a_number_that_json_has_not_is_not_sent() -> None:
    sample = Sample((floats("features", (1, 2), 1.5, None),), ())

    assert to_request(CLASSIFIER, sample) is None


def test_a_reply_within_the_tolerance_agrees() -> None:
    close = {**AGREED, "probabilities": [[0.905, 0.095], [0.25, 0.75]], "model_name": "m"}

    assert disagreements(CLASSIFIER, GOLDEN, CLASSIFIED, AGREED) == []
    assert disagreements(CLASSIFIER, GOLDEN, CLASSIFIED, close) == []


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ({**AGREED, "predictions": [0, 0]}, "output 'label', value 1: found 0, expected 1"),
        ({**AGREED, "predictions": ["0", 1]}, "output 'label', value 0: found '0', expected 0"),
        ({**AGREED, "predictions": [0]}, "output 'label': found 1 values, expected 2"),
        (
            {**AGREED, "probabilities": [[0.8, 0.2], [0.25, 0.75]]},
            "output 'probabilities', value 0: found 0.8, expected 0.9",
        ),
        ({**AGREED, "probabilities": [[None, 0.1], [0.25, 0.75]]}, "value 0: found None, expected 0.9"),
        ({"predictions": [0, 1]}, "output 'probabilities': found 0 values, expected 4"),
    ],
)
def test_a_reply_outside_the_tolerance_is_told_with_its_place(reply: dict[str, Any], message: str) -> None:
    assert message in disagreements(CLASSIFIER, GOLDEN, CLASSIFIED, reply)[0]


def test_without_label_and_probabilities_every_output_is_compared() -> None:
    assert disagreements(COLUMNS, GOLDEN, RENTS, {"predictions": [500.0, 900.5]}) == []
    assert disagreements(COLUMNS, GOLDEN, RENTS, {"predictions": [500.0, 901.5]}) == [
        "output 'rent', value 1: found 901.5, expected 900.5"
    ]
    boxes, kinds = {"boxes": [[1.0, 2.0, 3.0, 4.0]]}, {"kinds": [1]}
    assert disagreements(TENSORS, GOLDEN, SINGLE, {"prediction": boxes | kinds}) == []
    assert disagreements(TENSORS, GOLDEN, SINGLE, {"prediction": boxes | {"kinds": [2]}}) == [
        "output 'kinds', value 0: found 2, expected 1"
    ]
    for wrong in (boxes, [boxes], None):
        (*_, last) = disagreements(TENSORS, GOLDEN, SINGLE, {"prediction": wrong})
        assert last == "output 'kinds': found 0 values, expected 1"


def test_what_a_classifier_returns_besides_its_labels_is_compared_too() -> None:
    signature = replace(CLASSIFIER, outputs=(*CLASSIFIER.outputs, Output("score", FP32, (-1, 1), "tensor")))
    sample = replace(CLASSIFIED, outputs=(*CLASSIFIED.outputs, floats("score", (2, 1), 5.0, 6.0)))
    assert disagreements(signature, GOLDEN, sample, AGREED | {"outputs": {"score": [5.0, 6.0]}}) == []
    assert disagreements(signature, GOLDEN, sample, AGREED) == ["output 'score': found 0 values, expected 2"]


def test_a_sample_with_missing_values_is_sent_where_the_signature_says_so() -> None:
    gaps = replace(RENTS, inputs=(replace(RENTS.inputs[0]), replace(RENTS.inputs[1], data=(None, 70.5))))
    body = {"instances": [["Derby", None], ["Bristol", 70.5]]}
    assert to_request(COLUMNS, gaps) == GoldenRequest("/predict_batch", body)
    nameless = replace(RENTS, inputs=(replace(RENTS.inputs[0], data=(None, "Bristol")), RENTS.inputs[1]))
    assert to_request(COLUMNS, nameless) is None


def test_a_number_that_json_has_not_is_null_on_both_sides() -> None:
    sample = Sample((ROWS,), (floats("rent", (2, 1), None, 1.0),))

    assert disagreements(COLUMNS, GOLDEN, sample, {"predictions": [None, 1.0]}) == []
    assert len(disagreements(COLUMNS, GOLDEN, sample, {"predictions": [2.0, 1.0]})) == 1


SERVED = {**AGREED, "model_name": "breast-cancer", "model_version": 3}


@pytest.mark.parametrize(
    ("status", "document", "problem"),
    [
        (200, SERVED, ""),
        (0, "connection refused", "no response: connection refused"),
        (503, {"error": "the model is not ready"}, "status 503, expected 200: the model is not ready"),
        (500, {"message": "Internal Server Error"}, "status 500, expected 200: Internal Server Error"),
        (502, {}, "status 502, expected 200: {}"),
        (200, "<html>", "the response is not a JSON object: <html>"),
        (200, "<" * 1000, f"the response is not a JSON object: {'<' * 300}"),
        (200, {**SERVED, "model_version": 2}, "response from breast-cancer:2, expected breast-cancer:3"),
        (200, {**SERVED, "model_name": "other"}, "response from other:3, expected breast-cancer:3"),
        (
            200,
            {**SERVED, "predictions": [0, 0]},
            "the response differs from the published one: output 'label', value 1: found 0, expected 1",
        ),
    ],
)
def test_a_response_is_compared_with_the_published_one(status: int, document: object, problem: str) -> None:
    golden = Golden((CLASSIFIED,), absolute=0.01, relative=0)
    (compared,) = compare_samples(onnx_model(), golden, lambda _: (status, document))

    assert (compared.number, compared.status, compared.problem) == (1, status, problem)
    assert compared.message == f"golden sample 1: {problem}"


def test_of_many_differences_three_are_named() -> None:
    golden = Golden((CLASSIFIED,), absolute=0.01, relative=0)
    reversed_ = {**SERVED, "predictions": [1, 0], "probabilities": [[0.1, 0.9], [0.75, 0.25]]}
    (compared,) = compare_samples(onnx_model(), golden, lambda _: (200, reversed_))

    assert compared.problem.count("; ") == 2
    assert compared.problem.endswith(" and 3 more")


def test_samples_are_numbered_and_those_that_json_cannot_represent_are_not_sent() -> None:
    unsendable = Sample((floats("features", (1, 2), 1.5, None),), ())
    sent: list[GoldenRequest] = []

    def send(request: GoldenRequest) -> tuple[int, object]:
        sent.append(request)
        return 200, SERVED

    compared = list(compare_samples(onnx_model(), Golden((unsendable, CLASSIFIED), 0.01, 0), send))

    assert [(one.number, one.skipped, one.problem) for one in compared] == [(1, True, ""), (2, False, "")]
    assert sent == [to_request(CLASSIFIER, CLASSIFIED)]

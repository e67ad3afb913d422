"""The predictions of two models, output by output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from descriptions import CLASSIFIER, COLUMNS
from pilotlight.model.golden import Values
from pilotlight.model.signature import Output, Signature
from pilotlight.model.tensor import BYTES, FP32, FP64, INT64
from pilotlight_cli.comparing.predictions import Answers, compare_answers

LABEL, PROBABILITIES = CLASSIFIER.outputs


def answers(*values: Values, rows: Sequence[int] = (), refused: dict[int, str] | None = None) -> Answers:
    count = values[0].shape[0]
    return Answers(values, tuple(rows or range(1, count + 1)), refused or {})


def labels(*data: Any, name: str = "label") -> Values:
    return Values(name, INT64, (len(data),), data)


def probabilities(*rows: Sequence[float], name: str = "probabilities") -> Values:
    return Values(name, FP32, (len(rows), len(rows[0])), tuple(value for row in rows for value in row))


OLD = answers(labels(0, 1, 1), probabilities((0.75, 0.25), (0.25, 0.75), (0.0, 1.0)))


def test_labels_have_flips_and_probabilities_differences() -> None:
    new = answers(labels(0, 0, 1), probabilities((0.75, 0.25), (0.5, 0.5), (0.0, 1.0)))
    found = compare_answers((CLASSIFIER, CLASSIFIER), (OLD, new), {})
    label, scores = found.outputs
    assert label.flips
    assert (label.flips.count, found.row(label, label.flips.examples[0].position)) == (1, 2)
    assert scores.differences
    assert (scores.differences.largest, found.row(scores, scores.differences.largest_at)) == (0.25, 2)
    assert found.flipped == 1 / 3


def test_outputs_of_other_names_are_paired_and_labels_in_another_order_are_aligned() -> None:
    other = Signature(
        CLASSIFIER.inputs,
        (replace(LABEL, name="output_label", datatype=BYTES), replace(PROBABILITIES, name="scores", shape=(-1, 3))),
        ("2", "1", "0"),
    )
    new = answers(
        Values("output_label", BYTES, (3,), ("0", "1", "1")),
        probabilities((0.0, 0.25, 0.75), (0.0, 0.75, 0.25), (0.0, 1.0, 0.0), name="scores"),
    )
    label, scores = compare_answers((CLASSIFIER, other), (OLD, new), {}).outputs
    assert (label.other_name, scores.other_name) == ("output_label", "scores")
    assert label.flips
    assert label.flips.count == 0
    assert scores.differences
    assert (scores.differences.largest, scores.differences.count) == (0.0, 6)


def test_rows_that_one_model_refuses_are_left_out_of_both() -> None:
    new = answers(labels(0, 0), probabilities((1.0, 0.0), (1.0, 0.0)), rows=(1, 3), refused={2: "unknown category"})
    found = compare_answers((CLASSIFIER, CLASSIFIER), (OLD, new), {})
    label = found.outputs[0]
    assert (found.rows, label.before, label.after) == ((1, 3), (0, 1), (0, 0))
    assert label.flips
    assert found.row(label, label.flips.examples[0].position) == 3
    assert found.refused == ({}, {2: "unknown category"})


def test_labels_that_a_file_expects_are_counted_for_both() -> None:
    new = answers(labels(0, 0), probabilities((1.0, 0.0), (1.0, 0.0)), rows=(2, 3), refused={1: ""})
    found = compare_answers((CLASSIFIER, CLASSIFIER), (OLD, new), {"label": [0, 1, 0]})
    assert found.outputs[0].right == (1, 1)


def test_models_of_probabilities_alone_are_compared_by_the_likeliest_label() -> None:
    alone = replace(CLASSIFIER, outputs=(PROBABILITIES,))
    before = answers(probabilities((0.75, 0.25), (0.25, 0.75)))
    after = answers(probabilities((0.75, 0.25), (0.75, 0.25)))
    found = compare_answers((alone, alone), (before, after), {})
    assert [one.name for one in found.outputs] == ["probabilities", "likeliest label"]
    assert found.outputs[1].flips
    assert [(flip.before, flip.after) for flip in found.outputs[1].flips.examples] == [(1, 0)]


def test_a_column_and_a_vector_of_numbers_are_the_same() -> None:
    vector = replace(COLUMNS, outputs=(Output("prediction", FP64, (-1,), "tensor"),))
    before = answers(Values("rent", FP32, (2, 1), (100.0, 200.0)))
    after = answers(Values("prediction", FP64, (2,), (100.0, 200.5)))
    (rent,) = compare_answers((COLUMNS, vector), (before, after), {}).outputs
    assert rent.differences
    assert (rent.differences.largest, rent.other_name) == (0.5, "prediction")


def test_outputs_of_other_lengths_cannot_be_compared() -> None:
    wide = replace(COLUMNS, outputs=(Output("rent", FP32, (-1, 2), "tensor"),))
    before = answers(Values("rent", FP32, (2, 1), (100.0, 200.0)))
    after = answers(Values("rent", FP32, (2, 2), (1.0, 2.0, 3.0, 4.0)))
    (rent,) = compare_answers((COLUMNS, wide), (before, after), {}).outputs
    assert rent.problem == "shape [2, 1] before, [2, 2] after"

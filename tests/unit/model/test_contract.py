"""What changes in a contract, and which of it is breaking."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest

from descriptions import CLASSIFIER, COLUMNS, TENSORS, onnx_model
from pilotlight.model.contract import RULES, Kind, contract_changes, model_changes, paired_outputs
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BYTES, FP32, FP64

MATRIX = CLASSIFIER.inputs[0]
LABEL, PROBABILITIES = CLASSIFIER.outputs
CITY, AREA = COLUMNS.inputs
RENT = COLUMNS.outputs[0]
IMAGE, SCALE = TENSORS.inputs
BOXES, KINDS = TENSORS.outputs


def matrix(*names: str, **changes: Any) -> Signature:
    """Return the classifier with other features."""
    features = replace(MATRIX, feature_names=names or MATRIX.feature_names, shape=(-1, len(names) or 2))
    return replace(CLASSIFIER, inputs=(replace(features, **changes),))


def outputs(*tensors: Output, labels: tuple[str | int, ...] = (0, 1)) -> Signature:
    return Signature(CLASSIFIER.inputs, tensors, labels)


def columns(*tensors: Input) -> Signature:
    return Signature(tensors, COLUMNS.outputs)


def tensors(*inputs: Input, ends: tuple[Output, ...] = TENSORS.outputs) -> Signature:
    return Signature(inputs, ends)


SQUARE = replace(IMAGE, shape=(1, 3, 8, 8))
LABEL_ONLY = outputs(LABEL)
THREE = replace(PROBABILITIES, shape=(-1, 3))

# Before, after, and the changes in their order: kind, name, before, after.
CASES: dict[str, tuple[Signature, Signature, list[tuple[Kind, str, str, str]]]] = {
    "nothing": (CLASSIFIER, CLASSIFIER, []),
    "feature more": (
        CLASSIFIER,
        matrix("mean radius", "mean texture", "area"),
        [("features added", "", "none", "area")],
    ),
    "feature less": (CLASSIFIER, matrix("mean radius"), [("features removed", "", "mean texture", "none")]),
    "feature by another name": (
        CLASSIFIER,
        matrix("radius", "mean texture"),
        [("features renamed", "", "mean radius", "radius")],
    ),
    "features moved": (
        CLASSIFIER,
        matrix("mean texture", "mean radius"),
        [("features in another order", "", "mean radius, mean texture", "mean texture, mean radius")],
    ),
    "features replaced elsewhere": (
        CLASSIFIER,
        matrix("mean texture", "area"),
        [("features removed", "", "mean radius", "none"), ("features added", "", "none", "area")],
    ),
    "matrix renamed": (CLASSIFIER, matrix(name="X"), [("input renamed", "", "features", "X")]),
    "matrix of doubles": (CLASSIFIER, matrix(datatype=FP64), [("input's datatype", "features", "FP32", "FP64")]),
    "matrix of one row": (CLASSIFIER, matrix(shape=(1, 2)), [("input's shape", "features", "[any, 2]", "[1, 2]")]),
    "matrix of any rows": (
        matrix(shape=(1, 2)),
        CLASSIFIER,
        [("input's shape, wider", "features", "[1, 2]", "[any, 2]")],
    ),
    "matrix to columns": (
        matrix("city", "area"),
        replace(CLASSIFIER, inputs=COLUMNS.inputs),
        [("features in another form", "", "FP32 [any, 2], features", "2 columns")],
    ),
    "matrices without names": (
        matrix(feature_names=(), shape=(-1, 3)),
        matrix("a", "b", "c"),
        [("features renamed", "", "f0, f1, f2", "a, b, c")],
    ),
    "matrix without names, to columns": (
        matrix(feature_names=()),
        replace(CLASSIFIER, inputs=COLUMNS.inputs),
        [
            ("features renamed", "", "f0, f1", "city, area"),
            ("features in another form", "", "FP32 [any, 2], features", "2 columns"),
        ],
    ),
    "matrix without names, of doubles": (
        matrix(feature_names=()),
        matrix(feature_names=(), datatype=FP64, shape=(-1, 3)),
        [("features added", "", "none", "f2"), ("input's datatype", "features", "FP32", "FP64")],
    ),
    "column more": (
        COLUMNS,
        columns(CITY, AREA, replace(AREA, name="floor")),
        [("features added", "", "none", "floor")],
    ),
    "column less": (COLUMNS, columns(AREA), [("features removed", "", "city", "none")]),
    "columns moved": (COLUMNS, columns(AREA, CITY), [("features in another order", "", "city, area", "area, city")]),
    "column of one dimension": (
        COLUMNS,
        columns(replace(CITY, shape=(-1,)), AREA),
        [("input's shape", "city", "[any, 1]", "[any]")],
    ),
    "missing no more": (
        COLUMNS,
        columns(CITY, replace(AREA, missing=False)),
        [("missing values refused", "area", "accepted", "refused")],
    ),
    "missing now": (
        COLUMNS,
        columns(replace(CITY, missing=True), AREA),
        [("missing values accepted", "city", "refused", "accepted")],
    ),
    "tensor more": (
        TENSORS,
        tensors(IMAGE, SCALE, replace(SCALE, name="bias")),
        [("input added", "bias", "none", "FP32 [], tensor")],
    ),
    "tensor less": (TENSORS, tensors(IMAGE), [("input removed", "scale", "FP32 [], tensor", "none")]),
    "tensors moved": (TENSORS, tensors(SCALE, IMAGE), []),
    "tensor narrower": (
        TENSORS,
        tensors(SQUARE, SCALE),
        [("input's shape", "image", "[1, 3, any, any]", "[1, 3, 8, 8]")],
    ),
    "tensor wider": (
        tensors(SQUARE, SCALE),
        TENSORS,
        [("input's shape, wider", "image", "[1, 3, 8, 8]", "[1, 3, any, any]")],
    ),
    "tensor to features": (
        tensors(Input("x", FP32, (-1, 1), "tensor")),
        tensors(Input("x", FP32, (-1, 1), "features")),
        [("input's role", "x", "tensor", "features")],
    ),
    "probabilities more": (
        LABEL_ONLY,
        CLASSIFIER,
        [("probabilities added", "probabilities", "none", "FP32 [any, 2], probabilities")],
    ),
    "probabilities less": (
        CLASSIFIER,
        LABEL_ONLY,
        [("output removed", "probabilities", "FP32 [any, 2], probabilities", "none")],
    ),
    "output more": (
        CLASSIFIER,
        outputs(LABEL, PROBABILITIES, BOXES),
        [("output added", "boxes", "none", "FP32 [any, 4], tensor")],
    ),
    "label more": (
        outputs(PROBABILITIES),
        CLASSIFIER,
        [
            ("output added", "label", "none", "INT64 [any], label"),
        ],
    ),
    "outputs renamed": (
        CLASSIFIER,
        outputs(replace(LABEL, name="output_label"), replace(PROBABILITIES, name="scores")),
        [("output renamed", "", "label", "output_label"), ("output renamed", "", "probabilities", "scores")],
    ),
    "outputs moved": (
        CLASSIFIER,
        outputs(PROBABILITIES, LABEL),
        [("outputs in another order", "", "label, probabilities", "probabilities, label")],
    ),
    "output of doubles": (
        COLUMNS,
        replace(COLUMNS, outputs=(replace(RENT, datatype=FP64),)),
        [("output's datatype", "rent", "FP32", "FP64")],
    ),
    "output of one dimension": (
        COLUMNS,
        replace(COLUMNS, outputs=(replace(RENT, shape=(-1,)),)),
        [("output's shape", "rent", "[any, 1]", "[any]")],
    ),
    "output of another role": (
        outputs(LABEL),
        outputs(replace(LABEL, role="tensor")),
        [("output's role", "label", "label", "tensor")],
    ),
    "range": (
        COLUMNS,
        replace(COLUMNS, outputs=(replace(RENT, range=None),)),
        [("output's range", "rent", "100 to 5000.5", "none")],
    ),
    "class more": (CLASSIFIER, outputs(LABEL, THREE, labels=(0, 1, 2)), [("labels added", "", "none", "2")]),
    "class less": (outputs(LABEL, THREE, labels=(0, 1, 2)), CLASSIFIER, [("labels removed", "", "2", "none")]),
    "classes moved": (
        CLASSIFIER,
        outputs(LABEL, PROBABILITIES, labels=(1, 0)),
        [("labels in another order", "", "0, 1", "1, 0")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_change_of_the_contract_is_named(case: str) -> None:
    before, after, expected = CASES[case]
    found = [(change.kind, change.name, change.before, change.after) for change in contract_changes(before, after)]
    assert found == expected


def test_another_models_version_is_a_change_too() -> None:
    model = onnx_model()
    assert model_changes(model, replace(model, version=9)) == ()
    [change] = model_changes(model, replace(model, name="rents"))
    assert (change.kind, change.before, change.after) == ("another model", "breast-cancer", "rents")
    assert change.breaks


def test_each_kind_of_change_has_a_rule_and_occurs_above() -> None:
    occurring = {kind for _, _, changes in CASES.values() for kind, *_ in changes}
    assert {*occurring, "another model"} == set(get_args(Kind)) == set(RULES)


def test_what_callers_cannot_notice_is_not_breaking() -> None:
    assert {kind for kind, breaks in RULES.items() if not breaks} == {
        "input's shape, wider",
        "missing values accepted",
        "output's range",
        "probabilities added",
    }


def test_long_lists_of_names_are_cut() -> None:
    names = [f"f{number}" for number in range(20)]
    [change] = contract_changes(matrix("a"), matrix("a", *names))
    assert change.after == "f0, f1, f2, f3, f4, f5, f6, f7 and 12 more"


def test_outputs_pair_by_name_then_by_role_then_the_one_that_is_left() -> None:
    value = Output("value", FP32, (-1,), "tensor")
    other = Output("variable", FP32, (-1, 1), "tensor")
    named = Output("label", BYTES, (-1,), "label")
    before, after = outputs(LABEL, PROBABILITIES, value), outputs(other, replace(named, name="class"))
    pairs = [(mine.name, theirs.name) for mine, theirs in paired_outputs(before, after)]
    assert pairs == [("label", "class"), ("value", "variable")]
    assert paired_outputs(outputs(value, KINDS), outputs(other)) == []

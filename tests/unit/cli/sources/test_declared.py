"""What the files beside a model declare wins over guesses, and is refused where it contradicts the model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pilotlight.errors import ModelError
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BOOL, BYTES, FP32, FP64, INT64
from pilotlight_cli.sources.declared import Column, Declared, Tensor, agreed

LABEL = Output("label", BYTES, (-1,), "label")
SCORES = Output("probabilities", FP64, (-1, 2), "probabilities")
CLASSIFIER = Signature((), (LABEL, SCORES), ("no", "yes"))
LOGITS = Signature((Input("ids", INT64, (-1, -1), "tensor"),), (Output("logits", FP32, (-1, 3), "tensor"),))


def matrix(*names: str) -> Signature:
    return replace(CLASSIFIER, inputs=(Input("features", FP64, (-1, len(names)), "features", names),))


def without_names(width: int) -> Signature:
    return replace(CLASSIFIER, inputs=(Input("features", FP64, (-1, width), "features"),))


def columns(**inputs: object) -> Signature:
    found = (Input(name, FP64 if kind is FP64 else BYTES, (-1, 1), "features") for name, kind in inputs.items())
    return replace(CLASSIFIER, inputs=tuple(found))


def table(*told: Column) -> Declared:
    return Declared("MLmodel", columns=told)


def inputs(signature: Signature) -> list[str]:
    """Show the inputs in short, those with missing values with a question mark."""
    return [
        f"{'?' if tensor.missing else ''}{','.join(tensor.feature_names) or tensor.name} {tensor.datatype.name}"
        for tensor in signature.inputs
    ]


AGREED = [
    # The columns, what inspection found, whether its types are guesses, and the inputs.
    (table(Column("a", FP64), Column("b", FP64)), matrix("a", "b"), True, ["a,b FP64"]),
    (table(Column("a", FP64), Column("b", FP64)), without_names(2), True, ["a,b FP64"]),
    (table(Column("a", FP64, optional=True), Column("b", FP64)), matrix("a", "b"), True, ["?a,b FP64"]),
    (table(Column("a", INT64), Column("b", INT64)), matrix("a", "b"), True, ["a,b INT64"]),
    (table(Column("a", INT64), Column("b", INT64)), matrix("a", "b"), False, ["a,b FP64"]),
    (table(Column("a", INT64), Column("b", FP64)), matrix("a", "b"), True, ["a,b FP64"]),
    (table(Column("a", INT64, optional=True), Column("b", INT64)), matrix("a", "b"), True, ["?a,b FP64"]),
    (table(Column("a", FP64), Column("b", BYTES)), matrix("a", "b"), True, ["a FP64", "b BYTES"]),
    (
        table(Column("a", BOOL), Column("b", BYTES, optional=True)),
        columns(a=FP64, b=BYTES),
        True,
        ["a BOOL", "?b BYTES"],
    ),
    (table(Column("a", FP64), Column("b", BYTES)), columns(a=FP64, b=FP64), True, ["a FP64", "b BYTES"]),
    (table(Column("b", BYTES), Column("a", FP32)), columns(a=FP64, b=BYTES), False, ["a FP64", "b BYTES"]),
    (table(Column("review", BYTES)), columns(text=BYTES), True, ["review BYTES"]),
]


@pytest.mark.parametrize(("declared", "found", "guessed", "expected"), AGREED)
def test_columns_have_names_types_and_missing_values_as_declared(
    declared: Declared, found: Signature, guessed: bool, expected: list[str]
) -> None:
    assert inputs(agreed(declared, found, guessed=guessed)) == expected


ENDING = "; correct MLmodel, or describe the model with --signature"
DISAGREEING: list[tuple[Declared, Signature, bool, str]] = [
    (table(Column("a")), matrix("a", "b"), True, "declares 1 columns (a), but the model takes 2: a, b"),
    (table(Column("a"), Column("c")), matrix("a", "b"), True, "declares 'c' as column 1, but the model has 'b' there"),
    (table(Column("b"), Column("a")), matrix("a", "b"), True, "declares 'b' as column 0, but the model has 'a' there"),
    (table(Column("x", FP64)), columns(a=FP64), False, "declares 'x' as column 0, but the model has 'a' there"),
    (
        table(Column("a", BYTES), Column("b", FP64)),
        matrix("a", "b"),
        False,
        "declares strings in the column 'a', but the model takes FP64",
    ),
    (
        table(Column("a", FP64), Column("b", INT64)),
        columns(a=FP64, b=BYTES),
        True,
        "declares INT64 in the column 'b', but the model takes BYTES there",
    ),
    (table(Column("a")), LOGITS, True, "declares the columns a, but the model takes ids INT64 [-1, -1], no columns"),
    (
        Declared("MLmodel", inputs=(Tensor("x", FP32),)),
        LOGITS,
        True,
        "declares the input 'x', but the model has ids",
    ),
    (
        Declared("MLmodel", inputs=(Tensor("ids", FP32, exact=True),)),
        LOGITS,
        True,
        "declares the input 'ids' as FP32, but the model has INT64",
    ),
    (
        Declared("MLmodel", inputs=(Tensor("", FP64, (-1, 4)),)),
        matrix("a", "b"),
        True,
        "declares the input 'features' of shape [-1, 4], but the model has [-1, 2]",
    ),
    (
        Declared("MLmodel", outputs=(Tensor("", INT64),)),
        matrix("a"),
        True,
        "declares the output 'label' as INT64, but the model has BYTES",
    ),
    (
        Declared("MLmodel", labels=("a", "b")),
        LOGITS,
        True,
        "declares 2 labels (a, b), but the model returns logits FP32 [-1, 3]",
    ),
    (
        Declared("MLmodel", labels=("yes", "no")),
        matrix("a"),
        True,
        "declares 2 labels (yes, no), but the model returns no, yes",
    ),
    (
        Declared("MLmodel", labels=("a", "b", "c")),
        matrix("a"),
        True,
        "declares 3 labels (a, b, c), but the model has 2",
    ),
]


@pytest.mark.parametrize(("declared", "found", "guessed", "sentence"), DISAGREEING)
def test_a_contradiction_is_refused_with_both_values(
    declared: Declared, found: Signature, guessed: bool, sentence: str
) -> None:
    with pytest.raises(ModelError) as error:
        agreed(declared, found, guessed=guessed)
    assert str(error.value) == f"MLmodel {sentence}{ENDING}"


NUMBERED = Signature((), (Output("label", INT64, (-1,), "label"), SCORES), (0, 1))
LABELS = [
    (LOGITS, ("a", "b", "c"), ("a", "b", "c")),
    (replace(LOGITS, outputs=(Output("logits", FP32, (-1, -1), "tensor"),)), ("a", "b"), ("a", "b")),
    (replace(CLASSIFIER, inputs=LOGITS.inputs), ("no", "yes"), ("no", "yes")),
    (Signature(LOGITS.inputs, (SCORES,), ("0", "1")), ("a", "b"), ("a", "b")),
    (replace(NUMBERED, inputs=LOGITS.inputs), ("a", "b"), (0, 1)),  # the model returns numbers
]


@pytest.mark.parametrize(("found", "told", "expected"), LABELS)
def test_labels_are_taken_where_the_model_returns_no_others(
    found: Signature, told: tuple[str, ...], expected: tuple[object, ...]
) -> None:
    assert agreed(Declared("config.json", labels=told), found, guessed=False).labels == expected


def test_an_unnamed_tensor_of_several_is_not_compared() -> None:
    two = columns(a=FP64, b=FP64)
    assert agreed(Declared("MLmodel", inputs=(Tensor("", FP32, (-1, 2)),)), two, guessed=True) == two

"""How far two models' values of one output are apart: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, prod

from pilotlight.model.contract import paired_outputs
from pilotlight.model.golden import Scalar, Values
from pilotlight.model.signature import Label, Output, Signature
from pilotlight.model.tensor import BOOL, BYTES


@dataclass(frozen=True, slots=True)
class Pair:
    """The values of an output of both models, flat, in one order.

    `width` is the number of values a row. Those of `is_exact` are equal or not; others are numbers, with a distance.
    `problem` says why they cannot be compared.
    """

    name: str
    other_name: str
    width: int
    before: tuple[Scalar | None, ...] = ()
    after: tuple[Scalar | None, ...] = ()
    is_exact: bool = False
    problem: str = ""


def pair_values(
    signatures: tuple[Signature, Signature], sides: tuple[Mapping[str, Values], Mapping[str, Values]]
) -> list[Pair]:
    """Pair two models' outputs for the same rows, by the names of their outputs.

    Two models that answer probabilities alone have the likeliest label as a further pair.
    """
    outputs = paired_outputs(*signatures)
    pairs = [_pair(signatures, one, (sides[0][one[0].name], sides[1][one[1].name])) for one in outputs]
    if any(mine.role == "label" for mine, _ in outputs):
        return pairs
    return pairs + _likeliest(signatures, sides)


def is_flip(before: Scalar | None, after: Scalar | None) -> bool:
    """Whether two values differ. Values of different types are compared as texts."""
    return before != after and str(before) != str(after)


def distance(before: float | None, after: float | None) -> float | None:
    """Return how far two numbers are apart, which is infinite if one alone is finite; None if neither is."""
    finite = _is_finite(before), _is_finite(after)
    if finite == (False, False):
        return None
    return abs(float(after) - float(before)) if all(finite) else float("inf")  # type: ignore[arg-type]


def floats(data: Sequence[Scalar | None]) -> list[float | None]:
    """Return the numbers among values; None for another one."""
    return [value if isinstance(value, (int, float)) else None for value in data]


def _is_finite(value: float | None) -> bool:
    return value is not None and isfinite(value)


def _pair(
    signatures: tuple[Signature, Signature], outputs: tuple[Output, Output], values: tuple[Values, Values]
) -> Pair:
    mine, theirs = outputs
    old, new = values
    names = (mine.name, theirs.name)
    if mine.role == theirs.role == "probabilities":
        old, new = _same_columns(old, new, signatures[0].labels, signatures[1].labels)
    if old.shape[1:] != new.shape[1:] and prod(old.shape) != prod(new.shape):
        return Pair(*names, 0, problem=f"shape {list(old.shape)} before, {list(new.shape)} after")
    is_exact = "label" in (mine.role, theirs.role) or bool({old.datatype, new.datatype} & {BYTES, BOOL})
    return Pair(*names, prod(old.shape[1:]), old.data, new.data, is_exact=is_exact)


def _likeliest(signatures: tuple[Signature, Signature], sides: Sequence[Mapping[str, Values]]) -> list[Pair]:
    """Pair the likeliest labels of models that answer probabilities alone."""
    labels = []
    for signature, values in zip(signatures, sides, strict=True):
        output = signature.output("probabilities")
        if output is None or not signature.labels:
            return []
        labels.append(_best(values[output.name], signature.labels))
    return [Pair("likeliest label", "likeliest label", 1, labels[0], labels[1], is_exact=True)]


def _best(values: Values, labels: Sequence[Label]) -> tuple[Scalar | None, ...]:
    width, numbers = len(labels), floats(values.data)
    best: list[Scalar | None] = []
    for start in range(0, len(numbers), width):
        row = [number for number in numbers[start : start + width] if number is not None]
        best.append(labels[row.index(max(row))] if len(row) == width else None)
    return tuple(best)


def _same_columns(old: Values, new: Values, before: Sequence[Label], after: Sequence[Label]) -> tuple[Values, Values]:
    """Return the probabilities of the labels that both models have, in the order of the first."""
    texts = [str(label) for label in before], [str(label) for label in after]
    common = [label for label in texts[0] if label in texts[1]]
    if texts[0] == texts[1]:
        return old, new
    return _columns(old, [texts[0].index(label) for label in common]), _columns(
        new, [texts[1].index(label) for label in common]
    )


def _columns(values: Values, columns: Sequence[int]) -> Values:
    rows, width = values.shape[0], prod(values.shape[1:])
    data = tuple(values.data[row * width + column] for row in range(rows) for column in columns)
    return Values(values.name, values.datatype, (rows, len(columns)), data)

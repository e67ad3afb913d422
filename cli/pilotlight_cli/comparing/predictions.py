"""The predictions of two models for the same rows, output by output: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from pilotlight.model.golden import Scalar, Values
from pilotlight.model.signature import Label, Output, Signature
from pilotlight.model.tensor import BOOL, BYTES
from pilotlight_cli.comparing.contract import paired_outputs
from pilotlight_cli.comparing.numbers import Differences, Flips, differences, flips


@dataclass(frozen=True, slots=True)
class Answers:
    """A model's outputs for rows, joined over all of them.

    `values` are in the signature's order, the rows in their first dimension. `rows` are the numbers of the rows that
    were answered, from 1; `refused` are the others, with the model's reason.
    """

    values: tuple[Values, ...]
    rows: tuple[int, ...]
    refused: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Compared:
    """An output of both models: numbers have differences, labels and other values flips.

    `width` is the number of values a row. `problem` says why there are neither. `before` and `after` are the values
    that were compared; `right` is how many rows each model has as the file expects, if it does.
    """

    name: str
    other_name: str
    width: int
    before: tuple[Scalar | None, ...] = ()
    after: tuple[Scalar | None, ...] = ()
    differences: Differences | None = None
    flips: Flips | None = None
    problem: str = ""
    right: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Predictions:
    """All that is known of the predictions; `rows` are the numbers of those that both models answered."""

    rows: tuple[int, ...]
    refused: tuple[Mapping[int, str], Mapping[int, str]]
    outputs: tuple[Compared, ...]

    @property
    def flipped(self) -> float:
        """The largest share of labels that flip in any output, from 0 to 1."""
        return max((one.flips.share for one in self.outputs if one.flips), default=0.0)

    def row(self, compared: Compared, position: int) -> int:
        """Return the number of the row that a value belongs to."""
        return self.rows[position // max(compared.width, 1)]


def compare_answers(
    signatures: tuple[Signature, Signature],
    answers: tuple[Answers, Answers],
    expected: Mapping[str, Sequence[Scalar | None]],
) -> Predictions:
    """Compare the outputs that mean the same. `expected` has a value for each row of the file, by an output's name."""
    kept = set(answers[0].rows) & set(answers[1].rows)
    rows = tuple(row for row in answers[0].rows if row in kept)
    sides = [
        {
            output.name: _of_rows(values, side.rows, kept)
            for output, values in zip(signature.outputs, side.values, strict=True)
        }
        for signature, side in zip(signatures, answers, strict=True)
    ]
    outputs = []
    for mine, theirs in paired_outputs(*signatures):
        before, after = sides[0][mine.name], sides[1][theirs.name]
        wanted = expected.get(mine.name, expected.get(theirs.name))
        kept_wanted = [wanted[row - 1] for row in rows] if wanted else None
        outputs.append(_compare(signatures, (mine, theirs), (before, after), kept_wanted))
    if not any(mine.role == "label" for mine, _ in paired_outputs(*signatures)):
        outputs += _likeliest(signatures, sides)
    return Predictions(rows, (answers[0].refused, answers[1].refused), tuple(outputs))


def _compare(
    signatures: tuple[Signature, Signature],
    outputs: tuple[Output, Output],
    values: tuple[Values, Values],
    expected: Sequence[Scalar | None] | None,
) -> Compared:
    mine, theirs = outputs
    old, new = values
    names = (mine.name, theirs.name)
    if mine.role == theirs.role == "probabilities":
        old, new = _same_columns(old, new, signatures[0].labels, signatures[1].labels)
    if old.shape[1:] != new.shape[1:] and prod(old.shape) != prod(new.shape):
        return Compared(*names, 0, problem=f"shape {list(old.shape)} before, {list(new.shape)} after")
    width = prod(old.shape[1:])
    if mine.role == "label" or theirs.role == "label" or {old.datatype, new.datatype} & {BYTES, BOOL}:
        found = Compared(*names, width, old.data, new.data, flips=flips(old.data, new.data))
        return found if expected is None else _judged(found, expected)
    return Compared(*names, width, old.data, new.data, differences=differences(_floats(old), _floats(new)))


def _judged(found: Compared, expected: Sequence[Scalar | None]) -> Compared:
    right = [sum(str(a) == str(b) for a, b in zip(expected, side, strict=True)) for side in (found.before, found.after)]
    return Compared(
        found.name,
        found.other_name,
        found.width,
        found.before,
        found.after,
        flips=found.flips,
        right=(right[0], right[1]),
    )


def _likeliest(signatures: tuple[Signature, Signature], sides: Sequence[Mapping[str, Values]]) -> list[Compared]:
    """Compare the likeliest labels of models that answer probabilities alone."""
    labels = []
    for signature, values in zip(signatures, sides, strict=True):
        output = signature.output("probabilities")
        if output is None or not signature.labels:
            return []
        labels.append(_best(values[output.name], signature.labels))
    return [Compared("likeliest label", "likeliest label", 1, labels[0], labels[1], flips=flips(labels[0], labels[1]))]


def _best(values: Values, labels: Sequence[Label]) -> tuple[Scalar | None, ...]:
    width, numbers = len(labels), _floats(values)
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


def _of_rows(values: Values, rows: Sequence[int], kept: set[int]) -> Values:
    """Return the values of some rows."""
    if len(rows) == len(kept) or not rows:
        return values
    width = prod(values.shape) // len(rows)
    chosen = [index for index, row in enumerate(rows) if row in kept]
    data = tuple(value for index in chosen for value in values.data[index * width : (index + 1) * width])
    return Values(values.name, values.datatype, (len(chosen), *values.shape[1:]), data)


def _floats(values: Values) -> list[float | None]:
    return [value if isinstance(value, (int, float)) else None for value in values.data]

"""The predictions of two models for the same rows, output by output: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from pilotlight.model.golden import Scalar, Values
from pilotlight.model.signature import Signature
from pilotlight.shadow.pairs import Pair, floats, pair_values
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
    for pair in pair_values(signatures, (sides[0], sides[1])):
        wanted = expected.get(pair.name, expected.get(pair.other_name)) if pair.is_exact else None
        outputs.append(_compared(pair, [wanted[row - 1] for row in rows] if wanted else None))
    return Predictions(rows, (answers[0].refused, answers[1].refused), tuple(outputs))


def _compared(pair: Pair, expected: Sequence[Scalar | None] | None) -> Compared:
    found = Compared(pair.name, pair.other_name, pair.width, pair.before, pair.after, problem=pair.problem)
    if pair.problem:
        return found
    if not pair.is_exact:
        return replace(found, differences=differences(floats(pair.before), floats(pair.after)))
    right = None
    if expected is not None:
        old, new = (
            sum(str(a) == str(b) for a, b in zip(expected, side, strict=True)) for side in (pair.before, pair.after)
        )
        right = old, new
    return replace(found, flips=flips(pair.before, pair.after), right=right)


def _of_rows(values: Values, rows: Sequence[int], kept: set[int]) -> Values:
    """Return the values of some rows."""
    if len(rows) == len(kept) or not rows:
        return values
    width = prod(values.shape) // len(rows)
    chosen = [index for index, row in enumerate(rows) if row in kept]
    data = tuple(value for index in chosen for value in values.data[index * width : (index + 1) * width])
    return Values(values.name, values.datatype, (len(chosen), *values.shape[1:]), data)

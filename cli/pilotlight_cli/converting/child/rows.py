"""Rows to compare on: those given, or made up from what the model knows of its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Collection, Sequence

import numpy as np

from pilotlight_cli.converting.child.errors import CannotConvert
from pilotlight_cli.converting.child.models import Column, Table

_MISSING = 0.05  # the share of missing numbers in rows made up for a model that takes them


@dataclass(frozen=True)
class Given:
    """The rows of the user's file: objects, lists, or single values, and the file's name for messages."""

    file: str
    rows: Sequence[Any]


def read(given: Given, table: Table) -> list[Any]:
    """Return the given rows as columns. Raise CannotConvert."""
    return [_column(column, index, given, alone=len(table.columns) == 1) for index, column in enumerate(table.columns)]


def _column(column: Column, index: int, given: Given, *, alone: bool) -> Any:  # noqa: ANN401 - an array
    values = []
    for number, row in enumerate(given.rows):
        place = f"{given.file}: row {number}"
        if not isinstance(row, (dict, list)) and not alone:
            raise CannotConvert(f"{place}: found {row!r}, expected an object or a list")
        try:
            value = row[column.name] if isinstance(row, dict) else row[index] if isinstance(row, list) else row
        except (IndexError, KeyError):
            raise CannotConvert(f"{place} has no {column.name!r}") from None
        values.append(_value(column, value, f"{place}, {column.name}"))
    return np.array(values, object if column.text else np.float64)


def _value(column: Column, value: Any, where: str) -> Any:  # noqa: ANN401 - of JSON or CSV
    if column.text:
        if not isinstance(value, str):
            raise CannotConvert(f"{where}: found {value!r}, expected a string")
        return value
    try:
        return to_number(value)
    except (TypeError, ValueError):
        raise CannotConvert(f"{where}: found {value!r}, expected a number") from None


def to_number(value: Any) -> float:  # noqa: ANN401 - of JSON or CSV
    """Convert a value of a column of numbers; a missing one is NaN. Raise TypeError or ValueError."""
    return float("nan") if value in (None, "") else float(value)


def generate(
    table: Table, thresholds: dict[int, Any], whole: Collection[int], count: int, *, missing: bool
) -> list[Any]:
    """Make up rows from a fixed seed: known values, and numbers around the thresholds or within a column's range.

    The columns in `whole` are codes of categories.
    """
    random = np.random.RandomState(0)
    found = []
    for index, column in enumerate(table.columns):
        if column.text:
            found.append(_texts(column, count, random, words=table.alone))
            continue
        known = np.asarray(column.known, np.float64)
        near = thresholds.get(index, known)
        low, high = column.low, column.high
        if len(near):
            spread = max(float(np.ptp(near)), abs(float(near[0])), 1e-3)
            low, high = float(near.min()) - spread / 4, float(near.max()) + spread / 4
        values = random.uniform(low, high, count)
        if len(known) or len(near):
            chosen = random.choice(known if len(known) else near, count)
            values = np.where(random.uniform(size=count) < (0.9 if len(known) > 1 else 0.3), chosen, values)
        if index in whole:
            values = np.round(values)
        if missing:
            values = np.where(random.uniform(size=count) < _MISSING, np.nan, values)
        found.append(values)
    return found


def _texts(column: Column, count: int, random: Any, *, words: bool) -> Any:  # noqa: ANN401 - arrays
    known = list(column.known) or ["text"]
    if words or len(known) > 200:
        texts = [" ".join(random.choice(known, random.randint(1, 9))) for _ in range(count)]
    else:
        texts = random.choice(known, count).tolist()
    return np.array(texts, object)


def arrange(table: Table, columns: Sequence[Any]) -> Any:  # noqa: ANN401
    """Return the columns in the form that the library takes."""
    if table.alone:
        return columns[0]
    numbers = [values if column.text else values.astype(table.dtype) for column, values in zip(table.columns, columns)]
    if table.named:
        import pandas as pd

        return pd.DataFrame({column.name: values for column, values in zip(table.columns, numbers)})
    return np.stack(numbers, axis=1) if len(numbers) > 1 else numbers[0].reshape(-1, 1)

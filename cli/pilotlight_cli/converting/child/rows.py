"""Rows to compare on: those of a file, or made up from what the model knows of its columns."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, Collection, Sequence

import numpy as np

from pilotlight_cli.converting.child.errors import CannotConvert
from pilotlight_cli.converting.child.models import Column, Table

_MISSING = 0.05  # the share of missing numbers in rows made up for a model that takes them


def read(path: Path, table: Table) -> list[Any]:
    """Read the columns of a CSV or JSON file. Raise CannotConvert."""
    text = path.read_text(encoding="utf-8")
    if path.suffix.lower() == ".csv":
        records: list[Any] = list(csv.DictReader(text.splitlines()))
    else:
        records = _records(text, path.name)
    if not records:
        raise CannotConvert(f"{path.name} has no rows")
    return [_column(column, index, records, path.name) for index, column in enumerate(table.columns)]


def _records(text: str, name: str) -> list[Any]:
    try:
        if text.lstrip()[:1] == "{" and "\n{" in text.strip():
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        document = json.loads(text)
    except ValueError as error:
        raise CannotConvert(f"{name} is not valid JSON: {error}") from None
    found = document.get("instances") if isinstance(document, dict) else document
    if not isinstance(found, list) or not all(isinstance(row, (dict, list)) for row in found):
        raise CannotConvert(f'{name}: expected a list of rows, or {{"instances": [...]}}')
    return found


def _column(column: Column, index: int, records: Sequence[Any], name: str) -> Any:  # noqa: ANN401 - an array
    values = []
    for number, record in enumerate(records):
        try:
            value = record[column.name] if isinstance(record, dict) else record[index]
        except (IndexError, KeyError):
            raise CannotConvert(f"{name}: row {number} has no {column.name!r}") from None
        values.append(_value(column, value, f"{name}: row {number}, {column.name}"))
    return np.array(values, object if column.text else np.float64)


def _value(column: Column, value: Any, where: str) -> Any:  # noqa: ANN401 - of JSON or CSV
    if column.text:
        if not isinstance(value, str):
            raise CannotConvert(f"{where}: found {value!r}, expected a string")
        return value
    try:
        return np.nan if value in (None, "") else float(value)
    except (TypeError, ValueError):
        raise CannotConvert(f"{where}: found {value!r}, expected a number") from None


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

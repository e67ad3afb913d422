"""Converting a loaded model: the first graph whose answers agree with the library's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Callable, Iterator, Sequence

import numpy as np

from pilotlight_cli.converting.child import rows, thresholds
from pilotlight_cli.converting.child.compare import Agreement, Rows, compare
from pilotlight_cli.converting.child.ensemble import EQUAL
from pilotlight_cli.converting.child.errors import CannotConvert
from pilotlight_cli.converting.child.estimators import convert
from pilotlight_cli.converting.child.inversion import invert
from pilotlight_cli.converting.child.models import Converted


@dataclass(frozen=True)
class Proven:
    """An ONNX model, the rows that it was compared on, how the answers compare, and what holds for some rows alone."""

    model: Any
    rows: Rows
    agreement: Agreement
    notes: Sequence[str] = ()


def prove(model: Any, given: rows.Given | None, count: int) -> Proven:  # noqa: ANN401 - the libraries may be untyped
    """Convert a model and compare the answers for the given rows, or for so many made up.

    Graphs are tried in double precision and in FP32, in which converters support more. Raise CannotConvert if none
    agrees: with the first row that differs, or where no graph ran with the first reason.
    """
    problems: list[str] = []
    differing: list[str] = []
    made: list[Converted] = []
    for missing in (True, False):
        for attempt in made or _graphs(model, made, problems):
            try:
                proven = compared(attempt, given, count, missing=missing)
            except CannotConvert as error:
                problems.append(str(error))
                continue
            if not proven.agreement.problem:
                return replace(proven, notes=_notes(attempt, missing=missing))
            differing.append(proven.agreement.problem)
        if given:
            break
    raise CannotConvert([*differing, *problems][0])


def _graphs(model: Any, made: list[Converted], problems: list[str]) -> Iterator[Converted]:  # noqa: ANN401
    for dtype in ("float64", "float32"):
        try:
            made.append(convert(model, dtype))
        except CannotConvert as error:
            problems.append(str(error))
            continue
        yield made[-1]
        if made[-1].exact:
            return


def _notes(converted: Converted, *, missing: bool) -> list[str]:
    notes = list(converted.notes)
    if not missing:
        notes.append("with missing values the library answers otherwise: send complete rows")
    whole = thresholds.categories(thresholds.nodes(converted.model)) if converted.table.matrix else ()
    if whole:
        names = ", ".join(converted.table.columns[index].name for index in sorted(whole))
        notes.append(f"codes of categories, to be sent as whole numbers: {names}")
    return notes


def compared(converted: Converted, given: rows.Given | None, count: int, *, missing: bool = True) -> Proven:
    """Answer the rows with the library and with ONNX Runtime. Raise CannotConvert."""
    found = _rows(converted, given, count, missing=missing)
    return Proven(converted.model, found, compare(converted.model.SerializeToString(), found))


def _rows(converted: Converted, given: rows.Given | None, count: int, *, missing: bool) -> Rows:
    """Return the given rows, or made up ones, then those on thresholds, with the library's answers."""
    table = converted.table
    splits = thresholds.nodes(converted.model) if table.matrix else []
    known = thresholds.by_feature(splits)
    if given:
        columns = rows.read(given, table)
    else:
        whole = thresholds.categories(splits)
        columns = rows.generate(table, known, whole, count, missing=missing and _takes_missing(converted))
    columns = [values if values.dtype == object else values.astype(table.dtype) for values in columns]
    answers, features = _called(lambda: _answers(converted, columns, splits), given=given is not None)
    return Rows({column.name: values for column, values in zip(table.columns, columns)}, answers, features)


def _answers(converted: Converted, columns: list[Any], splits: list[thresholds.Node]) -> tuple[dict[str, Any], Any]:
    """Add rows on thresholds to the columns; return the library's answers, and the column in question of each added."""
    table, front, features = converted.table, converted.front, np.zeros(0, np.int64)
    added: list[Any] = []
    if splits:
        probes, features, _ = thresholds.probe(splits, np.stack(columns, axis=1), table.dtype)
        added = list(probes.T)
    elif front:
        behind = [split for split in thresholds.nodes(converted.model, front.value) if split.mode != EQUAL]
        transformed = front.transform(columns)
        probes, asked, sources = thresholds.probe(behind, transformed, front.dtype)
        base = [values[sources] for values in columns]
        added, features = invert(front, base, transformed[sources].astype(front.dtype), probes, asked)
    columns[:] = [np.concatenate([values, *added[index : index + 1]]) for index, values in enumerate(columns)]
    return converted.predict(rows.arrange(table, columns)), features


def _takes_missing(converted: Converted) -> bool:
    """Return whether the library answers a row whose numbers are missing."""
    row = rows.generate(converted.table, {}, (), 1, missing=False)
    empty = [values if values.dtype == object else np.full(1, np.nan) for values in row]
    try:
        converted.predict(rows.arrange(converted.table, empty))
    except Exception:  # noqa: BLE001 - any library's own error for them
        return False
    return True


def _called(call: Callable[[], Any], *, given: bool) -> Any:  # noqa: ANN401
    try:
        return call()
    except Exception as error:  # any library's own error
        raise CannotConvert(
            "the model fails on {}: {}: {}{}".format(
                "the rows of --rows" if given else "rows made up for it",
                type(error).__name__,
                error,
                "" if given else "; give real ones with --rows",
            )
        ) from error

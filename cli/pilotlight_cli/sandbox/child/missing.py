"""Which features of a scikit-learn model may be missing: those that it is seen to answer without.

scikit-learn refuses NaN where nothing replaces it, so a row without a value shows it. Only trees accept NaN that they
never saw in training, and send it wherever most rows went; here they do only if they were trained with missing values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from pilotlight.runtimes.estimators import walk

# Each is tried by itself where not all may be missing.
MOST_TRIED = 200


def missing_columns(estimator: Any, rows: Any, methods: Sequence[str]) -> list[int]:  # noqa: ANN401
    """Return the columns of an array of rows in which a value may be missing, all at the same time."""
    row = _complete(rows)
    if row is None:
        return []
    with _strict_trees(estimator):
        columns = list(range(row.shape[1]))
        if _answers(estimator, row, columns, methods):
            return columns
        if len(columns) > MOST_TRIED:
            return []
        found = [column for column in columns if _answers(estimator, row, [column], methods)]
        return found if found and _answers(estimator, row, found, methods) else []


def complete_rows(rows: Any) -> Any:  # noqa: ANN401 - an array
    """Return the rows without a missing value; all if there are none."""
    complete = rows[(rows == rows).reshape(len(rows), -1).all(axis=1)]  # noqa: PLR0124 - NaN is not equal to itself
    return complete if len(complete) else rows


def _complete(rows: Any) -> Any:  # noqa: ANN401 - an array
    """Return one row that the model accepts, or None for texts."""
    return None if rows is None or rows.ndim != 2 else complete_rows(rows)[:1]


def _answers(estimator: Any, row: Any, columns: list[int], methods: Sequence[str]) -> bool:  # noqa: ANN401
    """Return whether the model answers the row without the values of those columns, and with numbers."""
    without = row.copy()
    without[:, columns] = np.nan
    try:
        results = [getattr(estimator, method)(without) for method in methods]
    except Exception:  # noqa: BLE001 - a model can raise any error
        return False
    parts = [part for result in results for part in (result if isinstance(result, list) else [result])]
    dense = [np.asarray(part.toarray() if hasattr(part, "toarray") else part) for part in parts]
    return all((part == part).all() for part in dense)  # noqa: PLR0124 - NaN is not equal to itself


@contextmanager
def _strict_trees(estimator: Any) -> Iterator[None]:  # noqa: ANN401 - scikit-learn has no types
    """Let trees refuse missing values unless some were trained with them."""
    trees = [part for part in walk(estimator) if hasattr(part, "tree_") and hasattr(part, "_support_missing_values")]
    strict = [] if any(map(_saw_missing, trees)) else trees
    for part in strict:
        part._support_missing_values = _refuse  # noqa: SLF001 - there is no public way to ask for it
    try:
        yield
    finally:
        for part in strict:
            del part._support_missing_values  # noqa: SLF001 - the class has it


def _refuse(_rows: object) -> bool:
    return False


def _saw_missing(part: Any) -> bool:  # noqa: ANN401 - scikit-learn has no types
    """Return whether a node sends missing values where fewer rows went, which only training with them decides."""
    nodes = part.tree_.__getstate__()["nodes"]
    inner = nodes["left_child"] != -1
    counts = nodes["n_node_samples"]
    by_count = counts[nodes["left_child"][inner]] > counts[nodes["right_child"][inner]]
    return bool((nodes["missing_go_to_left"][inner].astype(bool) != by_count).any())

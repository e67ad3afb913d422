"""The counts that functions log, summed up and compared with the reference beside the lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import add
from pathlib import Path
from typing import Any

from pilotlight.drift.reference import Column, load_reference
from pilotlight.drift.verdict import LEVELS, judge
from pilotlight.errors import FormatError
from pilotlight.model.lock import REFERENCE, Description, load_lock
from pilotlight_cli.drifting.report import Report


def judge_lines(records: Iterable[Mapping[str, Any]], lock: Path) -> Report:
    """Judge the sums of all `drift` lines that the pinned version wrote; those of other versions do not count.

    Of the lines of several columns each has its own number of rows. Raise FormatError without a reference.
    """
    model = load_lock(lock).model
    if model.reference is None:
        raise FormatError(
            f"{model.name}:{model.version} has no reference; publish it with --reference, and pin that version", ""
        )
    columns = load_reference(lock.with_name(REFERENCE), model.signature)
    totals, seen = merge(records, model, columns)
    findings = [
        judge(column.bins, column.counts, total, len(columns)) for column, total in zip(columns, totals, strict=True)
    ]
    findings.sort(key=lambda found: (LEVELS.index(found.level), found.psi), reverse=True)
    before, after = (max(map(sum, counts)) for counts in ((column.counts for column in columns), totals))
    return Report(tuple(findings), (before, after), (0, 0), max(seen, after))


def merge(
    records: Iterable[Mapping[str, Any]], model: Description, columns: tuple[Column, ...]
) -> tuple[list[list[int]], int]:
    """Return the sum of the counts of each column, and the rows that were seen, counted or not."""
    digest = model.reference.sha256[:16] if model.reference else ""
    totals, seen = [[0] * column.bins.size for column in columns], 0
    for record in records:
        if record.get("event") != "drift" or record.get("reference") != digest:
            continue
        if (record.get("model_name"), record.get("model_version")) != (model.name, model.version):
            continue
        seen += record["seen"]
        for index, counts in enumerate(record["counts"], record["first"]):
            totals[index] = list(map(add, totals[index], counts))
    return totals, seen

"""The report of a comparison: what `pilotlight diff` finds, and its JSON document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.model.contract import Change, contract_changes, model_changes
from pilotlight_cli.comparing.numbers import Differences, Flips
from pilotlight_cli.comparing.predictions import Compared, Predictions, compare_answers
from pilotlight_cli.comparing.running import Timing, golden_rows, run_both, same_features
from pilotlight_cli.comparing.sides import Side


@dataclass(frozen=True, slots=True)
class Report:
    """Two models beside each other.

    `source` says which rows were predicted; `predictions` are None if there were none.
    """

    sides: tuple[Side, Side]
    changes: tuple[Change, ...]
    timings: tuple[Timing, Timing]
    rounds: int
    source: str
    predictions: Predictions | None
    notes: tuple[str, ...]

    @property
    def breaking(self) -> tuple[Change, ...]:
        """The changes that break callers."""
        return tuple(change for change in self.changes if change.breaks)


def compare_sides(sides: tuple[Side, Side], rows: str, source: str, rounds: int, step: Callable[[str], None]) -> Report:
    """Compare two models over the rows of a file, by default over the golden samples of both.

    Raise FormatError for rows that a model cannot read, and ModelError for a model that fails.
    """
    first, second = (side.model for side in sides)
    notes = [f"{side.name}: {note}" for side in sides for note in side.notes]
    if not rows:
        rows, skipped = golden_rows(sides)
        source = "the golden samples"
        if skipped:
            notes.append(f"{skipped} golden rows of one model lack features of the other; give rows with --rows")
        elif not rows:
            notes.append("neither model has golden samples, so no predictions are compared; give rows with --rows")
    if same_features(first.signature, second.signature):
        notes.append("the features have no name in common; they are compared by their position")
    run = run_both(sides, rows, rounds, step)
    predictions = (
        compare_answers((first.signature, second.signature), run.answers, run.expected) if run.answers else None
    )
    published = all(side.is_published for side in sides)
    changes = model_changes(first, second) if published else contract_changes(first.signature, second.signature)
    return Report(sides, changes, run.timings, rounds, source, predictions, tuple(notes))


def document(report: Report) -> dict[str, Any]:
    """Return the report as a JSON document."""
    names = ("before", "after")
    found: dict[str, Any] = {
        name: _side(side, timing) for name, side, timing in zip(names, report.sides, report.timings, strict=True)
    }
    found["rounds"] = report.rounds
    found["breaking"] = bool(report.breaking)
    found["contract"] = [change.document() for change in report.changes]
    if report.predictions:
        found["predictions"] = predictions_document(
            report.predictions, report.source, rows=len(report.predictions.rows)
        )
    return found | {"notes": list(report.notes)}


def _side(side: Side, timing: Timing) -> dict[str, Any]:
    model = side.model
    return {
        "given": side.name,
        "name": model.name if side.is_published else None,
        "version": model.version if side.is_published else None,
        "format": model.format,
        "engine": model.runtime.engine,
        "packages": dict(model.runtime.packages),
        "size": side.size,
        "sha256": model.files[0].sha256,
        "load_ms": round(timing.load_ms, 3),
        "row_ms": None if timing.row_ms is None else round(timing.row_ms, 4),
    }


def predictions_document(found: Predictions, source: str, *, rows: int) -> dict[str, Any]:
    """Return predictions for so many rows as a JSON document."""
    return {
        "source": source,
        "rows": rows,
        "refused": {name: _refused(refused) for name, refused in zip(("before", "after"), found.refused, strict=True)},
        "outputs": [_compared(found, one) for one in found.outputs],
    }


def _refused(refused: Mapping[int, str]) -> list[dict[str, Any]]:
    return [{"row": row, "reason": reason} for row, reason in refused.items()]


def _compared(found: Predictions, one: Compared) -> dict[str, Any]:
    result: dict[str, Any] = {"before": one.name, "after": one.other_name}
    if one.problem:
        return result | {"problem": one.problem}
    if one.flips:
        result["flips"] = _flips(found, one, one.flips)
    if one.differences:
        result["differences"] = _differences(found, one, one.differences)
    if one.right:
        result["right"] = {"before": one.right[0], "after": one.right[1]}
    return result


def _flips(found: Predictions, one: Compared, flips: Flips) -> dict[str, Any]:
    return {
        "count": flips.count,
        "total": flips.total,
        "share": flips.share,
        "examples": [
            {"row": found.row(one, flip.position), "before": flip.before, "after": flip.after}
            for flip in flips.examples
        ],
        "kinds": [{"before": before, "after": after, "count": count} for before, after, count in flips.kinds],
    }


def _differences(found: Predictions, one: Compared, apart: Differences) -> dict[str, Any]:
    return {
        "count": apart.count,
        "unmatched": apart.unmatched,
        "largest": apart.largest,
        "largest_in_row": found.row(one, apart.largest_at) if one.before and apart.count else None,
        "mean": apart.mean,
        "p50": apart.p50,
        "p95": apart.p95,
        "p99": apart.p99,
        "histogram": [{"low": each.low, "high": each.high, "count": each.count} for each in apart.bins],
    }

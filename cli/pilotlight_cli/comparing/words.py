"""The texts of a report that the terminal, Markdown, HTML and the plot share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pilotlight_cli.comparing.numbers import Bin, Flip
from pilotlight_cli.comparing.predictions import Compared, Predictions
from pilotlight_cli.comparing.report import Report
from pilotlight_cli.console import bytes_text

_CONDITIONS = (
    "Milliseconds of the processor: medians of {rounds}, in which both run in turn, each in a fresh process, on one "
    "thread."
)


def conditions(report: Report) -> str:
    """Return how the times were measured."""
    return _CONDITIONS.format(rounds=f"{report.rounds} round{'' if report.rounds == 1 else 's'}")


def facts(report: Report) -> list[tuple[str, str, str]]:
    """Return rows of a table: a fact, and its values before and after."""
    sides = report.sides
    first, second = (side.model for side in sides)
    rows = [
        ("model", sides[0].title, sides[1].title),
        ("runtime", f"{first.format} on {first.runtime.engine}", f"{second.format} on {second.runtime.engine}"),
        ("size", bytes_text(sides[0].size), bytes_text(sides[1].size)),
        ("load", *(f"{timing.load_ms:.1f} ms" for timing in report.timings)),
        ("one row", *(_row_text(timing.row_ms) for timing in report.timings)),
    ]
    for name in sorted({*first.runtime.packages, *second.runtime.packages}):
        old, new = (model.runtime.packages.get(name, "none") for model in (first, second))
        if old != new:
            rows.append((name, old, new))
    return [(row[0], row[1], row[2]) for row in rows]


def heading(report: Report, found: Predictions) -> str:
    """Return a heading for the predictions."""
    return f"Predictions for {len(found.rows)} row{'' if len(found.rows) == 1 else 's'} of {report.source}"


def refusals(report: Report, found: Predictions) -> Iterator[tuple[str, str, str]]:
    """Yield, for each model that refuses rows: the model, how many, and the first with its reason."""
    for side, refused in zip(report.sides, found.refused, strict=True):
        if refused:
            row, reason = next(iter(refused.items()))
            yield side.name, f"refuses {len(refused)} row{'' if len(refused) == 1 else 's'}", f"row {row}: {reason}"


def statistics(found: Predictions, one: Compared) -> list[tuple[str, str]]:
    """Return what there is to say of an output, as pairs of a name and a number."""
    rows: list[tuple[str, str]] = []
    if one.flips:
        rows.append(("differ", f"{one.flips.count} of {one.flips.total} ({percent(one.flips.share)})"))
    if one.right:
        total = len(found.rows)
        rows.append(
            ("as the file expects", f"{_share(one.right[0], total)} before, {_share(one.right[1], total)} after")
        )
    apart = one.differences
    if apart and apart.count:
        place = apart.largest_at
        values = ""  # of a shadow nobody has kept them
        if one.before:
            values = f" (row {found.row(one, place)}: {number(one.before[place])} -> {number(one.after[place])})"
        rows.append(("largest difference", f"{apart.largest:.3g}{values}"))
        rows += [(name, f"{getattr(apart, name):.3g}") for name in ("mean", "p50", "p95", "p99")]
    if apart and apart.unmatched:
        rows.append(("finite in one model alone", str(apart.unmatched)))
    return rows


def flip(found: Predictions, one: Compared, example: Flip) -> tuple[str, str, str]:
    """Return an example of values that differ: the row, and the texts before and after."""
    return f"row {found.row(one, example.position)}", str(example.before), str(example.after)


def bars(bins: Sequence[Bin]) -> list[tuple[str, int]]:
    """Return the label and the count of each bar of a histogram."""
    return [("equal" if each.high == 0 else f"{each.low:g} to {each.high:g}", each.count) for each in bins]


def percent(share: float) -> str:
    """Return a share as a percentage that is 0 % or 100 % only if it is exactly that."""
    text = f"{100 * share:.2f}"
    if 0 < share < 1 and text in ("0.00", "100.00"):
        text = "less than 0.01" if text == "0.00" else "more than 99.99"
    return f"{text} %"


def output_name(one: Compared) -> str:
    """Return the name of an output, or both if they differ."""
    return one.name if one.name == one.other_name else f"{one.name} / {one.other_name}"


def number(value: object) -> str:
    """Return a value with six digits."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _share(count: int, total: int) -> str:
    return f"{count} of {total} ({percent(count / total)})" if total else "0 of 0"


def _row_text(row_ms: float | None) -> str:
    return "not measured" if row_ms is None else f"{row_ms:.3f} ms"

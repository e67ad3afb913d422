"""The texts of a report that the terminal, Markdown and HTML share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pilotlight_cli.comparing.numbers import Bin, Differences
from pilotlight_cli.comparing.predictions import Compared, Predictions
from pilotlight_cli.comparing.report import Report
from pilotlight_cli.console import bytes_text

CONDITIONS = (
    "Milliseconds of the processor, medians of {rounds} rounds in which both run in turn, each in a fresh process, on "
    "one thread."
)


def facts(report: Report) -> list[tuple[str, str, str]]:
    """Return rows of a table: a fact, and its values before and after."""
    sides = report.sides
    models = [side.model for side in sides]
    rows = [
        ("model", *(side.title for side in sides)),
        ("runtime", *(f"{model.format} on {model.runtime.engine}" for model in models)),
        ("size", *(bytes_text(side.size) for side in sides)),
        ("load", *(f"{timing.load_ms:.1f} ms" for timing in report.timings)),
        ("one row", *(_row_text(timing.row_ms) for timing in report.timings)),
    ]
    names = sorted({*models[0].runtime.packages, *models[1].runtime.packages})
    for name in names:
        old, new = (model.runtime.packages.get(name, "none") for model in models)
        if old != new:
            rows.append((name, old, new))
    return [(fact, old, new) for fact, old, new in rows]


def sentences(found: Predictions, one: Compared) -> Iterator[str]:
    """Yield what there is to say of an output."""
    if one.problem:
        yield f"cannot be compared: {one.problem}"
    if one.flips:
        flips = one.flips
        yield f"{flips.count} of {flips.total} differ ({percent(flips.share)})"
        if flips.kinds:
            yield "; ".join(f"{count} from {old} to {new}" for old, new, count in flips.kinds)
        if flips.examples:
            examples = (
                f"row {found.row(one, flip.position)}: {flip.before} -> {flip.after}" for flip in flips.examples
            )
            yield "; ".join(examples)
    if one.right:
        total = len(found.rows)
        yield f"as the file expects: {_share(one.right[0], total)} before, {_share(one.right[1], total)} after"
    if one.differences:
        yield from _apart(found, one, one.differences)


def refusals(report: Report, found: Predictions) -> Iterator[str]:
    """Yield a sentence for each model that refuses rows."""
    for side, refused in zip(report.sides, found.refused, strict=True):
        if refused:
            row, reason = next(iter(refused.items()))
            yield f"{side.name} refuses {len(refused)} rows, such as row {row}: {reason}"


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


def _apart(found: Predictions, one: Compared, apart: Differences) -> Iterator[str]:
    if apart.count:
        yield (
            f"differences of {apart.count} values: largest {apart.largest:.3g} (row "
            f"{found.row(one, apart.largest_at)}: {_number(one.before[apart.largest_at])} -> "
            f"{_number(one.after[apart.largest_at])}), mean {apart.mean:.3g}, p50 {apart.p50:.3g}, p95 "
            f"{apart.p95:.3g}, p99 {apart.p99:.3g}"
        )
    if apart.unmatched:
        yield f"{apart.unmatched} values are not finite in one model alone"


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _share(count: int, total: int) -> str:
    return f"{count} of {total} ({percent(count / total)})" if total else "0 of 0"


def _row_text(row_ms: float | None) -> str:
    return "not measured" if row_ms is None else f"{row_ms:.3f} ms"

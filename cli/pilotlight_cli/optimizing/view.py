"""The output of `pilotlight optimize`: a table with a summary for people, a JSON document for programs."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from pilotlight_cli.console import bytes_text, table
from pilotlight_cli.optimizing import Report
from pilotlight_cli.optimizing.choice import Evaluation, break_evens, total_ms

_CONDITIONS = (
    "Milliseconds of the processor, medians of {rounds}: each load in a fresh process, on one thread, with the files "
    "cached. Apart: the largest difference to the original's outputs. Ratio: the time for the load and {requests}, "
    "relative to the original's."
)


def shown(report: Report) -> RenderableType:
    """Return the table, which fits into 80 columns, the conditions of the measurement, and a summary."""
    headers = ("", "form", "files", "load", "first", "warm", "memory", "apart", "ratio")
    rows = [_row(evaluation, kept=evaluation is report.kept) for evaluation in report.evaluations]
    conditions = _CONDITIONS.format(rounds=_count(report.rounds, "round"), requests=_count(report.requests, "request"))
    summary = "\n".join(_summary(report))
    return Group(table(headers, rows, right=headers[2:]), Text(), Text(conditions, "dim"), Text(), Text(summary))


def document(report: Report) -> dict[str, object]:
    """Return the report as a JSON document."""
    return {
        "model": str(report.file),
        "kept": report.kept.candidate.name,
        "improved": report.improved,
        "requests": report.requests,
        "rounds": report.rounds,
        "forms": [_evaluation(evaluation) for evaluation in report.evaluations],
        "notes": list(report.notes),
    }


def _row(evaluation: Evaluation, *, kept: bool) -> tuple[str | Text, ...]:
    found = evaluation.measured
    apart = "shape" if found.largest is None else f"{found.largest:.0e}" if found.largest else "0"
    return (
        Text(">", "bold green") if kept else "",
        Text(evaluation.candidate.name, "bold" if kept else ""),
        bytes_text(evaluation.candidate.size),
        f"{found.load_ms:.1f}",
        f"{found.first_ms:.1f}",
        f"{found.warm_ms:.2f}",
        f"{found.peak_bytes / 1e6:.0f} MB",
        apart if found.agrees else Text(apart, "bold red"),
        f"{evaluation.ratio.median:.2f}",
    )


def _summary(report: Report) -> Iterator[str]:
    kept, original, count = report.kept, report.evaluations[0], _count(report.requests, "request")
    wrong = [f"'{each.candidate.name}'" for each in report.evaluations if not each.measured.agrees]
    if wrong:
        yield f"Outputs differ from the original's beyond the tolerance: {', '.join(wrong)}."
    if report.improved:
        yield (
            f"{report.file} is the model {kept.candidate.name}: {_ms(kept.total_ms)} for {count} instead of "
            f"{_ms(original.total_ms)} (ratio {kept.ratio.low:.2f} to {kept.ratio.high:.2f} in the middle half of the "
            f"rounds), {_ms(total_ms(kept.measured, 1))} until the first answer instead of "
            f"{_ms(total_ms(original.measured, 1))}."
        )
    else:
        total = _ms(original.total_ms)
        yield f"No form is measurably faster: {report.file} is the model as it is, {total} for {count}."
    below, above = break_evens(kept, report.evaluations)
    if below is not None:
        other = below.other
        yield (
            f"Up to about {below.requests:.0f} requests per instance '{other.candidate.name}' is faster, with its "
            f"first answer after {_ms(total_ms(other.measured, 1))}."
        )
    if above is not None:
        yield f"From about {above.requests:.0f} requests on '{above.other.candidate.name}' is faster."
    if below is not None or above is not None:
        yield "Set --requests to the number of requests that an instance serves."


def _evaluation(evaluation: Evaluation) -> dict[str, object]:
    candidate, found, ratio = evaluation.candidate, evaluation.measured, evaluation.ratio
    return {
        "form": candidate.name,
        "session": {
            "graph_optimization": candidate.session.graph_optimization,
            "prepacking": candidate.session.prepacking,
        },
        "bytes": candidate.size,
        "load_ms": round(found.load_ms, 3),
        "first_ms": round(found.first_ms, 3),
        "warm_ms": round(found.warm_ms, 4),
        "peak_bytes": found.peak_bytes,
        "largest_difference": found.largest,
        "agrees": found.agrees,
        "total_ms": round(evaluation.total_ms, 3),
        "gains": evaluation.gains,
        "ratio": {"median": ratio.median, "low": ratio.low, "high": ratio.high},
    }


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

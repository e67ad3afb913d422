"""What `pilotlight optimize` prints: a table with its verdict for people, a document for other programs."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from pilotlight_cli.console import bytes_text, table
from pilotlight_cli.optimizing import Report
from pilotlight_cli.optimizing.choice import Standing, limits, total_ms

_CONDITIONS = (
    "Milliseconds of the processor, medians of {rounds}: each load in a fresh process, on one thread, with the files "
    "cached. Apart: how far an output is from the original's at most. Ratio: what {requests} cost, with the load, to "
    "what they cost as it is."
)


def shown(report: Report) -> RenderableType:
    """The table, what it was measured under, and the verdict; the table fits into 80 columns."""
    headers = ("", "form", "files", "load", "first", "warm", "memory", "apart", "ratio")
    rows = [_row(standing, kept=standing is report.kept) for standing in report.standings]
    conditions = _CONDITIONS.format(rounds=_count(report.rounds, "round"), requests=_count(report.requests, "request"))
    verdict = "\n".join(_verdict(report))
    return Group(table(headers, rows, right=headers[2:]), Text(), Text(conditions, "dim"), Text(), Text(verdict))


def document(report: Report) -> dict[str, object]:
    """All of it, for another program."""
    return {
        "model": str(report.file),
        "kept": report.kept.candidate.name,
        "improved": report.improved,
        "requests": report.requests,
        "rounds": report.rounds,
        "forms": [_standing(standing) for standing in report.standings],
        "notes": list(report.notes),
    }


def _row(standing: Standing, *, kept: bool) -> tuple[str | Text, ...]:
    found = standing.measured
    apart = "shape" if found.largest is None else f"{found.largest:.0e}" if found.largest else "0"
    return (
        Text(">", "bold green") if kept else "",
        Text(standing.candidate.name, "bold" if kept else ""),
        bytes_text(standing.candidate.size),
        f"{found.load_ms:.1f}",
        f"{found.first_ms:.1f}",
        f"{found.warm_ms:.2f}",
        f"{found.peak_bytes / 1e6:.0f} MB",
        apart if found.agrees else Text(apart, "bold red"),
        f"{standing.ratio.median:.2f}",
    )


def _verdict(report: Report) -> Iterator[str]:
    kept, original, count = report.kept, report.standings[0], _count(report.requests, "request")
    wrong = [f"'{each.candidate.name}'" for each in report.standings if not each.measured.agrees]
    if wrong:
        yield f"Other answers than the original's, beyond the tolerance: {', '.join(wrong)}."
    if report.improved:
        yield (
            f"{report.file} is the model {kept.candidate.name}: {_ms(kept.total_ms)} for {count} instead of "
            f"{_ms(original.total_ms)} (ratio {kept.ratio.low:.2f} to {kept.ratio.high:.2f} in the middle half of the "
            f"rounds), {_ms(total_ms(kept.measured, 1))} until the first answer instead of "
            f"{_ms(total_ms(original.measured, 1))}."
        )
    else:
        yield f"No form is really quicker: {report.file} is the model as it is, {_ms(original.total_ms)} for {count}."
    below, above = limits(kept, report.standings)
    if below is not None:
        other = below.other
        yield (
            f"Up to about {below.requests:.0f} requests of an instance '{other.candidate.name}' is ahead, with its "
            f"first answer after {_ms(total_ms(other.measured, 1))}."
        )
    if above is not None:
        yield f"From about {above.requests:.0f} requests on '{above.other.candidate.name}' is ahead."
    if below is not None or above is not None:
        yield "--requests N says how many yours answers."


def _standing(standing: Standing) -> dict[str, object]:
    candidate, found, ratio = standing.candidate, standing.measured, standing.ratio
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
        "total_ms": round(standing.total_ms, 3),
        "gains": standing.gains,
        "ratio": {"median": ratio.median, "low": ratio.low, "high": ratio.high},
    }


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

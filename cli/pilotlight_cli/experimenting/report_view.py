"""The report on a shadow in the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from pilotlight_cli.comparing.view import output_shown
from pilotlight_cli.experimenting.report import ShadowReport


def shown(report: ShadowReport) -> RenderableType:
    """Return the report: how much was compared, what failed, the times, and each output as `diff` shows it."""
    return Group(*_lines(report))


def _lines(report: ShadowReport) -> Iterator[RenderableType]:
    counts = report.counts
    yield Text(
        f"Predictions for {counts['rows']} rows of requests: {report.control}, and {report.shadow} as its shadow"
    )
    dropped = f", {counts['dropped']} dropped" if counts["dropped"] else ""
    yield Text(f"{counts['compared']} of {counts['calls']} calls compared{dropped}", "dim")
    if report.failed:
        reasons = ", ".join(f"{times} {reason}" for reason, times in sorted(report.failed.items()))
        yield Text(f"{report.shadow} failed: {reasons}", "yellow")
    if report.ratio is not None:
        yield Text(f"latency: {report.ratio:.2f} times that of {report.control}")
    for one in report.predictions.outputs:
        yield from output_shown(report.predictions, one)
    if report.error:
        yield Text(f"quantiles are within {100 * report.error:.1g} %", "dim")

"""A report in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from pilotlight_cli.commands.views import contract
from pilotlight_cli.comparing.numbers import Bin
from pilotlight_cli.comparing.predictions import Predictions
from pilotlight_cli.comparing.report import Report
from pilotlight_cli.comparing.words import (
    CONDITIONS,
    bars,
    facts,
    output_name,
    refusals,
    sentences,
)
from pilotlight_cli.console import output, table

_WIDTH = 40  # of the longest bar


def shown(report: Report) -> RenderableType:
    """Return the report: facts side by side, the contract, the predictions with a histogram of their differences."""
    names = [side.name for side in report.sides]
    return Group(
        table(("", *names), facts(report)),
        Text(),
        Text(CONDITIONS.format(rounds=report.rounds), "dim"),
        Text(),
        contract(report.changes) if report.changes else Text("The contract is the same."),
        *(_predictions(report, report.predictions) if report.predictions else ()),
    )


def _predictions(report: Report, found: Predictions) -> Iterator[RenderableType]:
    yield Text()
    yield Text(f"Predictions for {len(found.rows)} rows of {report.source}", "bold")
    for sentence in refusals(report, found):
        yield Text(sentence, "yellow")
    for one in found.outputs:
        yield Text()
        yield Text(output_name(one), "bold")
        for sentence in sentences(found, one):
            yield Text(f"  {sentence}")
        if one.differences and one.differences.count:
            yield _histogram(one.differences.bins)


def _histogram(bins: Sequence[Bin]) -> RenderableType:
    most, mark = max(each.count for each in bins), "\u2588" if output().encoding.startswith("utf") else "#"
    rows = [(f"  {label}", str(count), Text(mark * _length(count, most), "cyan")) for label, count in bars(bins)]
    return table(("  difference", "values", ""), rows, right=("  difference", "values"))


def _length(count: int, most: int) -> int:
    """Return the length of a bar; a single value shows."""
    return max(round(_WIDTH * count / most), 1) if count else 0

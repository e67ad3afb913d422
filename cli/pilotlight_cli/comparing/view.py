"""A report in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from pilotlight_cli.commands.views import contract
from pilotlight_cli.comparing import words
from pilotlight_cli.comparing.numbers import Bin
from pilotlight_cli.comparing.predictions import Compared, Predictions
from pilotlight_cli.comparing.report import Report
from pilotlight_cli.console import bar, table


def shown(report: Report) -> RenderableType:
    """Return the report: facts side by side, the contract, the predictions with a histogram of their differences."""
    names = [side.name for side in report.sides]
    return Group(
        table(("", *names), words.facts(report)),
        Text(),
        Text(words.conditions(report), "dim"),
        Text(),
        contract(report.changes) if report.changes else Text("The contract is the same."),
        *(_predictions(report, report.predictions) if report.predictions else ()),
    )


def _predictions(report: Report, found: Predictions) -> Iterator[RenderableType]:
    yield Text()
    yield Text(words.heading(report, found), "bold")
    for name, count, example in words.refusals(report, found):
        yield Text(f"{name} {count}, such as {example}", "yellow")
    for one in found.outputs:
        yield from output_shown(found, one)


def output_shown(found: Predictions, one: Compared) -> Iterator[RenderableType]:
    """Yield what there is to say of an output, with a histogram of its differences."""
    yield Text()
    yield Text(words.output_name(one), "bold")
    if one.problem:
        yield Text(f"  cannot be compared: {one.problem}", "yellow")
    for name, value in words.statistics(found, one):
        yield Text(f"  {name}: {value}")
    if one.flips and one.flips.count:
        yield Text("  " + "; ".join(f"{count} from {old} to {new}" for old, new, count in one.flips.kinds))
        for example in one.flips.examples:
            row, old, new = words.flip(found, one, example)
            yield Text(f"  {row}: {old} -> {new}")
    if one.differences and one.differences.count:
        yield _histogram(one.differences.bins)


def _histogram(bins: Sequence[Bin]) -> RenderableType:
    most = max(each.count for each in bins)
    rows = [(f"  {label}", str(count), bar(count, most)) for label, count in words.bars(bins)]
    return table(("  difference", "values", ""), rows, right=("  difference", "values"))

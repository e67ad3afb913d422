"""The command that compares rows: drift."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pilotlight.drift.verdict import LEAST_ROWS, LEVELS, MODERATE
from pilotlight_cli import console
from pilotlight_cli.commands.options import (
    AsJson,
    FunctionName,
    LockPath,
    LogCloud,
    LogEnvironment,
    LogLines,
    ModelName,
)
from pilotlight_cli.extras import needing
from pilotlight_cli.project.folders import selected

if TYPE_CHECKING:
    from pilotlight.drift.verdict import Finding
    from pilotlight_cli.drifting.report import Report

# The event of a function's lines of counts (`pilotlight.drift.watch`).
EVENT = "drift"


def drift(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="REFERENCE", help="Rows that the model was made for: files as for 'batch'.", show_default=False
        ),
    ] = "",
    current: Annotated[str, typer.Argument(metavar="CURRENT", help="Rows of today.", show_default=False)] = "",
    *,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="Instead of files: what the function counted, like 24h.")
    ] = "",
    environment: LogEnvironment = "",
    cloud: LogCloud = "aws",
    function: FunctionName = "predict",
    lines: LogLines = None,
    model: ModelName = "",
    lock: LockPath = None,
    fail_on: Annotated[
        Literal["moderate", "large"] | None,
        typer.Option("--fail-on", help="Exit with 1 if a column has moved so far.", show_default=False),
    ] = None,
    json: AsJson = False,
) -> None:
    """Compare rows of today with those that the pinned model was made for, column by column."""
    given = [bool(reference or current), bool(since), lines is not None]
    if sum(given) != 1 or (given[0] and not current) or bool(since) != bool(environment):
        raise typer.BadParameter("expected REFERENCE and CURRENT, or --since with --env, or --lines")
    chosen = selected(model, lock)
    if given[0]:
        with needing("batch", "'pilotlight drift'"):
            from pilotlight_cli.drifting.compare import compare

        with console.stepping(f"Comparing {current} with {reference}") as step:
            found = compare(reference, current, chosen.lock, step)
    else:
        from pilotlight_cli.commands.logged import logged
        from pilotlight_cli.drifting.lines import judge_lines
        from pilotlight_cli.records import parse_since

        now = datetime.now(UTC)
        begin = parse_since(since, now) if since else now
        with console.doing("Reading the lines of the function"):
            records = logged(
                chosen, (EVENT,), begin, environment=environment, cloud=cloud, lines=lines, function=function
            )
            found = judge_lines(records, chosen.lock)
    if json:
        console.print_json(_document(found))
    else:
        _show(found)
        console.say(f"A column has moved if that is no chance and its index (PSI) is {MODERATE} or more")
    if min(found.rows) < LEAST_ROWS:
        console.warning(f"nothing is said to have moved with fewer than {LEAST_ROWS} rows on a side")
    for side, rows, refused in zip((reference, current), found.rows, found.refused, strict=True):
        if refused:
            console.warning(f"{side}: {refused:,} of {rows:,} rows are not counted, since the model refuses them")
    least = LEVELS.index(fail_on) if fail_on else len(LEVELS)
    if any(LEVELS.index(each.level) >= least for each in found.findings):
        raise typer.Exit(1)


def _show(found: Report) -> None:
    rows = [
        (
            each.name,
            each.level,
            f"{each.psi:.3f}",
            f"{each.p:.2g}",
            f"{each.missing[0]:.1%} -> {each.missing[1]:.1%}",
            _moved(each),
        )
        for each in found.findings
    ]
    headers = ("column", "drift", "PSI", "p", "missing", "most changed")
    console.output().print(console.table(headers, rows, right=("PSI", "p")))
    moved = sum(each.level != "none" for each in found.findings)
    before, after = found.rows
    part = f"; {found.seen:,} were seen" if found.seen > after else ""
    console.output().print(f"{moved} of {len(found.findings)} columns moved, of {before:,} and {after:,} rows{part}")


def _moved(found: Finding) -> str:
    name, before, after = found.moved
    return f"{name}: {before:.1%} -> {after:.1%}"


def _document(found: Report) -> dict[str, object]:
    return {
        "rows": {"reference": found.rows[0], "current": found.rows[1]},
        **({"seen": found.seen} if found.seen else {}),
        "refused": {"reference": found.refused[0], "current": found.refused[1]},
        "columns": [
            {
                "name": each.name,
                "drift": each.level,
                "psi": each.psi,
                "p": each.p,
                "missing": {"reference": each.missing[0], "current": each.missing[1]},
                "outside": {"reference": each.outside[0], "current": each.outside[1]},
                "most_changed": {"bin": each.moved[0], "reference": each.moved[1], "current": each.moved[2]},
            }
            for each in found.findings
        ],
    }

"""The command diff."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilotlight_cli import console
from pilotlight_cli.commands.options import AsJson, MaxMemory, MaxSeconds
from pilotlight_cli.project.folders import find_project
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sandbox.limits import LimitOptions
from pilotlight_cli.stores import Store, open_store

if TYPE_CHECKING:
    from pilotlight_cli.comparing.report import Report

_SIDE = "Version (NAME:VERSION, NAME@ALIAS), model file, model.lock, or COMMIT:model.lock of git."


def _conditions(texts: list[str] | None) -> list[str]:
    for text in texts or ():
        if not re.fullmatch(r"breaking|flips:(0(\.[0-9]+)?|1)", text):
            raise UsageError(f"--fail-on {text}: expected breaking, or flips:SHARE like flips:0.01")
    return texts or []


def diff(
    before: Annotated[str, typer.Argument(metavar="A", help=_SIDE, show_default=False)],
    after: Annotated[str, typer.Argument(metavar="B", help=_SIDE, show_default=False)],
    *,
    rows: Annotated[
        Path | None,
        typer.Option(
            "--rows",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Rows to predict, in CSV or JSON (default: the golden samples of both).",
            show_default=False,
        ),
    ] = None,
    store: Annotated[
        str,
        typer.Option(
            "--store",
            metavar="URL",
            envvar="PILOTLIGHT_STORE",
            help="Model store of the versions (default: the project's).",
            show_default=False,
        ),
    ] = "",
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How often each model is loaded and timed.")] = 5,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on",
            metavar="CONDITION",
            callback=_conditions,
            help="Exit with 1 for a breaking contract (breaking), or for more flips than a share (flips:0.01). "
            "Repeatable.",
            show_default=False,
        ),
    ] = None,
    max_memory: MaxMemory = None,
    max_seconds: MaxSeconds = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="PNG", help="Draw the differences into this file.", show_default=False),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write the report as a single page.", show_default=False),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the result as Markdown, for a pull request.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Compare two models: contract, size, speed, and predictions."""
    from pilotlight_cli.comparing.report import compare_sides
    from pilotlight_cli.comparing.sides import open_side
    from pilotlight_cli.registry.json_document import decode_text
    from pilotlight_cli.regular_files import read

    if markdown and json:
        raise UsageError("--markdown and --json are mutually exclusive")
    if plot:  # a missing extra shows before the comparison takes its time
        from pilotlight_cli.comparing.plot import draw

    @cache
    def opened() -> Store:
        return open_store(store or find_project().store)

    text = decode_text(read(rows), str(rows)) if rows else ""
    limits = LimitOptions(max_memory, max_seconds)
    with console.stepping(f"Comparing {before} and {after}") as step:
        step("reading the models")
        sides = (open_side(before, opened, limits), open_side(after, opened, limits))
        found = compare_sides(sides, text, rows.name if rows else "", rounds, step)
    for note in found.notes:
        console.note(note)
    if plot:
        draw(found, plot)
        console.say(f"Wrote {plot}")
    if html:
        _write_page(found, html)
    _print(found, "json" if json else "markdown" if markdown else "")
    failed = _failures(found, fail_on or [])
    for problem in failed:
        console.error(problem)
    if failed:
        raise typer.Exit(1)


def _write_page(found: Report, file: Path) -> None:
    from pilotlight_cli.comparing.page import page

    file.write_text(page(found), encoding="utf-8")
    console.say(f"Wrote {file}")


def _print(found: Report, form: str) -> None:
    from pilotlight_cli.comparing import report, view
    from pilotlight_cli.comparing.markdown import markdown

    if form == "json":
        console.print_json(report.document(found))
    elif form == "markdown":
        console.output().print(markdown(found), soft_wrap=True)
    else:
        console.output().print(view.shown(found))


def _failures(found: Report, conditions: list[str]) -> list[str]:
    problems = []
    for condition in conditions:
        limit = float(condition.partition(":")[2] or 0)
        if condition == "breaking" and found.breaking:
            problems.append(f"the contract breaks callers: {', '.join(change.kind for change in found.breaking)}")
        elif condition != "breaking" and found.predictions is None:
            problems.append(f"--fail-on {condition}: no predictions were compared; give rows with --rows")
        elif condition != "breaking" and found.predictions and found.predictions.flipped > limit:
            problems.append(f"{found.predictions.flipped:.2%} of the labels flip, expected at most {limit:.2%}")
    return problems

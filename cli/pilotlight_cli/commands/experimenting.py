"""`pilotlight experiment`: an A/B test of versions beside the pinned one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pilotlight_cli import console
from pilotlight_cli.commands.options import AsJson, Cloud, LockPath, ModelName, Reference, StoreUrl
from pilotlight_cli.project.folders import selected
from pilotlight_cli.stores import open_store

if TYPE_CHECKING:
    from pilotlight_cli.experimenting.pin import State

app = typer.Typer(no_args_is_help=True, help="Serve other versions to a share of the units: an A/B test.")


@app.command()
def pin(
    *,
    reference: Reference,
    weight: Annotated[float, typer.Option("--weight", metavar="PERCENT", help="Share of the units, in percent.")],
    unit: Annotated[
        str,
        typer.Option(
            "--unit",
            metavar="UNIT",
            help="Where the unit's id is, for a new experiment: header:NAME, field:NAME, claim:NAME or request.",
            show_default=False,
        ),
    ] = "",
    without_unit: Annotated[
        Literal["control", "random"] | None,
        typer.Option(
            "--without-unit", help="What a request without an id gets (default: control).", show_default=False
        ),
    ] = None,
    start: Annotated[
        str, typer.Option("--start", metavar="TIME", help="Start, like 2026-07-31T12:00:00Z.", show_default=False)
    ] = "",
    end: Annotated[
        str, typer.Option("--end", metavar="TIME", help="End: from then on all get the control.", show_default=False)
    ] = "",
    salt: Annotated[
        str, typer.Option("--salt", help="Salt of a new experiment (default: a new one).", show_default=False)
    ] = "",
    store: StoreUrl = "",
    model: ModelName = "",
    lock: LockPath = None,
    json: AsJson = False,
) -> None:
    """Give a version a share of the units, or change its share: write experiment.lock."""
    from pilotlight_cli.experimenting.pin import Terms, pin_treatment

    path, terms = selected(model, lock).lock, Terms(unit, without_unit or "", salt, start, end)
    with console.doing(f"Pinning {reference}"):
        state = pin_treatment(open_store(store), reference, path, weight, terms)
    _show(state, as_json=json)


@app.command()
def show(model: ModelName = "", lock: LockPath = None, json: AsJson = False) -> None:
    """Show the experiment beside the lock: variants, shares, unit, sizes."""
    from pilotlight_cli.experimenting.pin import state

    path = selected(model, lock).lock
    _show(state(path), as_json=json)


@app.command()
def status(
    *,
    environment: Annotated[
        str, typer.Option("--env", metavar="ENV", help="Environment whose log to read.", show_default=False)
    ] = "",
    cloud: Annotated[Cloud, typer.Option("--cloud", help="The cloud of the environment.")] = "aws",
    lines: Annotated[
        Path | None,
        typer.Option("--lines", metavar="FILE", help="Log lines of a container; - is stdin.", show_default=False),
    ] = None,
    since: Annotated[
        str, typer.Option("--since", metavar="AGE", help="How far back, like 2h (default: the start, or 30d).")
    ] = "",
    model: ModelName = "",
    lock: LockPath = None,
    json: AsJson = False,
) -> None:
    """Compare the variants by the log of their requests: promote, roll back or hold, and why."""
    from pilotlight_cli.commands.logged import logged
    from pilotlight_cli.drifting.lines import read_lines
    from pilotlight_cli.experimenting import status as now_of
    from pilotlight_cli.experimenting.tally import EVENT
    from pilotlight_cli.experimenting.view import shown
    from pilotlight_cli.records import parse_since

    if bool(environment) == bool(lines) or (since and lines):
        raise typer.BadParameter("expected --env, which may have --since, or --lines")
    chosen, now = selected(model, lock), datetime.now(UTC)
    experiment = now_of.experiment_of(chosen.lock)
    with console.doing("Reading the lines of the function"):
        if lines:
            records: Iterable[Mapping[str, Any]] = read_lines(lines)
        else:
            begin = parse_since(since, now) if since else now_of.start_of(experiment, parse_since("30d", now))
            records = logged(chosen, environment, cloud, (EVENT,), begin, experiment=experiment.salt)
        found = now_of.status(records, experiment, now)
    if json:
        console.print_json(now_of.document(found))
    else:
        console.output().print(shown(found), soft_wrap=True)


@app.command()
def stop(
    variant: Annotated[
        str,
        typer.Argument(metavar="[NAME:VERSION]", help="Treatment to stop (default: all).", show_default=False),
    ] = "",
    model: ModelName = "",
    lock: LockPath = None,
    json: AsJson = False,
) -> None:
    """Stop the experiment, or one treatment: its units get the control."""
    from pilotlight_cli.experimenting.pin import stop as end

    _show(end(selected(model, lock).lock, variant), as_json=json)


def _show(state: State | None, *, as_json: bool) -> None:
    if as_json:
        console.print_json({"experiment": _document(state) if state else None})
        return
    shown = console.output()
    if state is None:
        shown.print("No experiment: all get the pinned version")
        return
    experiment = state.experiment
    control = f"control ({experiment.control.name}:{experiment.control.version})"
    rows = [(control if name == "control" else name, f"{share} %") for name, share in state.shares.items()]
    shown.print(f"{state.path} with the salt {experiment.salt}", soft_wrap=True)
    shown.print(console.table(("variant", "share"), rows, right=("share",)))
    shown.print(f"unit: {experiment.unit}{_without(state)}{_period(state)}", soft_wrap=True)
    shown.print(state.footprint, soft_wrap=True)
    shown.print(f"one engine for all: {state.libraries}", soft_wrap=True)


def _without(state: State) -> str:
    if state.experiment.unit == "request":
        return ", each at random"
    return f"; without one: {'at random' if state.experiment.is_random_without else 'control'}"


def _period(state: State) -> str:
    start, end = state.experiment.start, state.experiment.end
    return (f"; from {start}" if start else "") + (f"; until {end}" if end else "")


def _document(state: State) -> dict[str, object]:
    experiment = state.experiment
    return {
        "file": str(state.path),
        "salt": experiment.salt,
        "unit": experiment.unit,
        "start": experiment.start or None,
        "end": experiment.end or None,
        "shares": {variant: float(share) for variant, share in state.shares.items()},
        "footprint": state.footprint,
        "libraries": state.libraries,
    }

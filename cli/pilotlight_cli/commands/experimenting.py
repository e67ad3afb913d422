"""`pilotlight experiment`: an A/B test of versions beside the pinned one, and a shadow of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pilotlight_cli import console
from pilotlight_cli.commands.options import (
    AsJson,
    LockPath,
    LogCloud,
    LogEnvironment,
    LogLines,
    ModelName,
    Reference,
    StoreUrl,
)
from pilotlight_cli.project.folders import selected
from pilotlight_cli.records import parse_since
from pilotlight_cli.stores import open_store

if TYPE_CHECKING:
    from pilotlight_cli.experimenting.pin import State
    from pilotlight_cli.experimenting.shadow import Shadowed

app = typer.Typer(no_args_is_help=True, help="Run other versions beside the pinned one: an A/B test, a shadow.")


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
    _show(path, state, as_json=json)


@app.command()
def shadow(
    *,
    reference: Reference,
    sample: Annotated[
        float, typer.Option("--sample", metavar="PERCENT", help="Share of the requests that it sees, in percent.")
    ] = 100,
    store: StoreUrl = "",
    model: ModelName = "",
    lock: LockPath = None,
    json: AsJson = False,
) -> None:
    """Let a version see the same inputs, and compare its answers: write shadow.lock."""
    from pilotlight_cli.experimenting.shadow import pin_shadow

    path = selected(model, lock).lock
    with console.doing(f"Pinning {reference}"):
        found = pin_shadow(open_store(store), reference, path, sample)
    if json:
        console.print_json({"shadow": _shadow_document(found)})
    else:
        _show_shadow(found)


@app.command()
def report(
    *,
    environment: LogEnvironment = "",
    cloud: LogCloud = "aws",
    lines: LogLines = None,
    since: Annotated[
        str, typer.Option("--since", metavar="AGE", help="How far back, like 2h (default: 24h).", show_default=False)
    ] = "",
    model: ModelName = "",
    lock: LockPath = None,
    json: AsJson = False,
) -> None:
    """Add up what a shadow's lines in the log say, in the words of diff."""
    from pilotlight_cli.commands.logged import check_place, logged
    from pilotlight_cli.experimenting.report import EVENT, document, summed
    from pilotlight_cli.experimenting.report_view import shown

    check_place(environment, lines, since)
    with console.doing("Reading the lines of the function"):
        begin = parse_since(since or "24h", datetime.now(UTC))
        reports = summed(
            logged(selected(model, lock), (EVENT,), begin, environment=environment, cloud=cloud, lines=lines)
        )
    if json:
        console.print_json({"shadows": [document(one) for one in reports]})
    elif not reports:
        console.output().print("No lines of a shadow: a function with one writes the first with its first request")
    for one in () if json else reports:
        console.output().print(shown(one), soft_wrap=True)


@app.command()
def show(model: ModelName = "", lock: LockPath = None, json: AsJson = False) -> None:
    """Show the experiment and the shadow beside the lock: variants, shares, unit, sizes."""
    from pilotlight_cli.experimenting.pin import state

    path = selected(model, lock).lock
    _show(path, state(path), as_json=json)


@app.command()
def status(
    *,
    environment: LogEnvironment = "",
    cloud: LogCloud = "aws",
    lines: LogLines = None,
    since: Annotated[
        str,
        typer.Option(
            "--since", metavar="AGE", help="How far back, like 2h (default: the start, or 30d).", show_default=False
        ),
    ] = "",
    model: ModelName = "",
    lock: LockPath = None,
    json: AsJson = False,
) -> None:
    """Compare the variants by the log of their requests: promote, roll back or hold, and why."""
    from pilotlight_cli.commands.logged import check_place, logged
    from pilotlight_cli.experimenting import status as now_of
    from pilotlight_cli.experimenting.tally import EVENT
    from pilotlight_cli.experimenting.view import shown

    check_place(environment, lines, since)
    chosen, now = selected(model, lock), datetime.now(UTC)
    experiment = now_of.experiment_of(chosen.lock)
    begin = parse_since(since, now) if since else now_of.start_of(experiment, parse_since("30d", now))
    with console.doing("Reading the lines of the function"):
        records = logged(
            chosen,
            (EVENT,),
            begin,
            environment=environment,
            cloud=cloud,
            lines=lines,
            experiment=experiment.salt,
        )
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
    """Stop the experiment and the shadow, or one version of them: a treatment's units get the control."""
    from pilotlight_cli.experimenting.pin import state
    from pilotlight_cli.experimenting.pin import stop as end
    from pilotlight_cli.experimenting.shadow import stop_shadow

    path = selected(model, lock).lock
    if not stop_shadow(path, variant) or (not variant and state(path) is not None):
        end(path, variant)
    _show(path, state(path), as_json=json)


def _show(lock: Path, state: State | None, *, as_json: bool) -> None:
    from pilotlight_cli.experimenting.shadow import shadowed

    shadow = shadowed(lock)
    if as_json:
        beside = {"shadow": _shadow_document(shadow)} if shadow else {}
        console.print_json({"experiment": _document(state) if state else None, **beside})
        return
    if state:
        _show_experiment(state)
    else:
        console.output().print("No experiment: all get the pinned version")
    if shadow:
        _show_shadow(shadow)


def _show_shadow(found: Shadowed) -> None:
    shown = console.output()
    shown.print(f"{found.path}: {found.shadow.variant} sees {found.sample} % of the requests", soft_wrap=True)
    shown.print(found.footprint, soft_wrap=True)


def _shadow_document(found: Shadowed) -> dict[str, object]:
    return {
        "file": str(found.path),
        "version": found.shadow.variant,
        "sample": float(found.sample),
        "footprint": found.footprint,
    }


def _show_experiment(state: State) -> None:
    shown = console.output()
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

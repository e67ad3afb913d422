"""Commands for a project as a whole: status, summary, upgrade."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pilotlight_cli import console
from pilotlight_cli.commands.options import AsJson, ModelName
from pilotlight_cli.project import ProjectUsageError
from pilotlight_cli.project.folders import find_project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from pilotlight_cli.project.status import Deployment, ModelStatus, Pin, Share
    from pilotlight_cli.project.upgrade import Step

_DIGITS = 12

_STEPS = {
    "add": "add",
    "replace": "replace",
    "merge": "merge with your edits",
    "conflict": "merge with your edits, with conflicts to resolve",
    "beside": "keep your edited file, whose original git does not have, and write {path}.new",
    "remove": "remove",
    "keep": "keep: it is edited, or not a regular file",
}
_UNFINISHED = {
    "conflict": "{path} has conflicts between your edits and the release's; resolve them where <<<<<<< marks them",
    "beside": "{path} was edited and is unchanged; merge {path}.new into it, and delete that file",
}


def status(
    context: typer.Context,
    *,
    model: ModelName = "",
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the clouds.")] = False,
    json: AsJson = False,
) -> None:
    """Show what is pinned, what the project's store has, and what serves in each environment."""
    if context.invoked_subcommand:
        return
    from pilotlight_cli.project.status import read_status

    project = find_project()
    with console.doing("Reading locks and the store" if offline else "Reading locks, the store and the clouds"):
        found = read_status(project, [project.model(model)] if model else project.models(), offline=offline)
    if json:
        documents = [_document(one) for one in found]
        console.print_json({"project": project.name, "store": project.store, "models": documents})
    else:
        console.output().print(_pins(found))
        if not offline:
            console.output().print()
            console.output().print(_places(found))
            if any(place.reason for one in found for place in one.deployments):
                console.note("'pilotlight status --json' has the reasons")
    problems = [one.problem for one in found if one.problem]
    for problem in problems:
        console.error(problem)
    if problems:
        raise typer.Exit(1)


def summary(
    base: Annotated[
        str, typer.Option("--base", metavar="REF", help="Commit to compare with, like origin/main.", show_default=False)
    ],
    *,
    compare: Annotated[
        bool, typer.Option("--compare", help="Run both versions of a pin on their golden samples and compare them.")
    ] = False,
) -> None:
    """Print what the working tree changes in the pins since a commit, as Markdown for a pull request."""
    from pilotlight_cli.project.summary import summary as summarise

    project = find_project()
    if not compare:
        console.output().print(summarise(project, base), soft_wrap=True)
        return
    from pilotlight_cli.comparing.pins import compare_pins
    from pilotlight_cli.stores import open_store

    store = open_store(project.store)
    with console.stepping("Comparing the pins") as step:
        text = summarise(project, base, lambda before, after: compare_pins(before, after, store, step))
    console.output().print(text, soft_wrap=True)


def upgrade(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
) -> None:
    """Bring the files that 'init' copied to this release, and keep your edits."""
    from pilotlight_cli.project.upgrade import apply_upgrade, plan_upgrade

    planned = plan_upgrade(find_project())
    release, shown = planned.record.release, console.output()
    for step in planned.steps:
        if step.diff:
            shown.print(f"{step.diff.expandtabs()}\n", soft_wrap=True)
    if planned.steps:
        shown.print(console.table(("file", f"with Pilotlight {release}"), [_step_row(step) for step in planned.steps]))
    else:
        shown.print(f"No change: the files are those of Pilotlight {release}")
    if dry_run:
        return
    if planned.steps and not yes:
        _confirm(f"Upgrade the project to Pilotlight {release}?")
    apply_upgrade(planned)
    unfinished = [_UNFINISHED[step.kind].format(path=step.path) for step in planned.steps if step.kind in _UNFINISHED]
    for text in unfinished:
        console.error(text)
    if unfinished:
        raise typer.Exit(1)
    if planned.steps:
        console.note("run 'make test' before you commit")


def _step_row(step: Step) -> tuple[str, str]:
    return step.path, _STEPS[step.kind].format(path=step.path)


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise ProjectUsageError(f"{question} This is not a terminal: add --yes, or --dry-run to change nothing")
    typer.confirm(question, err=True, abort=True)


def _pins(found: Sequence[ModelStatus]) -> Table:
    headers = ("model", "pinned", "format", "engine", "sha256", "in the store", "newest there")
    return console.table(headers, [_pin_row(one) for one in found], right=("newest there",))


def _pin_row(one: ModelStatus) -> tuple[str, ...]:
    stored = ("", "") if one.stored is None else (one.stored.pinned, str(one.stored.newest or ""))
    if one.pin is None:
        return (one.folder.name, "unreadable" if one.problem else "nothing", "", "", "", *stored)
    pinned = one.pin.model
    facts = (f"{pinned.name}:{pinned.version}", pinned.format, pinned.runtime.engine, pinned.files[0].sha256[:_DIGITS])
    return (one.folder.name, *facts, *stored)


def _places(found: Sequence[ModelStatus]) -> Table:
    rows = [
        (one.folder.name, place.cloud, place.environment, place.name, _serves(place))
        for one in found
        for place in one.deployments
    ]
    return console.table(("model", "cloud", "environment", "stack or function", "serves"), rows)


def _serves(place: Deployment) -> str:
    if not place.shares:
        return place.state
    if len(place.shares) == 1:
        [share] = place.shares
        return f"{_kind(share)} ({share.version})"
    return ", ".join(f"{share.percent} % {_kind(share)} ({share.version})" for share in place.shares)


def _kind(share: Share) -> str:
    if share.is_pin is None:
        return "an older release"
    if share.is_pin:
        return "this pin"
    return f"another pin of {share.model}" if share.model else "another pin"


def _document(one: ModelStatus) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": one.folder.name,
        "folder": one.folder.lock.resolve().parent.relative_to(one.folder.root).as_posix(),
        "pinned": _pin_document(one.pin) if one.pin else None,
    }
    if one.problem:
        document["problem"] = one.problem
    if one.stored:
        document["store"] = {"newest": one.stored.newest or None, "pinned": one.stored.pinned or None}
        if one.stored.reason:
            document["store"]["reason"] = one.stored.reason
    if one.deployments:
        document["environments"] = [place_document(place) for place in one.deployments]
    return document


def _pin_document(pin: Pin) -> dict[str, Any]:
    pinned = pin.model
    return {
        "name": pinned.name,
        "version": pinned.version,
        "format": pinned.format,
        "engine": pinned.runtime.engine,
        "files": [{"name": file.name, "size": file.size, "sha256": file.sha256} for file in pinned.files],
        "lock": pin.lock,
    }


def place_document(place: Deployment) -> dict[str, Any]:
    """Return an environment as JSON."""
    document: dict[str, Any] = {
        "cloud": place.cloud,
        "environment": place.environment,
        "name": place.name,
        "state": place.state,
        "traffic": [
            {
                "version": share.version,
                "percent": share.percent,
                "release": share.release or None,
                "model": share.model or None,
                "this_pin": share.is_pin,
            }
            for share in place.shares
        ],
    }
    return document | ({"reason": place.reason} if place.reason else {})

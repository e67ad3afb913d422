"""Commands that write a project's files: init, add."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from pilotlight_cli import console
from pilotlight_cli.project import ProjectUsageError
from pilotlight_cli.project.folders import CLOUDS, find_project, shown
from pilotlight_cli.project.init import add_model, check_new, create, present, project_name


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", file_okay=False, help="Folder of the project; created if missing.")
    ] = Path(),
    *,
    name: Annotated[
        str,
        typer.Option("--name", help="Name of the project and its model (default: the folder's).", show_default=False),
    ] = "",
    cloud: Annotated[
        Literal["aws", "gcp", "both"], typer.Option("--cloud", help="Cloud that the project deploys to.")
    ] = "both",
    ci: Annotated[Literal["github", "none"], typer.Option("--ci", help="CI to write workflows for.")] = "github",
    yes: Annotated[
        bool, typer.Option("--yes", help="Write into a folder with other files without asking; none is overwritten.")
    ] = False,
) -> None:
    """Create a project: settings, templates, tests and workflows around a pinned model."""
    name = project_name(folder, name)
    check_new(folder)
    _confirm(folder, present(folder, ()), yes=yes)
    written = create(folder, name, CLOUDS if cloud == "both" else (cloud,), ci)
    for path in written.kept:
        console.note(f"{path} exists and differs from what a project has; it is unchanged")
    console.output().print(f"Created the project {name} in {shown(folder.resolve())}", soft_wrap=True)


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the model.", show_default=False)],
) -> None:
    """Add another model to the project: models/NAME, with settings of its own."""
    model = add_model(find_project(), name)
    console.output().print(f"Added the model {name} in {model.lock.parent}", soft_wrap=True)


def _confirm(folder: Path, found: list[str], *, yes: bool) -> None:
    """Ask whether to write beside other files. Raise ProjectUsageError without a terminal."""
    if not found or yes:
        return
    has = f"{folder} is not empty: it has {', '.join(found)}"
    if not sys.stdin.isatty():
        raise ProjectUsageError(f"{has}; choose an empty folder, or add the project's files to these with --yes")
    console.say(f"{has}. No file is overwritten.")
    typer.confirm("Add the project's files?", abort=True)

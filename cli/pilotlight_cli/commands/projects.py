"""Commands that write a project's files: init, add."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from pilotlight_cli import console
from pilotlight_cli.commands.options import SignKey
from pilotlight_cli.commands.publishing import inspected, uploaded
from pilotlight_cli.commands.releases import pinned_in, show_pinned
from pilotlight_cli.commands.signing import signing_key
from pilotlight_cli.project import ProjectUsageError
from pilotlight_cli.project.folders import CLOUDS, ModelFolder, Project, find_project, read_project, shown
from pilotlight_cli.project.init import (
    add_model,
    check_addable,
    check_new,
    create,
    folder_size,
    present,
    project_name,
)
from pilotlight_cli.sources import obtained
from pilotlight_cli.stores import open_store

_LARGE_STORE = 50_000_000  # bytes; https://docs.github.com/en/repositories: a warning from 50 MB on, no more than 100

ModelPath = Annotated[
    str | None,
    typer.Option("--model", metavar="PATH", help="Model to publish and pin, as 'pilotlight publish' takes it."),
]
Golden = Annotated[
    Path | None,
    typer.Option("--golden", metavar="FILE", exists=True, dir_okay=False, help="With --model: golden samples."),
]
Signature = Annotated[
    Path | None,
    typer.Option("--signature", metavar="FILE", exists=True, dir_okay=False, help="With --model: the signature."),
]


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", file_okay=False, help="Folder of the project; created if missing.")
    ] = Path(),
    *,
    name: Annotated[
        str,
        typer.Option("--name", help="Name of the project and its model (default: the folder's).", show_default=False),
    ] = "",
    cloud: Annotated[
        Literal["aws", "gcp", "both"], typer.Option("--cloud", help="Cloud that the project deploys to.")
    ] = "both",
    model: ModelPath = None,
    golden: Golden = None,
    signature: Signature = None,
    ci: Annotated[Literal["github", "none"], typer.Option("--ci", help="CI to write workflows for.")] = "github",
    yes: Annotated[
        bool, typer.Option("--yes", help="Write into a folder with other files without asking; none is overwritten.")
    ] = False,
) -> None:
    """Create a project: settings, templates, tests and workflows; with --model around a published and pinned model."""
    name = project_name(folder, name)
    check_new(folder, pins=model is not None)
    _confirm(folder, present(folder, [Path(path) for path in (model, golden, signature) if path]), yes=yes)
    publish = _publishing(name, model, golden, signature)
    written = create(folder, name, CLOUDS if cloud == "both" else (cloud,), ci)
    for path in written.kept:
        console.note(f"{path} exists and differs from the file of a project; it is unchanged")
    project = read_project(folder.resolve())
    where = shown(project.root)
    console.output().print(f"Created the project {name} in {where}: {written.summary}", soft_wrap=True)
    root_model = ModelFolder(name, shown(project.root / "model.lock"), project.root)
    if publish:
        publish(project, root_model)
    _show_next(project, pinned=root_model.lock.exists())


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the model.", show_default=False)],
    model: ModelPath = None,
    golden: Golden = None,
    signature: Signature = None,
    sign: SignKey = None,
) -> None:
    """Add another model to the project, in models/NAME, with settings of its own."""
    project = find_project()
    check_addable(project, name)
    publish = _publishing(name, model, golden, signature, sign)
    added = add_model(project, name)
    console.output().print(f"Added the model {name} in {added.lock.parent}", soft_wrap=True)
    if publish:
        publish(project, added)
    else:
        _show_publish(name, f" --model {name}")


def _publishing(
    name: str, model: str | None, golden: Path | None, signature: Path | None, sign: Path | None = None
) -> Callable[[Project, ModelFolder], None] | None:
    """Inspect a model before anything is written. Return what publishes and pins it; None without a model."""
    if model is None:
        if golden or signature or sign:
            raise ProjectUsageError(
                "--golden, --signature and --sign belong to a model file; name it with --model PATH"
            )
        return None
    key = signing_key(sign) if sign else None
    inspection = inspected(obtained(model), golden, signature)

    def publish(project: Project, target: ModelFolder) -> None:
        store = open_store(project.store)
        version = uploaded(store, inspection, name, key=key).model.version
        show_pinned(pinned_in(target.lock, store, f"{name}:{version}"), target.lock)
        size = folder_size(project.store)
        if size > _LARGE_STORE:
            console.note(
                f"the model store has {console.bytes_text(size)}, and git hosts refuse files over 100 MB; name a "
                "bucket as store in pilotlight.toml, and copy the version to it with 'pilotlight copy'"
            )

    return publish


def _confirm(folder: Path, found: list[str], *, yes: bool) -> None:
    """Ask whether to write beside other files. Raise ProjectUsageError without a terminal."""
    if not found or yes:
        return
    has = f"{folder} is not empty: it has {', '.join(found)}"
    if not _is_terminal():
        raise ProjectUsageError(f"{has}; choose an empty folder, or add the project's files to these with --yes")
    console.say(f"{has}. No file is overwritten.")
    typer.confirm("Add the project's files?", abort=True)


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _show_next(project: Project, *, pinned: bool) -> None:
    output = console.output()
    output.print("\nNext:")
    if project.root != Path.cwd():
        output.print(f"  cd {os.path.relpath(project.root)}", soft_wrap=True)
    if not _in_git(project.root):
        output.print("  git init", soft_wrap=True)
    if pinned:
        output.print("  make run")
    else:
        _show_publish(project.name, "")


def _show_publish(name: str, option: str) -> None:
    output = console.output()
    output.print(f"  pilotlight publish MODEL --name {name}", soft_wrap=True)
    output.print(f"  pilotlight pin {name}{option}", soft_wrap=True)


def _in_git(folder: Path) -> bool:
    """Return whether a folder is in a git repository; also True without git, where there is nothing to suggest."""
    try:
        command = ["git", "rev-parse", "--is-inside-work-tree"]
        return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return True

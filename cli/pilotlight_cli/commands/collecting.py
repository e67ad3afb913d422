"""The command gc."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pilotlight_cli import console
from pilotlight_cli.commands.options import AsJson, StoreUrl
from pilotlight_cli.project.folders import find_project
from pilotlight_cli.registry.manifest import check_name
from pilotlight_cli.stores import open_store

if TYPE_CHECKING:
    from pilotlight_cli.registry.collecting import Collection


def gc(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Only this model (default: those the project pins).", show_default=False),
    ] = None,
    *,
    store: StoreUrl = "",
    keep: Annotated[int, typer.Option("--keep", min=1, help="Number of newest versions to keep.")] = 5,
    yes: Annotated[bool, typer.Option("--yes", help="Delete them; without it they are only listed.")] = False,
    json: AsJson = False,
) -> None:
    """Delete versions that nothing references: no alias, no lock of this project, none in git's history."""
    from pilotlight_cli.project.references import references
    from pilotlight_cli.registry.collecting import Collection, delete, find_garbage

    needed = references(find_project())
    target, now = open_store(store), datetime.now(UTC)
    names = [check_name(name, "a model's name")] if name else sorted(needed)
    with console.doing(f"Looking for references to the versions in {target.url}"):
        each = [find_garbage(target, one, needed.get(one, {}), keep=keep, now=now) for one in names]
    found = Collection(
        tuple(garbage for one in each for garbage in one.garbage), tuple(kept for one in each for kept in one.kept)
    )
    if not json:
        _print(found)
    if yes:
        for garbage in found.garbage:
            delete(target, garbage, console.say)
    elif found.garbage:
        console.note("nothing was deleted: add --yes. Locks of other projects that use this store are not known here")
    if json:
        console.print_json({"store": target.url, "deleted": yes, **_document(found)})


def _print(found: Collection) -> None:
    shown = console.output()
    rows = [(f"{one.name}:{one.version}", "keep", ", ".join(one.reasons), "") for one in found.kept]
    rows += [
        (
            f"{one.name}:{one.version}",
            "delete",
            "never finished" if one.is_unfinished else "nothing references it",
            console.bytes_text(one.size) if one.size else "",
        )
        for one in found.garbage
    ]
    shown.print(console.table(("version", "", "because", "size"), rows, right=("size",)))
    if not found.garbage:
        shown.print("\nNothing to delete")


def _document(found: Collection) -> dict[str, object]:
    return {
        "garbage": [
            {
                "name": one.name,
                "version": one.version,
                "size": one.size,
                "unfinished": one.is_unfinished,
                "keys": list(one.keys),
            }
            for one in found.garbage
        ],
        "kept": [{"name": one.name, "version": one.version, "reasons": list(one.reasons)} for one in found.kept],
    }

"""Commands that pin a model and build its packages: pin, rollback, build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pilotlight_cli import console
from pilotlight_cli.commands import views
from pilotlight_cli.commands.options import (
    Architecture,
    AsJson,
    BaseImage,
    Engine,
    Form,
    LockPath,
    ModelName,
    Reference,
    StoreUrl,
    check_base,
)
from pilotlight_cli.pinning.needs import needs_text, to_configure
from pilotlight_cli.project.folders import clouds_of, selected
from pilotlight_cli.stores import Store, open_store

if TYPE_CHECKING:
    from pilotlight_cli.pinning.pin import Pinned
    from pilotlight_cli.staging import Package


def pin(
    *,
    reference: Reference,
    store: StoreUrl = "",
    model: ModelName = "",
    lock: LockPath = None,
    upgrade: Annotated[
        bool,
        typer.Option("--upgrade", help="Upgrade to the newest libraries that the model allows."),
    ] = False,
    engine: Annotated[
        Engine | None,
        typer.Option(
            "--engine", help="Engine that serves the model (default: the fastest to start).", show_default=False
        ),
    ] = None,
    breaking: Annotated[
        bool,
        typer.Option(
            "--breaking",
            help="Pin it even if it breaks callers of the pinned version; the next release may break them too.",
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Pin a version: write model.lock, requirements.lock and golden.json."""
    source, path = open_store(store), selected(model, lock).lock
    pinned = pinned_in(path, source, reference, upgrade=upgrade, engine=engine, breaking=breaking, events=lock is None)
    described, before = pinned.lock.model, pinned.before.model if pinned.before else None
    if json:
        document: dict[str, Any] = {
            "store": source.url,
            "lock": str(path),
            "name": described.name,
            "version": described.version,
        }
        document["before"] = {"name": before.name, "version": before.version} if before else None
        signer = pinned.lock.signer
        document["signer"] = {"name": signer.name, "key_id": signer.key_id} if signer else None
        document["engine"] = described.runtime.engine
        document["packages"] = dict(pinned.packages)
        document["contract"] = [change.document() for change in pinned.changes]
        document["warnings"] = list(pinned.warnings)
        console.print_json(document)
        return
    show_pinned(pinned, path)


def pinned_in(
    lock: Path,
    source: Store,
    reference: str,
    *,
    upgrade: bool = False,
    engine: str | None = None,
    breaking: bool = False,
    events: bool = True,
) -> Pinned:
    """Pin a version in a lock, and print the warnings; with `events`, refresh the files in events/ beside it."""
    from pilotlight_cli.pinning.pin import pin as write
    from pilotlight_cli.project.events import former_events, refresh_events

    before = former_events(lock) if events else {}
    with console.doing(f"Pinning {reference}"):
        pinned = write(source, reference, lock, upgrade=upgrade, engine=engine, breaking=breaking)
    for text in pinned.warnings:
        console.warning(text)
    _note_edited(refresh_events(lock, before) if events else ())
    return pinned


def _note_edited(events: Sequence[Path]) -> None:
    for path in events:
        console.note(f"{path} was edited and stays as it is; delete it and pin again for a request to the new version")


def show_pinned(pinned: Pinned, lock: Path) -> None:
    """Print what a lock pins now."""
    described, before = pinned.lock.model, pinned.before.model if pinned.before else None
    was = f" (before: {before.name}:{before.version})" if before else ""
    shown = console.output()
    shown.print(f"Pinned {described.name}:{described.version} in {lock}{was}", soft_wrap=True)
    for file in described.files:
        shown.print(f"  {file.name}  {console.bytes_text(file.size)}  sha256 {file.sha256}", soft_wrap=True)
    shown.print(f"  runtime  {described.format} on {described.runtime.engine}", soft_wrap=True)
    if needs := needs_text(described):
        shown.print(f"  needs  {needs}; configure at least {to_configure(described)} MB of memory", soft_wrap=True)
    if pinned.lock.signer:
        shown.print(f"  signed by  {pinned.lock.signer.name}", soft_wrap=True)
    shown.print(
        f"  requirements.lock  {', '.join(f'{name} {version}' for name, version in pinned.packages.items())}",
        soft_wrap=True,
    )
    if pinned.changes:
        shown.print()
        shown.print(views.contract(pinned.changes))


def rollback(context: typer.Context, model: ModelName = "", json: AsJson = False) -> None:
    """Move the pin back to the one before, from git's history."""
    if context.invoked_subcommand:
        return
    from pilotlight_cli.project.events import former_events, refresh_events
    from pilotlight_cli.project.rollback import roll_back

    path = selected(model).lock
    events = former_events(path)
    found = roll_back(path)
    edited = refresh_events(path, events)
    before, after = found.before.model, found.after.model
    if json:
        pins = {
            side: {"name": one.name, "version": one.version} for side, one in (("before", before), ("after", after))
        }
        commit = {"commit": found.commit, "date": found.date, "subject": found.subject}
        contract = [change.document() for change in found.changes]
        console.print_json({"lock": str(path), **pins, **commit, "contract": contract})
        return
    shown = console.output()
    same = ", with other libraries or settings" if (before.name, before.version) == (after.name, after.version) else ""
    shown.print(f"Rolled back {path} from {before.name}:{before.version} to {after.name}:{after.version}{same}")
    shown.print(f"  as committed in {found.commit} on {found.date}: {found.subject}", soft_wrap=True)
    if found.changes:
        shown.print()
        shown.print(views.contract(found.changes))
    shown.print("\nNothing is committed or deployed: run 'pilotlight verify', commit, and deploy", soft_wrap=True)
    _note_edited(edited)


def build(
    *,
    cloud: Annotated[
        Form | None,
        typer.Option("--cloud", help="Build the package for one cloud only, or for a container.", show_default=False),
    ] = None,
    model: ModelName = "",
    lock: LockPath = None,
    function: Annotated[
        str,
        typer.Option(
            "--function",
            help="Function to package: predict or records; on AWS batch, hooks, judge, authorizer; in a container "
            "batch, gpu, kafka.",
        ),
    ] = "predict",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Output folder, with --cloud (default: a folder in build/).",
            show_default=False,
        ),
    ] = None,
    architecture: Annotated[
        Architecture, typer.Option("--architecture", help="Processor architecture of the libraries in the package.")
    ] = "x86_64",
    client: Annotated[
        bool, typer.Option("--client", help="Add Google's client for Cloud Storage to the package for Google Cloud.")
    ] = False,
    image: Annotated[
        str, typer.Option("--image", metavar="NAME", help="Make a container image of AWS's package, by Docker.")
    ] = "",
    base: BaseImage = "",
    json: AsJson = False,
) -> None:
    """Build the deployable packages in build/aws and build/gcp."""
    from pilotlight_cli.aws.image import build_image
    from pilotlight_cli.staging import build as stage

    if out and not cloud:
        raise typer.BadParameter("--out requires --cloud")
    if image and (cloud, function) != ("aws", "predict"):
        raise typer.BadParameter("--image requires --cloud aws, and the function predict")
    check_base(image, base)
    if client and cloud not in (None, "gcp"):
        raise typer.BadParameter("--client is for the package of Google Cloud")
    clouds = [cloud] if cloud else clouds_of(lock) if function in ("predict", "records") else ["aws"]
    chosen, packages = selected(model, lock), []
    for one in clouds:
        console.say(f"Building the package for {one}" if function == "predict" else f"Building {function} for {one}")
        folder = out.resolve() if out else chosen.built(one if function == "predict" else f"{one}-{function}")
        package = stage(
            one, chosen.lock, folder, _say_below, function=function, architecture=architecture, client=client
        )
        packages.append(package)
        if image:
            build_image(folder, image, architecture, base)
    if json:
        console.print_json({"packages": [_package_document(package) for package in packages]})
        return
    rows = [(package.cloud, str(package.folder), _of_budget(package), _largest(package.parts)) for package in packages]
    console.output().print(console.table(("cloud", "folder", "size", "largest parts"), rows, right=("size",)))


def _say_below(doing: str) -> None:
    console.say(f"  {doing}")


def _package_document(package: Package) -> dict[str, object]:
    return {
        "cloud": package.cloud,
        "function": package.function,
        "folder": str(package.folder),
        "size": package.size,
        "budget": package.budget,
        "parts": dict(package.parts),
        "bytecode": bool(package.bytecode),
    }


def _of_budget(package: Package) -> str:
    size = console.bytes_text(package.size)
    return f"{size} of {console.bytes_text(package.budget)}" if package.budget else size


def _largest(parts: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{name} {console.bytes_text(size)}" for name, size in parts[:4])

"""Commands for a model store: list, show, alias, copy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pilotlight.errors import FormatError
from pilotlight.model.formats import too_old
from pilotlight_cli import console
from pilotlight_cli.commands import views
from pilotlight_cli.commands.options import (
    AsJson,
    Reference,
    StoreUrl,
    Versioned,
    versioned,
)
from pilotlight_cli.project import ProjectUsageError
from pilotlight_cli.project.folders import find_project
from pilotlight_cli.registry.manifest import Manifest, check_name, write_manifest
from pilotlight_cli.registry.versions import (
    Unreadable,
    aliases,
    catalog,
    resolve,
    set_alias,
    show_or_unreadable,
    versions,
)
from pilotlight_cli.registry.versions import show as read_version
from pilotlight_cli.signing.demanded import demanded_keys
from pilotlight_cli.signing.stored import signers
from pilotlight_cli.stores import Store, open_store


def list_(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="List this model's versions.", show_default=False)
    ] = None,
    store: StoreUrl = "",
    json: AsJson = False,
) -> None:
    """List the models in a store, or the versions of one."""
    source = open_store(store)
    unreadable = _list_models(source, json=json) if name is None else _list_versions(source, name, json=json)
    for problem in unreadable:
        console.error(problem)
    if unreadable:
        raise typer.Exit(1)


def show(reference: Reference, store: StoreUrl = "", json: AsJson = False) -> None:
    """Show a version's files, runtime and signature."""
    source = open_store(store)
    manifest = resolve(source, reference)
    model = manifest.model
    known, signed = aliases(source, model.name), signers(source, model.name, [model.version], demanded_keys(Path()))
    if json:
        standing = [alias for alias, version in known.versions.items() if version == model.version]
        document = {
            "store": source.url,
            "aliases": standing,
            "signer": views.signer_document(signed.get(model.version)),
        }
        console.print_json(document | {"manifest": write_manifest(manifest)})
    else:
        console.output().print(views.details(manifest, known.versions, signed.get(model.version)))
    for problem in (*known.problems, *(one.problem for one in signed.values() if one.problem)):
        console.warning(problem)


def alias(
    reference: Versioned,
    name: Annotated[str, typer.Argument(metavar="ALIAS", help="Alias to set.", show_default=False)],
    store: StoreUrl = "",
    json: AsJson = False,
) -> None:
    """Point an alias to a version whose files have their digests."""
    from pilotlight_cli.registry.verification import verify_stored

    model, version = versioned(reference)
    check_name(name, "an alias")
    target = open_store(store)
    size = sum(file.size for file in read_version(target, model, version).model.files)
    with console.transferring(f"Verifying {model}:{version}", size) as progress:
        verify_stored(target, model, version, progress)
    before = set_alias(target, model, version, name)
    if json:
        console.print_json({"name": model, "alias": name, "version": version, "before": before})
        return
    was = "" if before in (None, version) else f" (before: version {before})"
    console.output().print(f"{model}@{name} is version {version}{was}", soft_wrap=True)


def copy(
    reference: Versioned,
    source: Annotated[str, typer.Option("--from", metavar="URL", help="Store to copy from.", show_default=False)],
    target: Annotated[str, typer.Option("--to", metavar="URL", help="Store to copy to.", show_default=False)],
    json: AsJson = False,
) -> None:
    """Copy a version to another store under the same number, verifying its digests."""
    from pilotlight_cli.registry.publish import copy as copy_version

    name, version = versioned(reference)
    origin, destination = open_store(source), open_store(target)
    model = read_version(origin, name, version).model
    size = model.golden.size + sum(file.size for file in model.files)
    with console.transferring(f"Copying {name}:{version}", 2 * size) as progress:
        copied = copy_version(origin, destination, name, version, progress)
    if json:
        document = {"name": name, "version": version, "from": origin.url, "to": destination.url, "copied": copied}
        console.print_json(document)
    else:
        done = f"Copied {name}:{version} to {destination.url}" if copied else ""
        console.output().print(done or f"{name}:{version} already exists in {destination.url}", soft_wrap=True)


def _list_models(store: Store, *, json: bool) -> list[str]:
    models = [
        (name, len(found), show_or_unreadable(store, name, found[-1]), aliases(store, name))
        for name, found in catalog(store).items()
    ]
    if json:
        documents = [
            {
                "name": name,
                "versions": count,
                "newest": views.version_document(newest, known.versions, {}),
                "aliases": dict(known.versions),
            }
            for name, count, newest, known in models
        ]
        console.print_json({"store": store.url, "models": documents})
    elif models:
        rows = [(name, count, newest, known.versions) for name, count, newest, known in models]
        console.output().print(views.model_rows(rows))
    else:
        console.note(f"{store.url} has no models; add one with 'pilotlight publish'")
    _warn_of_old_libraries(newest for _, _, newest, _ in models)
    return [problem for _, _, newest, known in models for problem in (*_problems(newest), *known.problems)]


def _list_versions(store: Store, name: str, *, json: bool) -> list[str]:
    found = versions(store, check_name(name, "a model's name"))
    if not found:
        resolve(store, name)  # raises NotPublished, which lists the models
    known, pinned = aliases(store, name), _pinned_by(found)
    numbers = [version.model.version for version in found if isinstance(version, Manifest)]
    signed = signers(store, name, numbers, demanded_keys(Path()))
    if json:
        documents = [views.version_document(version, known.versions, pinned, signed) for version in found]
        console.print_json({"store": store.url, "name": name, "versions": documents})
    else:
        console.output().print(views.version_rows(found, known.versions, pinned, datetime.now(UTC), signed))
    for one in signed.values():
        if one.problem:
            console.warning(one.problem)
    _warn_of_old_libraries(found)
    return [*(problem for version in found for problem in _problems(version)), *known.problems]


def _pinned_by(found: Sequence[Manifest | Unreadable]) -> dict[int, list[str]]:
    """Return the models of this project that pin each version; none outside of a project."""
    from pilotlight_cli.project.references import pinned_by

    try:
        return pinned_by(find_project(), [version.model for version in found if isinstance(version, Manifest)])
    except ProjectUsageError:
        return {}
    except FormatError as error:
        console.warning(str(error))
        return {}


def _warn_of_old_libraries(manifests: Iterable[Manifest | Unreadable]) -> None:
    """Warn of each version that `pin` refuses."""
    for manifest in manifests:
        if isinstance(manifest, Manifest):
            model, problem = manifest.model, too_old(manifest.model.runtime.packages)
            if problem:
                console.warning(f"{model.name}:{model.version} cannot be pinned: {problem}")


def _problems(version: Manifest | Unreadable) -> list[str]:
    return [version.problem] if isinstance(version, Unreadable) else []

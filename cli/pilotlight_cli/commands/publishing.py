"""Publishing a model file: the command, and what `init` and `add` share with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilotlight.errors import FormatError
from pilotlight.model.signature import write_signature
from pilotlight_cli import console
from pilotlight_cli.commands import views
from pilotlight_cli.commands.options import (
    AllowedNames,
    AsJson,
    EstimatorMethod,
    FileFormat,
    FileOfSource,
    GoldenRows,
    MaxMemory,
    MaxSeconds,
    OwnModule,
    PipelineKeys,
    SignatureFile,
    SignKey,
    SourceModel,
    StoreUrl,
)
from pilotlight_cli.commands.signing import signing, signing_key
from pilotlight_cli.drifting.referencing import make_reference
from pilotlight_cli.registry.availability import project_store
from pilotlight_cli.registry.json_document import to_bytes
from pilotlight_cli.registry.manifest import Manifest, check_name, write_manifest
from pilotlight_cli.sandbox.limits import DEFAULT, LimitOptions
from pilotlight_cli.signing.stored import Signed
from pilotlight_cli.sources import Source, obtained
from pilotlight_cli.stores import Store, open_store

if TYPE_CHECKING:
    from pilotlight_cli.sandbox.inspection import Inspection
    from pilotlight_cli.signing.keys import PrivateKey


def publish(
    path: SourceModel,
    *,
    name: Annotated[str, typer.Option("--name", help="Name of the model.", show_default=False)],
    file: FileOfSource = "",
    store: StoreUrl = "",
    format: FileFormat = None,  # noqa: A002 - the option's name
    golden: GoldenRows = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Rows that the model was made for, in CSV or JSON: the function counts what it sees in their bins.",
        ),
    ] = None,
    signature: SignatureFile = None,
    alias: Annotated[str | None, typer.Option("--alias", help="Point this alias to the new version.")] = None,
    allow: AllowedNames = None,
    sign: SignKey = None,
    method: EstimatorMethod = None,
    pipeline: PipelineKeys = "",
    with_module: OwnModule = None,
    max_memory: MaxMemory = None,
    max_seconds: MaxSeconds = None,
    json: AsJson = False,
) -> None:
    """Upload a model file as the next version of a model."""
    check_name(name, "a model's name")
    if alias is not None:
        check_name(alias, "an alias")
    target = open_store(store)
    key = signing_key(sign) if sign else None
    signed = Signed(key.key_id) if key else None

    where = "" if target.url == project_store(Path()) else f" --store {target.url}"
    limits = LimitOptions(max_memory, max_seconds)
    source = obtained(path, file)
    inspection = inspected(
        source,
        golden,
        signature,
        reference=reference,
        format=format,
        allow=allow or (),
        method=method or "",
        pipeline=pipeline.split(",") if pipeline else (),
        with_module=with_module,
        limits=limits,
    )
    manifest = uploaded(target, inspection, name, alias, key)
    model = manifest.model
    if json:
        document = {"store": target.url, "alias": alias, "signer": views.signer_document(signed)}
        console.print_json({**document, "notes": list(inspection.notes), "manifest": write_manifest(manifest)})
        return
    shown = console.output()
    shown.print(views.details(manifest, {alias: model.version} if alias else {}, signed))
    shown.print(f"\nPublished {model.name}:{model.version} to {target.url}", soft_wrap=True)
    shown.print(f"Pin it with: pilotlight pin {model.name}:{model.version}{where}", soft_wrap=True)


def inspected(
    source: Source,
    golden: Path | None,
    signature: Path | None,
    *,
    reference: Path | None = None,
    format: str | None = None,  # noqa: A002 - as the option
    allow: Sequence[str] = (),
    method: str = "",
    pipeline: Sequence[str] = (),
    with_module: Path | None = None,
    limits: LimitOptions = DEFAULT,
) -> Inspection:
    """Inspect a model, and print what the inspection notes."""
    from pilotlight_cli.regular_files import read
    from pilotlight_cli.sandbox.inspection import discard, inspect
    from pilotlight_cli.sources.inspecting import inspect_source

    asked = partial(
        inspect,
        format=format,
        allow=allow,
        method=method,
        pipeline=pipeline,
        with_module=with_module,
        measures=True,
        limit_options=limits,
    )
    with console.doing(f"Inspecting {source.path.name}"):
        inspection = inspect_source(
            source,
            asked,
            signature=read(signature) if signature else None,
            golden=read(golden) if golden else None,
        )
    if reference:
        content = read(reference)
        rows = inspection.golden
        with console.doing(f"Counting {reference.name}"):
            if not golden or content != read(golden):
                known = to_bytes(write_signature(inspection.signature))
                again = inspect_source(source, partial(asked, measures=False), signature=known, golden=content)
                rows = again.golden
                discard(again)
            try:
                inspection = replace(inspection, reference=make_reference(inspection.signature, rows))
            except FormatError as error:
                raise error.within(str(reference)) from None
    for note in inspection.notes:
        console.note(note)
    own = [name for name in inspection.extra_globals if name not in allow]
    if own:
        console.warning(f"the function will run your own module, {inspection.files[-1].name}: {', '.join(own)}")
    if len(own) < len(inspection.extra_globals):
        console.warning(f"allowed by --allow: {', '.join(sorted(set(inspection.extra_globals) - set(own)))}")
    return inspection


def uploaded(
    target: Store, inspection: Inspection, name: str, alias: str | None = None, key: PrivateKey | None = None
) -> Manifest:
    """Publish an inspected model, signed with `key` if given, with a progress bar."""
    from pilotlight_cli.registry.publish import publish as upload

    size = sum(file.stat().st_size for file in inspection.files)
    with console.transferring(f"Uploading {inspection.files[0].name}", size) as progress:
        return upload(
            target,
            inspection,
            name,
            alias=alias,
            sign=signing(key) if key else None,
            clock=lambda: datetime.now(UTC),
            progress=progress,
        )

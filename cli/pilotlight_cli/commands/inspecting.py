"""Commands that look at a model file before it is published: inspect and repair."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilotlight.model.golden import write_golden
from pilotlight.model.lock import write_runtime
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
    RowsToRun,
    SourceModel,
)
from pilotlight_cli.commands.publishing import inspected
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sandbox.limits import LimitOptions
from pilotlight_cli.sources import obtained

if TYPE_CHECKING:
    from pilotlight_cli.sandbox.inspection import Inspection


def inspect(
    path: SourceModel,
    *,
    file: FileOfSource = "",
    signature: Annotated[
        bool, typer.Option("--signature", help="Print the signature alone, as JSON to edit for 'publish --signature'.")
    ] = False,
    golden: GoldenRows = None,
    format: FileFormat = None,  # noqa: A002 - the option's name
    allow: AllowedNames = None,
    method: EstimatorMethod = None,
    pipeline: PipelineKeys = "",
    with_module: OwnModule = None,
    max_memory: MaxMemory = None,
    max_seconds: MaxSeconds = None,
    json: AsJson = False,
) -> None:
    """Print what publish would make of a model, and write nothing to a store."""
    found = inspected(
        obtained(path, file),
        golden,
        None,
        format=format,
        allow=allow or (),
        method=method or "",
        pipeline=pipeline.split(",") if pipeline else (),
        with_module=with_module,
        limits=LimitOptions(max_memory, max_seconds),
    )
    if signature:
        console.print_json(write_signature(found.signature))
    elif json:
        console.print_json(_document(found))
    else:
        console.output().print(views.inspection(found))
        hint = f"pilotlight inspect {path} --signature > signature.json"
        console.output().print(f"\nEdit the signature: {hint}", soft_wrap=True)


def _document(found: Inspection) -> dict[str, object]:
    return {
        "format": found.format,
        "files": [{"name": file.name, "size": file.stat().st_size} for file in found.files],
        "runtime": write_runtime(found.runtime),
        "signature": write_signature(found.signature),
        "golden": write_golden(found.golden),
        "allowed_globals": list(found.allowed_globals),
        "extra_globals": list(found.extra_globals),
        "notes": list(found.notes),
    }


def repair(
    path: Annotated[
        Path,
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="ONNX model.", show_default=False),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT.onnx", help="File to write.", show_default=False)],
    *,
    names: Annotated[
        str, typer.Option("--names", metavar="A,B,...", help="Names of the features, or a JSON list of them.")
    ] = "",
    labels: Annotated[
        str,
        typer.Option("--labels", metavar="A,B,...", help="Labels in the order of the probabilities, or a JSON list."),
    ] = "",
    signature: Annotated[
        Path | None,
        typer.Option(
            "--signature", metavar="FILE", exists=True, dir_okay=False, help="Signature with names, labels and shapes."
        ),
    ] = None,
    golden: RowsToRun = None,
    max_memory: MaxMemory = None,
    max_seconds: MaxSeconds = None,
    json: AsJson = False,
) -> None:
    """Write an ONNX model without what a function cannot serve, or say that nothing is to be repaired."""
    from pilotlight_cli.regular_files import read
    from pilotlight_cli.repairing.files import repair as make

    with console.doing(f"Repairing {path.name}"):
        report = make(
            path,
            out,
            names=[str(name) for name in _items("--names", names)],
            labels=_labels(_items("--labels", labels)),
            signature=read(signature) if signature else None,
            golden=read(golden) if golden else None,
            limit_options=LimitOptions(max_memory, max_seconds),
        )
    for sentence in report.kept:
        console.note(sentence)
    if json:
        console.print_json({"changes": list(report.changes), "files": [str(file) for file in report.files]})
        return
    for sentence in report.changes:
        console.output().print(sentence, soft_wrap=True)
    done = f"\nWrote {', '.join(map(str, report.files))}" if report.files else f"{path.name} needs no repair"
    console.output().print(done, soft_wrap=True)


def _items(option: str, text: str) -> list[str | int]:
    """Return the items of a JSON list, or of a text with commas. Raise UsageError."""
    if not text.startswith("["):
        return [item.strip() for item in text.split(",")] if text else []
    try:
        items = json_module.loads(text)
    except ValueError as error:
        raise UsageError(f"{option}: not valid JSON: {error}; expected A,B,C or a JSON list") from None
    if not all(type(item) in (str, int) for item in items):
        raise UsageError(f"{option}: found {text}, expected a JSON list of strings or whole numbers")
    return list(items)


def _labels(items: list[str | int]) -> list[str | int]:
    """Return whole numbers where all are: a JSON list of strings says that they are names."""
    try:
        return [int(item) for item in items]
    except ValueError:
        return items

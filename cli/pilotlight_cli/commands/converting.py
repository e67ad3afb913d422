"""The command that turns another library's model file into ONNX: convert."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pilotlight_cli import console
from pilotlight_cli.commands.options import AsJson, FileOfSource, MaxMemory, MaxSeconds, SourceModel
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sources import obtained

if TYPE_CHECKING:
    from pilotlight_cli.converting.convert import Report
    from pilotlight_cli.converting.sources import Source


def convert(
    path: SourceModel,
    out: Annotated[Path, typer.Argument(metavar="OUT.onnx", help="ONNX model to write.", show_default=False)],
    *,
    file: FileOfSource = "",
    rows: Annotated[
        Path | None,
        typer.Option(
            "--rows",
            metavar="ROWS",
            exists=True,
            dir_okay=False,
            help="Rows to compare on, CSV or JSON (default: generated ones).",
        ),
    ] = None,
    package: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="PACKAGE==VERSION",
            help="Package that the model needs, or its version if the file does not say it. Repeatable.",
        ),
    ] = None,
    quantize: Annotated[
        Literal["int8"] | None,
        typer.Option("--quantize", help="Keep weights of 8 bits if they are faster and within --golden's tolerance."),
    ] = None,
    golden: Annotated[
        Path | None,
        typer.Option(
            "--golden",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Golden samples with a tolerance, for --quantize.",
            show_default=False,
        ),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Load a pickle or skops file without asking; it may run any code.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite OUT.onnx.")] = False,
    max_memory: MaxMemory = None,
    max_seconds: MaxSeconds = None,
    json: AsJson = False,
) -> None:
    """Write a model of another library as ONNX, if its answers stay the same."""
    from pilotlight.errors import FormatError
    from pilotlight.model.golden import read_golden
    from pilotlight_cli.converting import convert as converting
    from pilotlight_cli.regular_files import read
    from pilotlight_cli.sandbox.limits import LimitOptions

    limits = LimitOptions(max_memory, max_seconds)
    if (quantize is None) != (golden is None):
        raise UsageError("--quantize and --golden belong together: the golden samples have the tolerance")
    try:
        samples = read_golden(read(golden)) if golden else None
    except FormatError as error:
        raise UsageError(
            f"{golden}: {error}; expected a golden.json, whose tolerance decides: rows alone have none"
        ) from None
    converting.check_target(Path(path), out, force=force)
    found = obtained(path, file)
    source = converting.describe(found.path, limits)
    if source.names:
        _ask(found.path, source, trust=trust)
    for note in found.notes:
        console.note(note)
    with console.stepping(f"Converting {found.path.name}") as step:
        report = converting.convert(
            found.path,
            out,
            source,
            rows=rows,
            extra=package or (),
            quantize_on=samples,
            limit_options=limits,
            step=step,
        )
    for note in report.notes:
        console.note(note)
    if json:
        console.print_json(asdict(report) | {"file": str(report.file)})
        return
    _show(report)


def _ask(path: Path, source: Source, *, trust: bool) -> None:
    """List what loading the file may call, and ask. Raise UsageError without an answer."""
    console.warning(f"{path.name} is {source.description}; loading it imports and may call: {', '.join(source.names)}")
    if trust:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            f"converting {path.name} loads it, which can run any code; if you trust its source, add --trust"
        )
    if not typer.confirm(f"Load {path.name}?", err=True):
        raise UsageError(f"{path.name} was not loaded")


def _show(report: Report) -> None:
    libraries = ", ".join(f"{name} {version}" for name, version in report.libraries.items())
    on_thresholds = f", {report.thresholds:,} of them on thresholds of its trees" if report.thresholds else ""
    rows = [["library", libraries], ["rows compared", f"{report.rows:,}{on_thresholds}"]]
    if report.labels is not None:
        tied = f"; {report.ties:,} others are ties of two classes" if report.ties else ""
        rows.append(["labels equal", f"{report.labels:,}{tied}"])
    if report.largest is not None:
        rows.append(["largest difference", f"{report.largest:.2g}"])
    rows.append(["file", f"{report.file} ({console.bytes_text(report.size)})"])
    shown = console.output()
    for title, value in rows:
        shown.print(f"{title:<18} {value}", soft_wrap=True)
    shown.print(f"\nPublish it with: pilotlight publish {report.file} --name NAME", soft_wrap=True)

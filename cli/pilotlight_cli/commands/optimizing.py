"""The command for a model file before it is published: optimize."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pilotlight_cli import console
from pilotlight_cli.commands.options import AsJson, MaxMemory, MaxSeconds, RowsToRun, SignatureFile


def optimize(
    path: Annotated[
        Path,
        typer.Argument(metavar="MODEL.onnx", exists=True, help="ONNX model.", show_default=False),
    ],
    folder: Annotated[Path, typer.Argument(metavar="OUTDIR", help="Output folder, new or empty.", show_default=False)],
    *,
    requests: Annotated[
        int, typer.Option("--requests", min=1, help="Number of requests an instance serves in its lifetime.")
    ] = 20,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Number of measurements of each form.")] = 5,
    one_file: Annotated[
        bool, typer.Option("--one-file", help="Try forms of one file, which ONNX Runtime maps (model.ort).")
    ] = False,
    golden: RowsToRun = None,
    signature: SignatureFile = None,
    max_memory: MaxMemory = None,
    max_seconds: MaxSeconds = None,
    json: AsJson = False,
) -> None:
    """Write an ONNX model in the form that starts fastest, or unchanged if no form is measurably faster."""
    from pilotlight_cli.optimizing import optimize as make
    from pilotlight_cli.optimizing import view
    from pilotlight_cli.regular_files import read
    from pilotlight_cli.sandbox.limits import LimitOptions

    with console.stepping(f"Optimising {path.name}") as step:
        report = make(
            path,
            folder,
            signature=read(signature) if signature else None,
            golden=read(golden) if golden else None,
            requests=requests,
            rounds=rounds,
            one_file=one_file,
            step=step,
            limit_options=LimitOptions(max_memory, max_seconds),
        )
    for note in report.notes:
        console.note(note)
    if json:
        console.print_json(view.document(report))
        return
    console.output().print(view.shown(report))
    console.output().print(f"Publish it with: pilotlight publish {report.file} --name NAME --store URL", soft_wrap=True)

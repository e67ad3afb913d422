"""The command that scores files: batch."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import typer

from pilotlight_cli import console
from pilotlight_cli.commands.options import AsJson, LockPath, ModelName, StoreUrl
from pilotlight_cli.extras import needing
from pilotlight_cli.project.folders import selected

ResultFormat = Literal["parquet", "csv", "jsonl"]


def batch(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="File, folder, pattern, s3:// or gs:// URL: .parquet, .csv, .jsonl, .npy, also with .gz or .zst.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str, typer.Argument(metavar="OUTPUT", help="Folder for the results, or s3:// or gs:// URL.", show_default=False)
    ],
    *,
    store: StoreUrl = "",
    model: ModelName = "",
    lock: LockPath = None,
    format_: Annotated[
        ResultFormat | None,
        typer.Option(
            "--format",
            help="Format of the results (default: by the name of OUTPUT, or as the input).",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        str,
        typer.Option(
            "--keep", metavar="NAME,NAME", help="Columns of the rows that the results get first.", show_default=False
        ),
    ] = "",
    no_header: Annotated[
        bool,
        typer.Option("--no-header", help="CSV has no line of column names; the features are in the model's order."),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Number of processes (default: one a processor).", show_default=False),
    ] = None,
    json: AsJson = False,
) -> None:
    """Score the rows of files with the pinned model, on this machine. An interrupted run resumes."""
    with needing("batch", "'pilotlight batch'"):
        from pilotlight_cli.batching import run

    asked = run.Asked(
        source,
        output,
        selected(model, lock).lock,
        store,
        format_ or "",
        tuple(name for name in keep.split(",") if name),
        not no_header,
        workers or 0,
    )
    with console.doing(f"Listing {source}"):
        prepared = run.prepare(asked)
    manifest = run.run(prepared, partial(console.scoring, f"Scoring {len(prepared.sources)} file(s)"))
    if json:
        console.print_json(manifest)
    else:
        console.output().print(
            f"{output}: {manifest['written']:,} of {manifest['rows']:,} rows in {len(manifest['parts'])} part(s), "
            f"{manifest['seconds']:.1f} s"
        )
    if manifest["failed"]:
        console.warning(f"{manifest['failed']:,} row(s) failed; {output.rstrip('/')}/_failures.jsonl says why")

"""The command that scores files: batch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pilotlight_cli import console
from pilotlight_cli.commands.options import AsJson, LockPath, ModelName, StoreUrl
from pilotlight_cli.extras import needing
from pilotlight_cli.project.folders import selected

if TYPE_CHECKING:
    from pilotlight_cli.batching.run import Prepared

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
    plan: Annotated[
        bool, typer.Option("--plan", help="Print shards, time and cost by a trial of a few rows, and write nothing.")
    ] = False,
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
    if plan:
        _show_plan(prepared, json=json)
        return
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


def _show_plan(prepared: Prepared, *, json: bool) -> None:
    from pilotlight_cli.batching.estimate import estimate

    with console.doing("Scoring a few rows to see how long they take"):
        found = estimate(prepared)
    if json:
        console.print_json(
            {
                "files": found.files,
                "bytes": found.size,
                "rows": found.rows,
                "rows_are_exact": found.is_exact,
                "shards": found.shards,
                "workers": found.workers,
                "processor_seconds": round(found.processor_seconds, 1),
                "seconds": round(found.seconds, 1),
                "cost": {"lambda": round(found.on_lambda, 6), "cloud_run": round(found.on_cloud_run, 6)},
            }
        )
        return
    rows = f"{found.rows:,}" if found.is_exact else f"about {found.rows:,}"
    lines = [
        ("files", f"{found.files:,}, {console.bytes_text(found.size)}"),
        ("rows", rows),
        ("shards", f"{found.shards:,}, for {found.workers} process(es)"),
        ("time", f"about {found.seconds:,.0f} s here, of {found.processor_seconds:,.0f} processor seconds"),
        ("cost", f"nothing here; as much processor time is ${found.on_lambda:,.4f} on Lambda in us-east-1"),
        ("", f"and ${found.on_cloud_run:,.4f} in Cloud Run jobs in the first tier of regions"),
    ]
    for name, text in lines:
        console.output().print(f"{name:<7}{text}")

"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pilotlight_cli.manifest import NameRefused, parse_reference

Cloud = Literal["aws", "gcp"]
Format = Literal["onnx", "skops", "pickle"]
Engine = Literal["onnxruntime-c", "onnxruntime-python", "scikit-learn"]
Architecture = Literal["x86_64", "arm64"]

StoreUrl = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="URL",
        envvar="PILOTLIGHT_STORE",
        help="The model store: s3://bucket/prefix, gs://bucket/prefix or file:///folder.",
        show_default=False,
    ),
]
LockPath = Annotated[
    Path, typer.Option("--lock", metavar="FILE", help="The lock; requirements.lock and golden.json lie beside it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Reference = Annotated[
    str, typer.Argument(metavar="NAME[:VERSION|@ALIAS]", help="Without either: the newest.", show_default=False)
]
Versioned = Annotated[str, typer.Argument(metavar="NAME:VERSION", show_default=False)]

LOCK = Path("model.lock")


def versioned(reference: str) -> tuple[str, int]:
    """Name and version of `NAME:VERSION`. Raises NameRefused."""
    parsed = parse_reference(reference)
    if parsed.version is None:
        raise NameRefused(f"{reference!r} names no version; write NAME:VERSION, like {parsed.name}:3")
    return parsed.name, parsed.version

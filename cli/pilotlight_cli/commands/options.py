"""Options that commands share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from pilotlight.model.formats import ENGINES, FORMATS
from pilotlight.model.lock import METHODS
from pilotlight_cli.project.folders import find_project
from pilotlight_cli.registry.manifest import NameRefused, parse_reference
from pilotlight_cli.regular_files import check_regular
from pilotlight_cli.sandbox.limits import MEMORY_VARIABLE, SECONDS_VARIABLE

Cloud = Literal["aws", "gcp"]
Form = Literal["aws", "gcp", "container"]
Architecture = Literal["x86_64", "arm64"]
FunctionName = Annotated[
    Literal["predict", "records"],
    typer.Option("--function", help="Function: predict, or records for those of queues and streams."),
]
if TYPE_CHECKING:
    Format: TypeAlias = str
    Engine: TypeAlias = str
    Method: TypeAlias = str
else:
    Format = Literal[tuple(FORMATS)]
    Engine = Literal[tuple(ENGINES)]
    Method = Literal[METHODS]


def in_ci(environ: Mapping[str, str]) -> bool:
    """Return whether CI is set, to anything but a word for no: nobody is there to confirm."""
    return environ.get("CI", "").lower() not in ("", "0", "false", "no", "off")


def _or_of_project(store: str) -> str:
    """Return the store of the project if the option names none."""
    return store or find_project().store


StoreUrl = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="URL",
        envvar="PILOTLIGHT_STORE",
        callback=_or_of_project,
        help="Model store: s3://bucket/prefix, gs://bucket/prefix or file:///folder (default: the project's).",
        show_default=False,
    ),
]


def _regular(lock: Path | None) -> Path | None:
    """Check that the lock and the files beside it are regular files, which cannot block a reader."""
    if lock is None:
        return None
    beside = (
        *("requirements.lock", "golden.json", "reference.json", "manifest.json", "model.sig", "experiment.lock"),
        *("features.toml", "shadow.lock"),
    )
    for path in (lock, *map(lock.with_name, beside)):
        if path.exists():
            check_regular(path)
    return lock


LockPath = Annotated[
    Path | None,
    typer.Option(
        "--lock",
        metavar="FILE",
        callback=_regular,
        help="Lock file, with requirements.lock and golden.json beside it (default: the model's in the project).",
        show_default=False,
    ),
]
ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Model of the project, if it has several: a folder in models/.",
        show_default=False,
    ),
]
MaxMemory = Annotated[
    int | None,
    typer.Option(
        "--max-memory",
        metavar="MB",
        min=1,
        envvar=MEMORY_VARIABLE,
        help="Memory limit of the inspection (default: 4000 MB plus 15 times the model's size).",
        show_default=False,
    ),
]
MaxSeconds = Annotated[
    int | None,
    typer.Option(
        "--max-seconds",
        metavar="SECONDS",
        min=1,
        envvar=SECONDS_VARIABLE,
        help="CPU time limit of the inspection (default: 180 s plus 1 s per MB of the model).",
        show_default=False,
    ),
]
SignKey = Annotated[
    Path | None,
    typer.Option(
        "--sign", metavar="KEY", help="Sign the version with this private key, a PEM file.", show_default=False
    ),
]
BaseImage = Annotated[
    str,
    typer.Option("--base", metavar="IMAGE", help="Base of --image, such as AWS's at a digest (default: AWS's by tag)."),
]
LogEnvironment = Annotated[
    str,
    typer.Option("--env", metavar="ENV", help="Environment whose log to read.", show_default=False),
]
LogCloud = Annotated[Cloud, typer.Option("--cloud", help="The cloud of the environment.")]
LogLines = Annotated[
    Path | None,
    typer.Option("--lines", metavar="FILE", help="Log lines in a file instead; - is stdin.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Reference = Annotated[
    str,
    typer.Argument(
        metavar="NAME[:VERSION|@ALIAS]", help="Model version; the newest without VERSION or ALIAS.", show_default=False
    ),
]
Versioned = Annotated[str, typer.Argument(metavar="NAME:VERSION", help="Model version.", show_default=False)]


# What commands that inspect a model ask about it.
SourceModel = Annotated[
    str,
    typer.Argument(
        metavar="PATH",
        help="Model file, folder or archive; or models:/NAME/VERSION, hf://ORG/REPO@COMMIT, oci://REGISTRY/NAME:TAG.",
        show_default=False,
    ),
]
FileOfSource = Annotated[
    str,
    typer.Option("--file", metavar="FILE", help="Model file in a folder that has several.", show_default=False),
]
FileFormat = Annotated[
    Format | None, typer.Option("--format", help="File format, if it cannot be detected from the content.")
]
GoldenRows = Annotated[
    Path | None,
    typer.Option(
        "--golden",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Golden samples: rows in CSV or JSON, or a golden.json, with or without expected outputs.",
    ),
]
RowsToRun = Annotated[
    Path | None,
    typer.Option(
        "--golden", metavar="FILE", exists=True, dir_okay=False, help="Golden samples to run (default: generated ones)."
    ),
]
AllowedNames = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="MODULE.NAME",
        help="Allow a pickle or skops file to use this name, which Pilotlight does not list. Repeatable.",
    ),
]
EstimatorMethod = Annotated[
    Method | None,
    typer.Option("--method", help="Method of a scikit-learn estimator to serve, if not predict and predict_proba."),
]
PipelineKeys = Annotated[
    str,
    typer.Option(
        "--pipeline",
        metavar="KEY,KEY",
        help="Keys or positions of the objects in a dict or tuple that make a pipeline, in their order.",
        show_default=False,
    ),
]
OwnModule = Annotated[
    Path | None,
    typer.Option(
        "--with-module",
        metavar="PATH",
        exists=True,
        help="Your own module, a .py file or a package folder, whose classes a scikit-learn model names.",
    ),
]
SignatureFile = Annotated[
    Path | None,
    typer.Option(
        "--signature",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Signature of the model: inputs, outputs, labels.",
    ),
]


def check_base(image: str, base: str) -> None:
    """Refuse a base for no image. Raise typer.BadParameter."""
    if base and not image:
        raise typer.BadParameter("--base requires --image")


def versioned(reference: str) -> tuple[str, int]:
    """Parse `NAME:VERSION`. Raises NameRefused."""
    parsed = parse_reference(reference)
    if parsed.version is None:
        raise NameRefused(f"{reference!r} names no version; expected NAME:VERSION, like {parsed.name}:3")
    return parsed.name, parsed.version

"""What the parent asks of the child, and what the child answers: both are JSON files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from pilotlight.errors import PilotlightError
from pilotlight.model.formats import ENGINES, FORMATS
from pilotlight.model.golden import Golden, read_golden, write_golden
from pilotlight.model.json_document import Node
from pilotlight.model.lock import (
    DEFAULT_SESSION,
    Description,
    File,
    Runtime,
    Session,
    read_runtime,
    write_runtime,
)
from pilotlight.model.signature import Signature, read_signature, write_signature
from pilotlight_cli.formats.engines import supporting
from pilotlight_cli.registry.digests import read_file_entry

# The allowed and the extra globals of a description.
Names: TypeAlias = "tuple[tuple[str, ...], tuple[str, ...]]"


class UsageError(PilotlightError):
    """The options do not go with the file."""


@dataclass(frozen=True, slots=True)
class Job:
    """A model file to look into.

    `kind` is what the file is and `wanted` the format that the publisher asks for, or empty. `signature` and `golden`
    are the texts of the publisher's files, or empty. `admitted` are the names that Pilotlight ships and `allow` those
    that the publisher adds; `packages` are what these are in, by their names on PyPI. A file that is saved again
    goes to `folder`. `companions` are the files beside the model that hold parts of it. `labels` and `words` are what
    an ONNX file itself tells of its classes and of the strings that it knows.
    """

    path: Path
    kind: str
    wanted: str
    signature: str
    golden: str
    admitted: frozenset[str]
    allow: tuple[str, ...]
    folder: Path
    companions: tuple[Path, ...] = ()
    numpy_major: int = 2
    packages: tuple[str, ...] = ()
    labels: tuple[str | int, ...] = ()
    words: tuple[str, ...] = ()


def read_job(document: dict[str, Any]) -> Job:
    """The job that `write_job` wrote."""
    return Job(
        **document
        | {
            "path": Path(document["path"]),
            "folder": Path(document["folder"]),
            "companions": tuple(map(Path, document["companions"])),
            "admitted": frozenset(document["admitted"]),
            "allow": tuple(document["allow"]),
            "packages": tuple(document["packages"]),
            "labels": tuple(document["labels"]),
            "words": tuple(document["words"]),
        }
    )


def write_job(job: Job) -> dict[str, Any]:
    """The JSON form of a job."""
    return {
        "path": str(job.path),
        "kind": job.kind,
        "wanted": job.wanted,
        "signature": job.signature,
        "golden": job.golden,
        "admitted": sorted(job.admitted),
        "allow": list(job.allow),
        "folder": str(job.folder),
        "companions": [str(path) for path in job.companions],
        "numpy_major": job.numpy_major,
        "packages": list(job.packages),
        "labels": list(job.labels),
        "words": list(job.words),
    }


@dataclass(frozen=True, slots=True)
class Findings:
    """What the child found out. `path` is the file to publish: the given one, or one that was saved again."""

    format: str
    path: Path
    runtime: Runtime
    signature: Signature
    golden: Golden
    names: Names = ((), ())
    notes: tuple[str, ...] = ()


def write_findings(answer: Findings) -> dict[str, Any]:
    """The JSON form of an answer."""
    return {
        "format": answer.format,
        "path": str(answer.path),
        "runtime": write_runtime(answer.runtime),
        "signature": write_signature(answer.signature),
        "golden": write_golden(answer.golden),
        "names": [list(names) for names in answer.names],
        "notes": list(answer.notes),
    }


def read_findings(document: dict[str, Any]) -> Findings:
    """The answer that `write_findings` wrote."""
    allowed, extra = document["names"]
    return Findings(
        format=document["format"],
        path=Path(document["path"]),
        runtime=read_runtime(Node(document["runtime"]), document["format"]),
        signature=read_signature(Node(document["signature"])),
        golden=read_golden(json.dumps(document["golden"]).encode()),
        names=(tuple(allowed), tuple(extra)),
        notes=tuple(document["notes"]),
    )


def runtime_of(
    artifact_format: str, signature: Signature, packages: Sequence[str], session: Session = DEFAULT_SESSION
) -> Runtime:
    """Return the runtime of a model in a format, with the installed versions of its packages and of `packages`.

    The engine is the last of the format's that supports the signature: what serves any model, not what starts fastest.
    """
    format_ = FORMATS[artifact_format]
    engine = supporting(artifact_format, signature)[-1]
    names = {*ENGINES[engine].packages, *format_.packages, *packages}
    return Runtime(format_.runtime, engine, {name: version(name) for name in sorted(names)}, session)


def provisional_description(
    files: Sequence[Path], artifact_format: str, runtime: Runtime, signature: Signature, names: Names
) -> Description:
    """A description good enough to load the model as a function would.

    The name, the version, and the digests of all files but the first mean nothing.
    """
    first, *others = files
    file = read_file_entry(first)
    golden, *rest = (File(name, 1, "0" * 64) for name in ("golden.json", *(other.name for other in others)))
    return Description("model", 1, artifact_format, (file, *rest), runtime, signature, golden, *names)
